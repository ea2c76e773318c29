from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.forked import Nursery
from tests.e2e.station import Repo, Station
from tests.needs import need
from tests.small_disk import small_disk


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "24m") as disk:
        yield disk


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def new_station(tmp_path: Path, nursery: Nursery) -> Iterator[Callable[..., Station]]:
    made: list[Station] = []

    def make(url: str, name: str = "one", **settings: Any) -> Station:
        station = Station(tmp_path / name, url, nursery, **settings)
        made.append(station)
        return station

    yield make
    for station in made:
        station.end()


@pytest.fixture
def station(repo: Repo, new_station: Callable[..., Station]) -> Station:
    return new_station(repo.url)


@pytest.fixture(scope="session")
def terraform() -> None:
    need("terraform")
