"""What many workers want at once, done together: there may be hundreds of them, and what each wants is small.

What they want of legs is done in one thread, one after the other. Whether the store still has these legs at work is
asked before, for all of them at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request

from reconciler.core.phases import Leg
from reconciler.core.runs import RunId, RunStatus
from reconciler.engine.handout import Handout, LegRefused
from reconciler.store.stored import StoreError
from reconciler.web.together import Together

STATUSES = {Leg.PLAN: RunStatus.PLANNING, Leg.APPLY: RunStatus.APPLYING}
"""The status of a run whose leg is at work."""

_FENCED = 1.0
"""For how many seconds what the store said of a leg counts: a lost lease is noticed far later than that anyway."""

_Answer = TypeVar("_Answer")
_Outcome = tuple[Any, Exception | None]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a worker wants. `leg`: one that must be at work for the store as well; None: it was seen to be so."""

    leg: Handout | None
    piece: Callable[[], Any]


class Crowd:
    """Does what the requests of one app want. No piece of work may wait long: the others would, too."""

    def __init__(self, app: Starlette) -> None:
        """Ask the store that the app has by then."""
        self._app = app
        self._admitting = Together[Callable[[], Any], _Outcome](lambda pieces: [*map(_done, pieces)])
        self._working = Together[_Wish, _Outcome](self._work)

    async def admit(self, piece: Callable[[], _Answer]) -> _Answer:
        """Find out who asks for work: do that in a thread, and return or raise what it does."""
        result, error = await self._admitting.ask(piece)
        if error is not None:
            raise error
        answer: _Answer = result
        return answer

    async def work(self, leg: Handout, piece: Callable[[], _Answer], *, anew: bool = False) -> _Answer:
        """Do something with a leg in a thread, and return or raise what it does.

        LegRefused where the store has the leg not at work any more; it is asked `anew`, or where it was not lately.
        """
        unsure = anew or time.monotonic() - leg.fenced > _FENCED
        result, error = await self._working.ask(_Wish(leg if unsure else None, piece))
        if error is not None:
            raise error
        answer: _Answer = result
        return answer

    def _work(self, wishes: Sequence[_Wish]) -> list[_Outcome]:
        refused = self._refused({wish.leg for wish in wishes if wish.leg is not None})
        return [
            (None, refused[wish.leg]) if wish.leg is not None and wish.leg in refused else _done(wish.piece)
            for wish in wishes
        ]

    def _refused(self, legs: Collection[Handout]) -> dict[Handout, Exception]:
        """Return those of the legs that are not at work any more, or of which the store cannot say it, with the why."""
        if not legs:
            return {}
        try:
            with self._app.state.ports.store.glance() as reading:
                standings = reading.standings([RunId(leg.which.run) for leg in legs])
        except StoreError as error:
            return dict.fromkeys(legs, error)
        refused: dict[Handout, Exception] = {}
        for leg in legs:
            if standings.get(RunId(leg.which.run)) == (leg.which.attempt, STATUSES[leg.which.leg]):
                leg.fenced = time.monotonic()
            else:
                refused[leg] = LegRefused("the run goes on without this leg, or has ended")
        return refused


def crowd_of(request: Request) -> Crowd:
    """Return the crowd of the app that a request is for."""
    crowd: Crowd = request.app.state.crowd
    return crowd


def _done(piece: Callable[[], Any]) -> _Outcome:
    try:
        return piece(), None
    except Exception as error:  # noqa: BLE001 - whoever wanted it raises it
        return None, error
