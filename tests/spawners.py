"""One nursery for all engines of a test process: to start and warm up another one takes as long as many a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from reconciler.engine import local
from reconciler.engine.spawn import Spawner

_MOST = 4
"""How many nurseries are kept, each with another environment. One that is closed starts again where it is needed."""


class Lasting(Spawner):
    """A spawner that an engine cannot close."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def spawners() -> Iterator[dict[tuple[tuple[str, str], ...], Lasting]]:
    """The spawners so far, by their environment."""
    made: dict[tuple[tuple[str, str], ...], Lasting] = {}
    yield made
    for spawner in made.values():
        Spawner.close(spawner)


@pytest.fixture(autouse=True)
def one_nursery(spawners: dict[tuple[tuple[str, str], ...], Lasting]) -> Iterator[None]:
    """Have all engines with the same environment start their runs from one nursery."""

    def lasting(env: Mapping[str, str]) -> Lasting:
        key = tuple(sorted(env.items()))
        if key not in spawners:
            if len(spawners) == _MOST:
                Spawner.close(spawners.pop(next(iter(spawners))))
            spawners[key] = Lasting(env)
        return spawners[key]

    # Not by the test's own patches: those are to end before what the test itself has asked for.
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(local, "Spawner", lasting)
        yield
