"""Statements that one engine has compiled, for all engines of this process.

A service opens one database and compiles each statement once. Tests open hundreds, and compiled them again for each: a
third of the time of many a test.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache


def share_compiled_statements() -> None:
    """Give all engines one cache of statements, and take dialects of one class for the same."""
    cache: LRUCache[Any, Any] = LRUCache(5000)
    changes: tuple[tuple[type, str, Any], ...] = (
        (Engine, "_compiled_cache", property(lambda _: cache, lambda _, given: None)),
        # The key of a compiled statement has its dialect in it.
        (DefaultDialect, "__eq__", lambda one, other: type(one) is type(other)),
        (DefaultDialect, "__hash__", lambda one: hash(type(one))),
    )
    for owner, name, value in changes:
        setattr(owner, name, value)
