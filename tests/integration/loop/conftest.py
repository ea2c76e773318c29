from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.engine import local
from reconciler.engine.spawn import Spawner
from tests.e2e.station import Repo
from tests.integration.loop.access import keys, seen_once, service, signed
from tests.integration.loop.machine import Machine
from tests.integration.web import conftest as web

blank_database = web.blank_database

__all__ = ["keys", "seen_once", "service", "signed"]


class Lasting(Spawner):
    """A spawner that an engine cannot close: starting and warming up a nursery takes as long as many a test."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def _spawners() -> Iterator[dict[tuple[tuple[str, str], ...], Lasting]]:
    spawners: dict[tuple[tuple[str, str], ...], Lasting] = {}
    yield spawners
    for spawner in spawners.values():
        Spawner.close(spawner)


@pytest.fixture(autouse=True)
def _one_nursery(monkeypatch: pytest.MonkeyPatch, _spawners: dict[tuple[tuple[str, str], ...], Lasting]) -> None:
    """Have all services with the same environment start their runs from one nursery; the engine's own tests do not."""

    def lasting(env: Mapping[str, str]) -> Lasting:
        return _spawners.setdefault(tuple(sorted(env.items())), Lasting(env))

    monkeypatch.setattr(local, "Spawner", lasting)


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
