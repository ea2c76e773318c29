"""Questions to policies: the stages of an inquiry, and what fails in each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.loop.policies.inquiries import Inquiries
from reconciler.store.stored import StoreBusy
from tests.e2e.station import eventually
from tests.factories import NOW


class Question:
    def __init__(self, answer: Any = "yes", until: threading.Event | None = None) -> None:
        self.answer = answer
        self.until = until

    def ask(self) -> Any:
        if self.until is not None:
            assert self.until.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Asker:
    """Opens inquiries, and keeps what was concluded; `broken` are those whose end fails."""

    def __init__(self) -> None:
        self.rung = threading.Event()
        self.inquiries = Inquiries(self.rung.set)
        self.gathered: list[str] = []
        self.concluded: list[tuple[str, Any]] = []
        self.broken: dict[tuple[str, str], Exception] = {}

    def open(self, about: str, question: Question | None) -> None:
        def gather(_now: object) -> Question | None:
            self.gathered.append(about)
            if ("gather", about) in self.broken:
                raise self.broken["gather", about]
            return question

        def conclude(asked: Question | None, answer: Any, _now: object) -> None:
            assert asked is question
            if ("conclude", about) in self.broken:
                raise self.broken["conclude", about]
            self.concluded.append((about, answer))

        self.inquiries.open(about, gather, conclude)

    def step(self) -> int:
        return self.inquiries.step(NOW)


@pytest.fixture
def asker() -> Iterator[Asker]:
    made = Asker()
    yield made
    made.inquiries.close()


def test_where_nobody_is_to_be_asked_the_end_comes_at_once(asker: Asker) -> None:
    asker.open("a", None)
    assert (asker.step(), asker.concluded, len(asker.inquiries)) == (1, [("a", None)], 0)


def test_an_answer_is_waited_for_and_rings_the_bell(asker: Asker) -> None:
    until = threading.Event()
    asker.open("a", Question(until=until))
    asker.open("b", None)
    assert (asker.step(), asker.concluded, asker.inquiries.about) == (1, [("b", None)], {"a"})
    assert (asker.step(), asker.gathered) == (0, ["a", "b"])
    assert not asker.rung.is_set()
    until.set()
    assert asker.rung.wait(20)
    assert (asker.step(), asker.concluded[1:]) == (1, [("a", "yes")])


def test_a_question_that_cannot_be_asked_is_concluded_without_an_answer(
    asker: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    asker.open("a", Question(OSError("no process")))
    eventually(lambda: asker.step() or asker.concluded)
    assert asker.concluded == [("a", None)]
    assert "the question about a could not be asked" in caplog.text


@pytest.mark.parametrize("stage", ["gather", "conclude"])
def test_one_that_fails_keeps_no_other_back_and_is_tried_again_where_it_was(asker: Asker, stage: str) -> None:
    asker.broken[stage, "a"] = ValueError("a bug")
    asker.open("a", Question())
    asker.open("b", None)
    failures = []

    def tried() -> bool:
        try:
            asker.step()
        except ValueError as error:
            failures.append(str(error))
        return len(failures) > 2

    eventually(tried)
    assert (set(failures), asker.concluded) == ({"a bug"}, [("b", None)])
    asker.broken.clear()
    eventually(lambda: asker.step() or len(asker.concluded) == 2)
    assert asker.concluded[1] == ("a", "yes")
    assert asker.gathered.count("a") == (1 if stage == "conclude" else len(failures) + 1)


def test_a_busy_store_stops_the_step_at_once(asker: Asker) -> None:
    asker.broken["conclude", "a"] = StoreBusy("locked")
    asker.open("a", None)
    asker.open("b", None)
    with pytest.raises(StoreBusy):
        asker.step()
    assert asker.concluded == []
    asker.broken.clear()
    assert (asker.step(), asker.concluded) == (2, [("a", None), ("b", None)])
