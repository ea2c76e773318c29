from __future__ import annotations

import pytest

from tests.spawners import one_nursery, spawners

__all__ = ["one_nursery", "spawners"]


@pytest.fixture(scope="module", autouse=True)
def _hasty_sqlite(hasty_sqlite: None) -> None:
    """Let every test here profit."""
