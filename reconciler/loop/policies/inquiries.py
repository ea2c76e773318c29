"""Questions to policies that are under way beside the loop: one small state machine.

Whoever needs the answer of policies opens an inquiry. It says how the question is gathered, and what is to be done with
the answer. `step` then moves each inquiry through its stages:

    OPEN       the question is to be gathered, in the loop's thread
    ASKED      the policies are being asked, in a thread of the pool
    ANSWERED   what follows from the answer is to be done, in the loop's thread

An inquiry without a question goes from OPEN to ANSWERED at once. One that fails stays in its stage, is tried again by
the next `step`, and keeps no other back. Nothing here knows what the questions are about.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from reconciler.store.stored import StoreBusy

_log = logging.getLogger(__name__)

_THREADS = 8

Answer_co = TypeVar("Answer_co", covariant=True)


class Question(Protocol[Answer_co]):
    """A question that is gathered whole, so that any thread may ask it."""

    def ask(self) -> Answer_co:
        """Ask the policies. It takes as long as policies may take."""


Asked = TypeVar("Asked", bound=Question[Any])


class InquiryStage(Enum):
    """How far an inquiry has come."""

    OPEN = auto()
    ASKED = auto()
    ANSWERED = auto()


@dataclass(slots=True)
class Inquiry(Generic[Asked]):
    """One question to policies, from before it is gathered until its answer is dealt with."""

    about: str
    """The id of the run or stack."""
    gather: Callable[[datetime], Asked | None]
    """Returns the question; None: nobody is to be asked."""
    conclude: Callable[[Asked | None, Any, datetime], None]
    """Deals with the answer. It is None where nobody was asked, or where asking failed."""
    stage: InquiryStage = InquiryStage.OPEN
    question: Asked | None = None
    future: Future[Any] | None = None
    answer: Any = None


@dataclass(slots=True)
class Inquiries:
    """The inquiries of one kind, which share a pool of threads. Only one thread calls them."""

    wake: Callable[[], None]
    """Is called from any thread when an answer has come."""
    _under_way: dict[int, Inquiry[Any]] = field(default_factory=dict)
    _about: Counter[str] = field(default_factory=Counter)
    _opened: int = 0
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "policies"))

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def about(self) -> set[str]:
        """The runs and stacks that the inquiries under way are about."""
        return set(self._about)

    def is_about(self, about: str) -> bool:
        """Whether an inquiry about this run or stack is under way."""
        return about in self._about

    @property
    def free(self) -> int:
        """How many more questions can be asked at once."""
        return max(0, _THREADS - len(self._under_way))

    def open(
        self,
        about: str,
        gather: Callable[[datetime], Asked | None],
        conclude: Callable[[Asked | None, Any, datetime], None],
    ) -> None:
        """Begin an inquiry; the next `step` gathers its question."""
        self._opened += 1
        self._under_way[self._opened] = Inquiry(about, gather, conclude)
        self._about[about] += 1

    def step(self, now: datetime) -> int:
        """Move each inquiry as far as it goes without waiting, and return how many were dealt with.

        The first failure is raised when all others were tried, that of a busy store at once.
        """
        concluded = 0
        failure: Exception | None = None
        for number, inquiry in list(self._under_way.items()):
            try:
                if self._move(inquiry, now):
                    del self._under_way[number]
                    self._about[inquiry.about] -= 1
                    if not self._about[inquiry.about]:
                        del self._about[inquiry.about]
                    concluded += 1
            except StoreBusy:
                raise
            except Exception as error:  # noqa: BLE001 - it is raised when the others were tried
                failure = failure or error
        if failure is not None:
            raise failure
        return concluded

    def close(self) -> None:
        """Ask nothing more; questions under way end by themselves, and nobody hears of them."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _move(self, inquiry: Inquiry[Any], now: datetime) -> bool:
        if inquiry.stage is InquiryStage.OPEN:
            inquiry.question = inquiry.gather(now)
            if inquiry.question is None:
                inquiry.stage = InquiryStage.ANSWERED
            else:
                inquiry.future = self._pool.submit(inquiry.question.ask)
                inquiry.stage = InquiryStage.ASKED
                inquiry.future.add_done_callback(lambda _: self.wake())
        if inquiry.stage is InquiryStage.ASKED and inquiry.future is not None:
            if not inquiry.future.done():
                return False
            failed = inquiry.future.exception()
            if failed is not None:
                _log.error("the question about %s could not be asked", inquiry.about, exc_info=failed)
            inquiry.answer = None if failed is not None else inquiry.future.result()
            inquiry.stage = InquiryStage.ANSWERED
        inquiry.conclude(inquiry.question, inquiry.answer, now)
        return True
