"""Keeps Python's garbage collector out of the way of a configuration that is read whole."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Do not look for garbage while ten thousand documents come to life, nor among them afterwards.

    Each look would go through all that was read so far, and there is no garbage in it: nothing there refers back to
    what holds it, so what is replaced later goes when its last user does, without the collector.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
