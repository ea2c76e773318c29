"""What policies and persons said of runs."""

from __future__ import annotations

from reconciler.core.runs import RunStatus
from reconciler.core.verdicts import Judgement, Result, Review, Verdict
from reconciler.store.sql import SqlStore
from spaces.names import Digest
from tests.factories import NOW, a_run, a_stack_id, later

FIRST = Judgement(Digest("d1"), "p1", 1, NOW, (Verdict("a/b", "plan", mandatory=True, result=Result.WARN),))
SECOND = Judgement(
    Digest("d1"),
    None,
    2,
    later(5),
    (
        Verdict("a/b", "plan", mandatory=True, result=Result.DENY, messages=("ü\ud800",), warnings=("w",), error=True),
        Verdict("a/c", "approval", mandatory=False, result=Result.WAIT),
    ),
)


def test_the_last_judgement_counts(store: SqlStore) -> None:
    run, other = a_run("root/a"), a_run("root/b")
    with store.writing() as transaction:
        transaction.add_runs([run, other])
        assert transaction.judgement(run.id) is None
        transaction.record_judgement(run.id, FIRST)
        transaction.record_judgement(run.id, SECOND)
    with store.reading() as reading:
        assert (reading.judgement(run.id), reading.judgement(other.id)) == (SECOND, None)


def test_each_person_has_one_review(store: SqlStore) -> None:
    run, other = a_run("root/a"), a_run("root/b")
    ada, bob, again = (
        Review("user:ada", approves=True, note="", at=NOW),
        Review("user:bob", approves=False, note="not yet\0", at=later(1)),
        Review("user:ada", approves=False, note="after all", at=later(2)),
    )
    with store.writing() as transaction:
        transaction.add_runs([run, other])
        for review in (ada, bob, again):
            transaction.put_review(run.id, review)
    with store.reading() as reading:
        assert [(it.person, it.approves, it.at) for it in reading.reviews(run.id)] == [
            ("user:bob", False, later(1)),
            ("user:ada", False, later(2)),
        ]
        assert reading.reviews(other.id) == []


def test_they_go_along_when_a_stack_moves(store: SqlStore) -> None:
    run = a_run("root/a", status=RunStatus.UNCONFIRMED, awaits_approval=True, to_judge=True)
    with store.writing() as transaction:
        transaction.add_runs([run])
        transaction.record_judgement(run.id, FIRST)
        transaction.put_review(run.id, Review("user:ada", approves=True, note="", at=NOW))
        transaction.move_stack(a_stack_id("root/a"), a_stack_id("root/z"))
    with store.reading() as reading:
        found = reading.run(run.id)
        assert found is not None
        assert (str(found.stack), found.awaits_approval, found.to_judge) == ("root/z", True, True)
        assert (reading.judgement(run.id), len(reading.reviews(run.id))) == (FIRST, 1)
