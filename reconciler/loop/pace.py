"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random

_JITTER = 0.1


def pause(first: float, failures: int, longest: float) -> float:
    """Say for how many seconds to wait after so many failures in a row: doubled by each, up to `longest`."""
    seconds: float = min(first * 2 ** min(failures, 16), max(first, longest))
    # Services that were started together spread out over time.
    jitter: float = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    return seconds * jitter
