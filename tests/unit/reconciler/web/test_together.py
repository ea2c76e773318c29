"""Many questions at once: one look answers all that were asked before it began."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from reconciler.web.together import Together


def test_whoever_asks_during_a_look_waits_for_the_next_one() -> None:
    looks: list[list[int]] = []
    began, goes_on = threading.Event(), threading.Event()

    def look(asked: Sequence[int]) -> list[int]:
        looks.append([*asked])
        began.set()
        assert goes_on.wait(10)
        return [10 * each for each in asked]

    async def ask() -> list[int]:
        together = Together[int, int](look)
        first = asyncio.ensure_future(together.ask(1))
        await asyncio.to_thread(began.wait, 10)
        later = [asyncio.ensure_future(together.ask(each)) for each in (2, 3, 4)]
        await asyncio.sleep(0)
        # Whoever is gone takes nothing from the others.
        later.pop(1).cancel()
        goes_on.set()
        return [await each for each in (first, *later)]

    assert asyncio.run(ask()) == [10, 20, 40]
    assert looks == [[1], [2, 3, 4]]


def test_a_look_that_fails_fails_for_all_who_asked_and_for_nobody_after_them() -> None:
    fails = [True, False]

    def look(asked: Sequence[int]) -> Sequence[int]:
        if fails.pop(0):
            raise LookupError("not now")
        return asked

    async def ask() -> list[object]:
        together = Together[int, int](look)
        failed = await asyncio.gather(together.ask(1), together.ask(2), return_exceptions=True)
        return [*failed, await together.ask(3)]

    *failed, answer = asyncio.run(ask())
    assert [type(each) for each in failed] == [LookupError, LookupError]
    assert answer == 3
