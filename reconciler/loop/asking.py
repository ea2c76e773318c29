"""Asks policies beside the loop: one that takes long keeps only its own run waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from reconciler.core.runs import Run, RunId
from reconciler.engine.base import LegReport
from reconciler.loop.judging import Judged, Question

_log = logging.getLogger(__name__)

_THREADS = 4

About = LegReport | Run
"""The end of a plan, or a run that waits."""


@dataclass(slots=True)
class Asking:
    """The questions that are under way. Only the loop's own thread uses it; `wake` is called from others."""

    wake: Callable[[], None]
    _under_way: dict[RunId, tuple[About, Future[Judged]]] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "policies"))

    @property
    def runs(self) -> frozenset[RunId]:
        """The runs whose policies are being asked."""
        return frozenset(self._under_way)

    def begin(self, run: RunId, about: About, question: Question) -> None:
        """Ask; one question of a run at a time."""
        future = self._pool.submit(question.ask)
        self._under_way[run] = about, future
        future.add_done_callback(lambda _: self.wake())

    def answers(self) -> list[tuple[About, Judged | None]]:
        """Give what was answered since, each once; None where a question could not be asked at all."""
        done = {run: asked for run, asked in self._under_way.items() if asked[1].done()}
        answers: list[tuple[About, Judged | None]] = []
        for run, (about, future) in done.items():
            del self._under_way[run]
            failed = future.exception()
            if failed is not None:
                _log.error("the policies over run %s could not be asked", run, exc_info=failed)
            answers.append((about, None if failed is not None else future.result()))
        return answers

    def close(self) -> None:
        """Take no more questions; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
