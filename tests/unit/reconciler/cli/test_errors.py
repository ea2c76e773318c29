"""The errors that `station` explains in one line are known by name: a class that moves must move here too."""

from __future__ import annotations

import importlib

import pytest

from reconciler.cli.errors import _EXPECTED


@pytest.mark.parametrize(("module", "name"), sorted(_EXPECTED))
def test_every_expected_error_lives_where_the_table_says(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name).__module__ == module
