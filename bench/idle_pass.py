"""A pass over 10,000 stacks without any change: its time besides the fetch, and that it starts no process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.harness import Figure, Limit, alternate, timed
from bench.installations import installation
from bench.repositories import build

ROUNDS = 21
_STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure `Loop.reconcile` without the fetch inside it."""
    repository = build(scratch / "config.git", 10_000)
    with installation(repository.url, scratch / "data") as settled:
        loop = settled.service.loop
        loop.look()
        settled.settle()
        fetching: list[float] = []
        fetch = loop.fetcher.fetch

        def timed_fetch(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return fetch(*arguments, **options)
            finally:
                fetching.append(time.perf_counter() - started)

        settled.service.loop.watcher.fetcher = _Fetcher(loop.fetcher, timed_fetch)  # type: ignore[assignment]

        def beside() -> float:
            fetching.clear()
            return timed(loop.reconcile) - sum(fetching)

        started = _count_starts()
        ours, fetched = alternate(ROUNDS, beside, lambda: sum(fetching))
        processes = len(started)
    yield Figure(
        "a pass with nothing new, beside its fetch", ours * 1e3, "ms", fetched * 1e3, "its fetch", 5, Limit.AT_MOST
    )
    yield Figure("  processes started in 22 passes", processes, "", limit=0, kind=Limit.AT_MOST)


class _Fetcher:
    """The loop's fetcher, with a clock around `fetch`."""

    def __init__(self, fetcher: Any, fetch: Any) -> None:
        self.fetch = fetch
        self.next_due = fetcher.next_due


def _count_starts() -> list[str]:
    """Count every process that this one starts from now on, including the nursery."""
    started: list[str] = []

    def hear(event: str, _arguments: tuple[Any, ...]) -> None:
        if event in _STARTS:
            started.append(event)

    sys.addaudithook(hear)
    return started
