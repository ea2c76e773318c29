"""The workers that wait for work: who asks, and which of them is called when there is a leg.

The engine of workers holds its lock around every call. A worker is called once, and looks for itself what there is; so
a call that is lost, because the worker has just gone, costs the others no more than the time until their next look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.engine.handout import Handout
from reconciler.engine.roster import Roster


def nobody() -> None:
    """Call nobody."""


@dataclass(eq=False, slots=True)
class Question:
    """A worker that waits for work. `call`, from any thread, makes it look whether there is a leg for it."""

    worker: str
    call: Callable[[], object] = nobody
    called: bool = False
    """Whether it was called, and has not looked since."""


@dataclass(slots=True)
class Questions:
    """The questions that wait for an answer."""

    _by_pool: dict[str, dict[Question, None]] = field(default_factory=dict)
    """The oldest first."""

    def add(self, pool: str, question: Question) -> None:
        """Let a worker wait."""
        self._by_pool.setdefault(pool, {})[question] = None

    def remove(self, pool: str, question: Question) -> None:
        """Let it wait no more."""
        self._by_pool.get(pool, {}).pop(question, None)

    def names(self, pool: str) -> list[str]:
        """Return who waits for work of a pool, once for each question."""
        return [question.worker for question in self._by_pool.get(pool, ())]

    def pools(self) -> list[str]:
        """Return the pools for whose work anybody ever waited."""
        return list(self._by_pool)

    def call_all(self) -> None:
        """Make everybody look."""
        for asking in self._by_pool.values():
            for question in asking:
                question.call()

    def choose(self, leg: Handout, roster: Roster) -> Question:
        """Choose whom to call for a leg: the worker that has the plan, else the first one that has the tool."""
        pool = leg.offer.pool
        free = [question for question in self._by_pool.get(pool, ()) if not question.called]
        theirs = [question for question in free if question.worker in {leg.offer.wanted, leg.near}]
        if not theirs and leg.offer.wanted is None:
            theirs = [each for each in free if roster.said(pool, each.worker).fits(*leg.needs)] or free
        question = theirs[0] if theirs else Question("")
        question.called = True
        return question
