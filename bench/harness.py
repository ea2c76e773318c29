"""The parts of every benchmark: alternating rounds, medians, and figures with a limit."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """The meaning of a figure's limit."""

    RATIO = "x"
    """Our value divided by the peer's, at most."""
    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: our value and the peer's in the same unit. A figure without a limit is for information only."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    against: str = ""
    """The peer in a few words."""
    limit: float | None = None
    kind: Limit = Limit.RATIO

    @property
    def ratio(self) -> float | None:
        """Our value divided by the peer's; None without a peer."""
        return self.ours / self.peer if self.peer else None

    @property
    def over(self) -> bool:
        """Whether the limit is missed."""
        if self.limit is None:
            return False
        match self.kind:
            case Limit.RATIO:
                return self.ratio is None or self.ratio > self.limit
            case Limit.AT_MOST:
                return self.ours > self.limit
            case Limit.AT_LEAST:
                return self.ours < self.limit

    def line(self) -> str:
        """Return the figure as one line of the table."""
        peer = f"{_number(self.peer)} {self.unit}" if self.peer is not None else "-"
        ratio = f"{self.ratio:.2f}x" if self.ratio is not None else "-"
        verdict = "" if self.limit is None else "OVER" if self.over else "ok"
        columns = (
            f"{self.name:<44}",
            f"{_number(self.ours) + ' ' + self.unit:>12}",
            f"{peer:>12}",
            f"{ratio:>8}",
            f"{_limit(self):>12}",
            f"{verdict:<5}",
            self.against,
        )
        return " ".join(columns).rstrip()


HEADER = f"{'':<44} {'ours':>12} {'peer':>12} {'ratio':>8} {'limit':>12}"


def _limit(figure: Figure) -> str:
    if figure.limit is None:
        return "-"
    if figure.kind is Limit.RATIO:
        return f"≤ {figure.limit:g}x"
    return f"{figure.kind} {figure.limit:g} {figure.unit}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def alternate(rounds: int, *contenders: Callable[[], float]) -> list[float]:
    """Run the contenders in turns, so that other work on the machine affects all alike; return the median of each.

    Every contender returns its own seconds. The first round is a warm-up and does not count.
    """
    taken: list[list[float]] = [[] for _ in contenders]
    for turn in range(rounds + 1):
        for contender, seconds in zip(contenders, taken, strict=True):
            gc.collect()
            one = contender()
            if turn:
                seconds.append(one)
    return [statistics.median(seconds) for seconds in taken]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of a piece of work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def environment(**extra: str) -> dict[str, str]:
    """Return the environment for subprocesses, in which git reads no settings of this machine."""
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
    return {**{key: value for key, value in os.environ.items() if not key.startswith("STATION_")}, **quiet, **extra}
