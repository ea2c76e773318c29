"""Questions that many requests ask at once, answered together.

One question at a time is under way, in a thread. Whoever asks meanwhile waits for the next one, which asks for all of
them. So an answer is never older than its question, and however many ask, the store sees few questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


class Together(Generic[_Key, _Answer]):
    """Asks for many keys at once. All who use it share one event loop."""

    def __init__(self, look: Callable[[Sequence[_Key]], Mapping[_Key, _Answer]]) -> None:
        """`look` answers for some keys; it is called in a thread."""
        self._look = look
        self._waiting: list[tuple[_Key, asyncio.Future[_Answer | None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, key: _Key) -> _Answer | None:
        """Return the answer for a key; None: there is none. What goes wrong is raised for all who asked."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Answer | None] = loop.create_future()
        self._waiting.append((key, future))
        if self._task is None:
            self._task = loop.create_task(self._answer())
        return await future

    async def _answer(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                await self._answer_all(asked)
        finally:
            self._task = None

    async def _answer_all(self, asked: Sequence[tuple[_Key, asyncio.Future[_Answer | None]]]) -> None:
        found: Mapping[_Key, _Answer] = {}
        failure = None
        try:
            found = await run_in_threadpool(self._look, [key for key, _ in asked])
        except Exception as error:  # noqa: BLE001 - those who asked raise it
            failure = error
        for key, future in asked:
            if future.done():
                # Whoever asked is gone.
                continue
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(found.get(key))
