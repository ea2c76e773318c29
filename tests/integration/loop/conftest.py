from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.web import app
from tests.e2e.station import Repo
from tests.integration.loop.access import keys, seen_once, service, signed
from tests.integration.loop.machine import Machine
from tests.integration.web import conftest as web
from tests.routes import routed

blank_database = web.blank_database

__all__ = ["keys", "seen_once", "service", "signed"]


@pytest.fixture(scope="module", autouse=True)
def shared_routes() -> Iterator[None]:
    """Let no app of a test make its routes anew."""
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(app, "routed", routed)
        yield


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture
def new_machine(tmp_path: Path, blank_database: Path) -> Iterator[Callable[..., Machine]]:
    made: list[Machine] = []

    def make(url: str, name: str = "one", **settings: Any) -> Machine:
        machine = Machine(tmp_path / name, url, blank_database, **settings)
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine]) -> Machine:
    return new_machine(repo.url)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file that the test's scripts write a line to."""
    return tmp_path / "ran"
