"""The table of faults by engines at the end of a run: which of them tests have gone through, and how it ended.

A test says what it goes through with `@pytest.mark.fault("worker killed", engine="pull")`, once for each.
`tests/conftest.py` calls what is here: it alone is loaded in the process that gathers the reports of all workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

ENGINES = ("local", "pull", "celery", "kubernetes")
FAULTS = (
    "worker killed",
    "worker stopped",
    "late worker",
    "service killed",
    "broker killed",
    "API server gone",
    "double delivery",
    "cancel",
)
"""`worker` is what does a run: on the service's own machine the run's process, and on Kubernetes its pod or node."""
NO_SUCH_PART = {
    "worker stopped": {"local"},
    "late worker": {"local"},
    "broker killed": {"local", "pull", "kubernetes"},
    "API server gone": {"local", "pull", "celery"},
    "double delivery": {"local"},
}
_PROPERTY = "fault"
_WORST = ("failed", "error", "passed", "skipped")


def note_faults(items: Iterable[Any]) -> None:
    """Let the reports of the tests say which faults they go through."""
    for item in items:
        for mark in item.iter_markers("fault"):
            (name,), engine = mark.args, mark.kwargs["engine"]
            if name not in FAULTS or engine not in ENGINES or engine in NO_SUCH_PART.get(name, ()):
                raise ValueError(f"{item.nodeid}: there is no fault {name!r} of the engine {engine!r}")
            item.user_properties.append((_PROPERTY, [name, engine]))


def write_faults(reporter: Any) -> None:
    """Write the table, if any of the faults was tried. One failed test counts more than all that passed."""
    found = [
        (outcome, report, *value)
        for outcome in _WORST
        for report in reporter.stats.get(outcome, ())
        for key, value in getattr(report, "user_properties", ())
        if key == _PROPERTY
    ]
    if not found:
        return

    def cell(name: str, engine: str) -> str:
        if engine in NO_SUCH_PART.get(name, ()):
            return "no such part"
        return next((outcome for outcome, _, *tried in found if tried == [name, engine]), "not here")

    width = max(map(len, FAULTS))
    reporter.write_line(" ".join(["faults by engines".ljust(width), *(f"{engine:>13}" for engine in ENGINES)]))
    for name in FAULTS:
        reporter.write_line(" ".join([name.ljust(width), *(f"{cell(name, engine):>13}" for engine in ENGINES)]))
    skipped = [(report.longrepr[2], name, engine) for outcome, report, name, engine in found if outcome == "skipped"]
    for why, name, engine in dict.fromkeys(skipped):
        reporter.write_line(f"skipped: {name}, {engine}: {why.removeprefix('Skipped: ')}")
