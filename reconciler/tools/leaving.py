"""What an apply that failed has left: an adapter says how it finds that out, and the run's record lists it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from reconciler.core.results import Applied
from reconciler.tools.base import StepFailed, TfstateNotSaved


@contextmanager
def leaving(find: Callable[[], Applied]) -> Iterator[None]:
    """Add to a failure of what is done within the resources that `find` gives, unless that fails, too.

    Outputs are left out: nobody is to use those of an apply that failed. So is everything where the tfstate did not get
    to its backend, since what is there is old.
    """
    try:
        yield
    except StepFailed as failed:
        if not isinstance(failed, TfstateNotSaved):
            with suppress(StepFailed):
                failed.left = replace(find(), outputs=())
        raise
