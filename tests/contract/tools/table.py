"""The table of the contract, tool by scenario, at the end of a run.

`tests/conftest.py` writes it: the process that gathers the reports of all workers collects no tests, and so it never
loads the `conftest.py` of this folder.
"""

from __future__ import annotations

from pkgutil import iter_modules
from typing import Any

from tests.contract.tools import subjects


def subject_names() -> list[str]:
    """Return the tools of the contract by the names of their modules."""
    return [module.name for module in iter_modules(subjects.__path__) if module.name != "base"]


def write_table(reporter: Any) -> None:
    """Write the table. A step has passed if another began after it, or if its test passed."""
    table: dict[str, dict[str, str]] = {}
    notes: dict[str, None] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in reporter.stats.get(outcome, ()):
            steps = [value for key, value in getattr(report, "user_properties", ()) if key == "contract"]
            for at, (tool, name, reason) in enumerate(steps):
                ended = outcome == "passed" or at < len(steps) - 1
                table.setdefault(name, {})[tool] = "skipped" if reason else "passed" if ended else outcome
                if reason:
                    notes[f"{tool}, {name}: {reason}"] = None
    if not table:
        return
    tools = sorted({tool for row in table.values() for tool in row} | set(subject_names()))
    width = max(map(len, table))
    reporter.write_line(" ".join(["the contract of the tools".ljust(width), *(f"{it:>15}" for it in tools)]))
    for name, row in table.items():
        reporter.write_line(" ".join([name.ljust(width), *(f"{row.get(it, 'not here'):>15}" for it in tools)]))
    for note in notes:
        reporter.write_line(f"skipped: {note}")
