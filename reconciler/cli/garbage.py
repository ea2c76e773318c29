"""When the interpreter looks for garbage: short commands end before there is any worth the time, a service goes on."""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
_SELDOM = 100_000
"""Objects that are made before it looks. Nearly all that is made while a command starts stays until its end."""


def seldom() -> None:
    """Look only where much is made: the usual pace takes a twentieth of a short command's time, and finds nothing."""
    gc.set_threshold(_SELDOM)


def as_usual() -> None:
    """Look as often as other programs do: for what runs on, or has much to hold."""
    gc.set_threshold(*_USUAL)


def never_again() -> None:
    """Leave all that there is alone. At its end the interpreter looks through everything, several times, in vain."""
    gc.freeze()
