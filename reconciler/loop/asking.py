"""Asks policies beside the loop: one that takes long keeps only what it is asked about waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

_THREADS = 4

About = TypeVar("About")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Asking(Generic[About, Answer]):
    """The questions that are under way. Only the loop's own thread uses it; `wake` is called from others."""

    wake: Callable[[], None]
    _under_way: dict[str, tuple[About, Future[Answer]]] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "policies"))

    @property
    def keys(self) -> frozenset[str]:
        """The runs or stacks whose policies are being asked."""
        return frozenset(self._under_way)

    def begin(self, key: str, about: About, ask: Callable[[], Answer]) -> None:
        """Ask; one question of a key at a time."""
        future = self._pool.submit(ask)
        self._under_way[key] = about, future
        future.add_done_callback(lambda _: self.wake())

    def answers(self) -> list[tuple[About, Answer | None]]:
        """Give what was answered since, each once; None where a question could not be asked at all."""
        done = {key: asked for key, asked in self._under_way.items() if asked[1].done()}
        answers: list[tuple[About, Answer | None]] = []
        for key, (about, future) in done.items():
            del self._under_way[key]
            failed = future.exception()
            if failed is not None:
                _log.error("the policies over %s could not be asked", key, exc_info=failed)
            answers.append((about, None if failed is not None else future.result()))
        return answers

    def close(self) -> None:
        """Take no more questions; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
