from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _hasty_sqlite(hasty_sqlite: None) -> None:
    """Let every test here profit."""
