"""Drives each tool's subject through a service, and prints what came of it as a table: tool by scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from tests.contract.tools import subjects
from tests.contract.tools.subjects.base import Subject
from tests.e2e.station import Repo
from tests.integration.loop import conftest as loop
from tests.integration.loop.machine import Machine
from tests.needs import need

SUBJECTS: dict[str, type[Subject]] = {
    module.name: import_module(f"{subjects.__name__}.{module.name}").TheSubject
    for module in iter_modules(subjects.__path__)
    if module.name != "base"
}

blank_database = loop.blank_database
_spawners = loop._spawners
_one_nursery = loop._one_nursery
repo = loop.repo
new_machine = loop.new_machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        marks = {name: getattr(subject, "marks", ()) for name, subject in SUBJECTS.items()}
        metafunc.parametrize("subject", [pytest.param(name, marks=marks[name]) for name in SUBJECTS], indirect=True)


@pytest.fixture
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    made = SUBJECTS[request.param]
    need(*made.needs)
    world = tmp_path / "world"
    world.mkdir()
    it = made(world)
    for name in made.uses:
        setattr(it, name, request.getfixturevalue(name))
    yield it
    it.close()


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine], subject: Subject) -> Machine:
    return new_machine(repo.url, grace_period=40 if subject.stops else 5, **subject.settings)


@pytest.fixture
def scenario(request: pytest.FixtureRequest, subject: Subject) -> Callable[[str], bool]:
    """Note that a scenario begins, for the table. False: the tool cannot do it, and the table says why."""

    def begin(name: str) -> bool:
        reason = subject.cannot.get(name)
        request.node.user_properties.append(("contract", (subject.tool, name, reason)))
        return reason is None

    return begin


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the table. A step has passed if another began after it, or if its test passed."""
    table: dict[str, dict[str, str]] = {}
    notes: dict[str, None] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            steps = [value for key, value in getattr(report, "user_properties", ()) if key == "contract"]
            for at, (tool, name, reason) in enumerate(steps):
                ended = outcome == "passed" or at < len(steps) - 1
                table.setdefault(name, {})[tool] = "skipped" if reason else "passed" if ended else outcome
                if reason:
                    notes[f"{tool}, {name}: {reason}"] = None
    if not table:
        return
    tools = sorted({tool for row in table.values() for tool in row} | set(SUBJECTS))
    width = max(map(len, table))
    terminalreporter.write_line(" ".join(["the contract of the tools".ljust(width), *(f"{it:>15}" for it in tools)]))
    for name, row in table.items():
        terminalreporter.write_line(" ".join([name.ljust(width), *(f"{row.get(it, 'not here'):>15}" for it in tools)]))
    for note in notes:
        terminalreporter.write_line(f"skipped: {note}")
