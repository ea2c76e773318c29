"""How often Python's garbage collector runs, chosen by the kind of command.

A short command ends before there is garbage worth collecting, so `__main__` makes the collector rare before anything
is imported. `serve` and `reconcile` return to Python's own pace before they open anything. This module is apart from
`main` because it must be set before click is imported.
"""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
_SELDOM = 100_000
"""New objects before the collector runs. Nearly all objects that a starting command creates live until its end."""


def seldom() -> None:
    """Collect rarely: Python's own pace costs a short command a twentieth of its time and frees nothing."""
    gc.set_threshold(_SELDOM)


def as_usual() -> None:
    """Collect at Python's own pace, for commands that run long or hold much."""
    gc.set_threshold(*_USUAL)


def never_again() -> None:
    """Exempt all existing objects: at exit Python would scan them several times and free nothing."""
    gc.freeze()
