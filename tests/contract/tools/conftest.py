"""Drives each tool's subject through a service; `table` prints what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from tests.contract.tools import subjects
from tests.contract.tools.subjects.base import Subject
from tests.contract.tools.table import subject_names
from tests.e2e.station import Repo
from tests.integration.loop import conftest as loop
from tests.integration.loop.machine import Machine
from tests.needs import need
from tests.spawners import one_nursery, spawners

__all__ = ["one_nursery", "spawners"]

SUBJECTS: dict[str, type[Subject]] = {
    name: import_module(f"{subjects.__name__}.{name}").TheSubject for name in subject_names()
}

blank_database = loop.blank_database
repo = loop.repo
new_machine = loop.new_machine
shared_routes = loop.shared_routes


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
