"""What is held, what was approved, and the audit, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from rbac.access.actions import Action
from rbac.admission.held import HeldChange
from reconciler.store import tables
from reconciler.store.auditing import chained
from reconciler.store.sql import SqlStore
from reconciler.store.stored import AuditEvent, AuditFilter, StoredApproval
from spaces.composition.holds import Because
from spaces.documents.changes import Verb
from spaces.names import Kind, ResourceRef, Revision, SpaceName
from tests.factories import NOW, REVISION


def a_held(name: str = "web", verb: Verb = Verb.UPDATE, **more: object) -> HeldChange:
    ref = ResourceRef(Kind.STACK, SpaceName("prod"), name)
    right = (Action("stack", "update"), SpaceName("prod"))
    return HeldChange(f"id of {name}", ref, verb, "user:bob", right, REVISION, "bob may not \n€", **more)


def test_a_held_change_is_found_as_it_was_stored(store: SqlStore) -> None:
    held = [
        a_held(file="prod/web.yaml"),
        replace(a_held("broken", Verb.MOVE), missing=None, because=Because.BROKEN, at=Revision("2" * 40)),
        a_held("files", pin=Revision("1" * 40)),
    ]
    with store.writing() as transaction:
        transaction.put_held_changes(held, NOW)
    with store.reading() as reading:
        assert reading.held_changes() == sorted(held, key=lambda each: (each.ref, each.id))
        assert reading.held_since() == NOW
    with store.writing() as transaction:
        transaction.put_held_changes([replace(held[0], message="told anew")], NOW + timedelta(hours=1))
        assert [each.message for each in transaction.held_changes()] == ["told anew"]
        assert transaction.held_since() == NOW, "it is held since then, whatever is said of it"
        transaction.put_held_changes(held[1:2], NOW + timedelta(hours=1))
        assert transaction.held_since() == NOW + timedelta(hours=1)
        transaction.put_held_changes([], NOW)
    with store.reading() as reading:
        assert (reading.held_changes(), reading.held_since()) == ([], None)


def test_approvals_wait_in_order_until_they_are_looked_at(store: SqlStore) -> None:
    first = StoredApproval("a", "user:alice", "admin in root", NOW)
    second = StoredApproval("b", "admin:operator of the data directory", "its own", NOW + timedelta(seconds=1))
    with store.writing() as transaction:
        transaction.add_approval(second)
        transaction.add_approval(StoredApproval("a", "user:bob", "earlier", NOW))
        transaction.add_approval(first)
    with store.reading() as reading:
        assert reading.approvals() == [first, second]
    with store.writing() as transaction:
        transaction.remove_approvals(["a", "unknown"])
        assert transaction.approvals() == [second]


def fill(store: SqlStore, count: int = 5) -> None:
    with store.writing() as transaction:
        transaction.append_audit(AuditEvent("admitted", NOW, "user:alice", {"n": n}) for n in range(2))
    with store.writing() as transaction:
        transaction.append_audit(AuditEvent("held", NOW, None, {"n": n, "ü": "\0"}) for n in range(2, count))


def test_the_audit_is_read_in_order(store: SqlStore) -> None:
    fill(store)
    with store.reading() as reading:
        rows = reading.audit(0, 10)
        assert [row.number for row in rows] == [1, 2, 3, 4, 5]
        assert [row.event.details["n"] for row in rows] == [0, 1, 2, 3, 4]
        assert rows[0].event == AuditEvent("admitted", NOW, "user:alice", {"n": 0})
        assert [row.number for row in reading.audit(2, 2)] == [3, 4]
        assert [row.previous for row in rows] == ["", *(row.hash for row in rows[:-1])]
        assert reading.audit_fault() is None


def test_a_chain_that_was_written_anew_does_not_hold_the_head_that_was_kept(store: SqlStore) -> None:
    fill(store)
    with store.reading() as reading:
        kept = reading.audit_head()
        assert reading.audit_fault(dict([kept])) is None
    with store.writing() as transaction:
        connection = transaction._connection
        connection.execute(delete(AUDIT))
        connection.execute(update(tables.audit_head).values(number=0, hash=""))
    assert "rows at its end are missing" in str(_fault(store, kept))
    fill(store, 6)
    assert _fault(store) is None
    assert "row 5 is another one" in str(_fault(store, (5, "0" * 64)))


def _fault(store: SqlStore, kept: tuple[int, str] | None = None) -> str | None:
    with store.reading() as reading:
        return reading.audit_fault(dict([kept]) if kept is not None else {})


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        pytest.param(AuditFilter(), [1, 2, 3], id="all"),
        pytest.param(AuditFilter(stack="shop/web"), [1, 3], id="a stack, also of a held change"),
        pytest.param(AuditFilter(run="r1", events=("run-queued",)), [1], id="a run"),
        pytest.param(AuditFilter(person="user:bob", revision="c0ffee"), [2], id="a person and a revision"),
        pytest.param(AuditFilter(event="held"), [3], id="an event"),
        pytest.param(AuditFilter(since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=1)), [2], id="a time"),
    ],
)
def test_rows_of_the_audit_are_chosen(store: SqlStore, wanted: AuditFilter, numbers: list[int]) -> None:
    change = {"kind": "Stack", "space": "shop", "name": "web"}
    events = [
        AuditEvent("run-queued", NOW, "user:alice", {"run": "r1", "stack": "shop/web"}),
        AuditEvent("admitted", NOW + timedelta(hours=1), "user:bob", {"revision": "c0ffee"}),
        AuditEvent("held", NOW + timedelta(hours=2), "user:bob", {"revision": "decaf", "change": change}),
    ]
    with store.writing() as transaction:
        transaction.append_audit(events)
    with store.reading() as reading:
        assert [row.number for row in reading.audit(0, 10, wanted)] == numbers
        assert [row.number for row in reading.newest_audit(wanted, 1)] == numbers[-1:]


def test_two_that_write_at_once_make_one_chain(store: SqlStore) -> None:
    def write(name: str) -> None:
        for number in range(10):
            with store.writing() as transaction:
                transaction.append_audit([AuditEvent("held", NOW, name, {"n": number})])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("user:alice", "user:bob")))
    with store.reading() as reading:
        assert (len(reading.audit(0, 100)), reading.audit_fault()) == (20, None)


def test_an_empty_audit_is_whole(store: SqlStore) -> None:
    with store.reading() as reading:
        assert reading.audit_fault() is None


def test_what_is_rolled_back_is_not_in_the_audit(store: SqlStore) -> None:
    fill(store)
    with pytest.raises(RuntimeError), store.writing() as transaction:  # noqa: PT012 - both belong together
        transaction.append_audit([AuditEvent("held", NOW)])
        raise RuntimeError
    with store.reading() as reading:
        assert (len(reading.audit(0, 10)), reading.audit_fault()) == (5, None)


AUDIT = tables.audit


def _insert_between(connection: object) -> None:
    body = '{"number":6}'
    connection.execute(AUDIT.insert(), {"number": 6, "body": body, "previous": "", "hash": chained("", body)})


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        pytest.param(
            lambda c: c.execute(update(AUDIT).where(AUDIT.c.number == 3).values(body='{"number":3}')),
            "row 3 was changed",
            id="changed",
        ),
        pytest.param(
            lambda c: c.execute(
                update(AUDIT).where(AUDIT.c.number == 3).values(body='{"number":3}', hash=chained("", '{"number":3}'))
            ),
            "row 3 was changed",
            id="changed with its hash",
        ),
        pytest.param(
            lambda c: c.execute(update(AUDIT).where(AUDIT.c.number == 2).values(stack="shop/other")),
            "row 2 was changed",
            id="what it is about",
        ),
        pytest.param(lambda c: c.execute(delete(AUDIT).where(AUDIT.c.number == 1)), "row 1 is missing", id="first"),
        pytest.param(lambda c: c.execute(delete(AUDIT).where(AUDIT.c.number == 3)), "row 3 is missing", id="middle"),
        pytest.param(
            lambda c: c.execute(delete(AUDIT).where(AUDIT.c.number == 5)), "ends at row 4, and was at row 5", id="last"
        ),
        pytest.param(lambda c: c.execute(delete(AUDIT)), "ends at row 0, and was at row 5", id="all"),
        pytest.param(_insert_between, "row 6 does not follow", id="put in"),
    ],
)
def test_whatever_is_done_to_a_row_is_found(store: SqlStore, tamper: object, fault: str) -> None:
    fill(store)
    with store.writing() as transaction:
        tamper(transaction._connection)
    with store.reading() as reading:
        assert fault in str(reading.audit_fault())
