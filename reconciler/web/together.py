"""What many requests want at once, done together.

A request that needs a thread costs more than most of them do there: two threads have to be woken, and all wait for each
other. Here one thread works at a time, for all who came since it began: the busier the service, the more of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class Together(Generic[_Question, _Answer]):
    """Answers many questions at once. All who use it share one event loop."""

    def __init__(self, answer: Callable[[Sequence[_Question]], Sequence[_Answer]]) -> None:
        """`answer` returns an answer for each question, in their order; it is called in a thread."""
        self._answers = answer
        self._waiting: list[tuple[_Question, asyncio.Future[_Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: _Question) -> _Answer:
        """Return an answer that is not older than the question. What goes wrong is raised for all who asked."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer] = loop.create_future()
        self._waiting.append((question, future))
        if self._task is None:
            self._task = loop.create_task(self._answer_all())
        return await future

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                answers: Sequence[_Answer] = ()
                failure = None
                try:
                    answers = await run_in_threadpool(self._answers, [question for question, _ in asked])
                except Exception as error:  # noqa: BLE001 - those who asked raise it
                    failure = error
                for number, (_, future) in enumerate(asked):
                    if future.done():
                        # Whoever asked is gone.
                        continue
                    if failure is None:
                        future.set_result(answers[number])
                    else:
                        future.set_exception(failure)
        finally:
            self._task = None
