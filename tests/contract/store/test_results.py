from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.conditions import assess
from reconciler.core.results import Output, Resource
from reconciler.core.runs import RunEvent, RunStatus
from reconciler.core.state import ConditionType, Observed, Sync
from reconciler.gauges import StackGauge
from reconciler.store.listed import ResourceBy, SharedIn
from reconciler.store.sql import SqlStore
from reconciler.store.stored import Place, ResourceFilter, RunFilter, TfstateLock
from reconciler.store.tables import metadata
from tests.factories import NOW, a_desired, a_run, a_stack, a_stack_id, advanced, an_applied, later, record_results

STACK, OTHER = a_stack_id("a/one"), a_stack_id("b/two")
RESOURCES = [Resource("z.ü", "t", "p", {"a": [1, {"b": None}]}), Resource("a", "", ""), Resource("a", "", "")]
OUTPUTS = [Output("url", {"ü": "\ud800\0"}), Output("password", "hunter2-hunter2", sensitive=True), Output("n", None)]


def tfstate(serial: object = 1, **more: object) -> bytes:
    return json.dumps({"serial": serial, "lineage": "line-1"} | more).encode()


def dump(store: SqlStore) -> bytes:
    """Everything the database holds, as bytes."""
    with store._engine.connect() as connection:
        rows = [row for table in metadata.tables.values() for row in connection.execute(table.select())]
    return b"\n".join(
        bytes(value) if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
    )


def test_results_come_back_in_order_and_are_replaced(store: SqlStore) -> None:
    for resources, outputs in ((RESOURCES[:1], OUTPUTS[1:]), (RESOURCES, OUTPUTS)):
        with store.writing() as transaction:
            record_results(transaction, STACK, resources, outputs)
            record_results(transaction, OTHER, RESOURCES[:2], [])
    with store.reading() as reading:
        assert reading.resources(STACK) == RESOURCES
        assert reading.outputs(STACK) == OUTPUTS
        assert reading.outputs(OTHER) == []
        assert reading.count_resources() == {STACK: 3, OTHER: 2}
    with store.writing() as transaction:
        record_results(transaction, STACK, None, [])
    with store.reading() as reading:
        assert reading.resources(STACK) == []
        assert reading.outputs(STACK) == []
        assert reading.count_resources() == {OTHER: 2}


def test_resources_of_all_stacks_are_listed_in_pages(store: SqlStore) -> None:
    one, two, three = (
        Resource("aws_vpc.Main", "aws_vpc", "aws", {"id": "vpc-1"}),
        Resource("file.a", "file", "local", {"path": "/ä"}),
        Resource("file.b", "file", "local"),
    )
    with store.writing() as transaction:
        record_results(transaction, STACK, [one, two], [])
        record_results(transaction, OTHER, [three], [])
    places = [Place(STACK, 0), Place(STACK, 1), Place(OTHER, 0)]
    with store.reading() as reading:
        everything = ResourceFilter()
        listed = reading.list_resources(everything, None, 9)
        assert [(place, resource) for place, resource, _ in listed] == list(zip(places, [one, two, three], strict=True))
        assert reading.list_resources(everything, places[0], 1) == [listed[1]]

        def found(**wanted: Any) -> list[Place]:
            return [place for place, *_ in reading.list_resources(ResourceFilter(**wanted), None, 9)]

        assert found(spaces=[OTHER.space]) == found(stack=OTHER) == places[2:]
        assert found(type="file", provider="local") == places[1:]
        assert (found(text="vpc.main"), found(text="VPC-1"), found(text="/ä"), found(text="%")) == (
            places[:1], places[:1], places[1:2], [],
        )  # fmt: skip


def test_a_name_no_database_takes_is_made_one_it_takes(store: SqlStore) -> None:
    with store.writing() as transaction:
        record_results(transaction, STACK, [Resource("a\0b\ud800", "t", "p")], [Output("o\0", 1, sensitive=True)])
    with store.reading() as reading:
        assert [it.address for it in reading.resources(STACK)] == ["a\N{REPLACEMENT CHARACTER}b?"]
        assert reading.outputs(STACK) == [Output("o\N{REPLACEMENT CHARACTER}", 1, sensitive=True)]


def test_secrets_are_not_readable_in_the_database(store: SqlStore) -> None:
    with store.writing() as transaction:
        record_results(transaction, STACK, [], [*OUTPUTS, Output("shown", "in-the-clear")])
        transaction.add_tfstate(STACK, tfstate(password="hunter2-hunter2"), None, NOW)
    content = dump(store)
    assert b"in-the-clear" in content
    assert b"hunter2" not in content


def test_every_version_of_a_tfstate_is_kept(store: SqlStore) -> None:
    with store.writing() as transaction:
        first = transaction.add_tfstate(STACK, tfstate(1), "run-1", NOW)
        second = transaction.add_tfstate(STACK, tfstate(2), None, later(1))
        other = transaction.add_tfstate(OTHER, b"{}", None, NOW)
    assert [(it.version, it.serial, it.lineage) for it in (first, second, other)] == [
        (1, 1, "line-1"),
        (2, 2, "line-1"),
        (1, None, None),
    ]
    with store.reading() as reading:
        assert reading.tfstate(STACK) == second
        assert reading.tfstate(STACK, 1) == first
        assert reading.tfstate(STACK, 3) is None
        assert reading.tfstate(OTHER) == other
        assert reading.tfstate(a_stack_id()) is None
    with store.writing() as transaction:
        of_unit = transaction.add_tfstate(STACK, tfstate(1), "run-2", NOW, unit="net/eu")
    with store.reading() as reading:
        assert (of_unit.version, reading.tfstate(STACK, 3)) == (3, of_unit), "versions are counted by stack"
        assert reading.tfstate(STACK, unit="net/eu") == of_unit
        assert reading.tfstate(STACK) == second
        assert reading.tfstate(STACK, unit="net") is None
        assert [it.version for it in reading.tfstate_versions(STACK, None, 9)] == [3, 2, 1]
        assert [it.version for it in reading.tfstate_versions(STACK, None, 9, "")] == [2, 1]


@pytest.mark.parametrize(
    ("body", "serial", "lineage"),
    [
        pytest.param(b"", None, None, id="empty"),
        pytest.param(b"\xff\x00 not json", None, None, id="not JSON"),
        pytest.param(b"[1]", None, None, id="not an object"),
        pytest.param(b"[" * 100_000, None, None, id="deep"),
        pytest.param(tfstate("1"), None, "line-1", id="serial a text"),
        pytest.param(tfstate(True), None, "line-1", id="serial a boolean"),
        pytest.param(tfstate(2**70), None, "line-1", id="serial too big"),
        pytest.param(tfstate(-1), None, "line-1", id="serial negative"),
        pytest.param(tfstate(3, lineage="a\0b"), 3, "a\N{REPLACEMENT CHARACTER}b", id="lineage with NUL"),
        pytest.param(tfstate(3, lineage=7), 3, None, id="lineage a number"),
    ],
)
def test_a_tfstate_is_kept_whatever_it_holds(
    store: SqlStore, body: bytes, serial: int | None, lineage: str | None
) -> None:
    with store.writing() as transaction:
        transaction.add_tfstate(STACK, body, None, NOW)
    with store.reading() as reading:
        found = reading.tfstate(STACK)
    assert found is not None
    assert (found.body, found.serial, found.lineage) == (body, serial, lineage)


def test_one_holder_of_a_tfstate(store: SqlStore) -> None:
    mine = TfstateLock(STACK, "mine", {"Who": "ü\0"}, "run-1", NOW)
    theirs = TfstateLock(STACK, "theirs", {}, None, later(1))
    with store.writing() as transaction:
        assert transaction.tfstate_lock(STACK) is None
        assert transaction.unlock_tfstate(STACK, "mine")
        assert transaction.lock_tfstate(mine) is None
        assert transaction.lock_tfstate(mine) is None
        assert transaction.lock_tfstate(theirs) == mine
        assert transaction.lock_tfstate(TfstateLock(OTHER, "theirs", {}, None, NOW)) is None
        assert not transaction.unlock_tfstate(STACK, "theirs")
        assert transaction.tfstate_lock(STACK) == mine
        of_unit = replace(theirs, unit="net")
        assert transaction.lock_tfstate(of_unit) is None, "each unit has a lock of its own"
        assert transaction.tfstate_locks(STACK) == [mine, of_unit]
        assert transaction.unlock_tfstate(STACK, "theirs", "net")
        assert transaction.unlock_tfstate(STACK, "mine")
        assert transaction.lock_tfstate(theirs) is None
        assert transaction.unlock_tfstate(STACK, None)
    with store.reading() as reading:
        assert reading.tfstate_lock(STACK) is None
        assert reading.tfstate_lock(OTHER) is not None


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_token_opens_while_its_run_is_at_it(store: SqlStore, status: RunStatus) -> None:
    run = a_run(STACK, status=status)
    with store.writing() as transaction:
        transaction.add_runs([run])
        transaction.put_tokens({"hash": (STACK, run.id)})
    opens = status in {RunStatus.PLANNING, RunStatus.APPLYING, RunStatus.UNCONFIRMED}
    with store.reading() as reading:
        assert reading.token_stack("hash") == ((STACK, run.id) if opens else None)
        assert reading.token_stack("other") is None


def test_a_moved_stack_takes_everything_along(store: SqlStore) -> None:
    run = a_run(STACK, status=RunStatus.APPLYING)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK, reason="Moved")])
        transaction.add_runs([run])
        record_results(transaction, STACK, RESOURCES, OUTPUTS)
        transaction.add_tfstate(STACK, tfstate(), run.id, NOW)
        transaction.lock_tfstate(TfstateLock(STACK, "mine", {}, run.id, NOW))
        transaction.put_tokens({"hash": (STACK, run.id)})
        transaction.move_stack(STACK, OTHER)
    with store.writing() as transaction:
        # Whoever read the run before the move still knows it by its id.
        transaction.put_run(advanced(run, RunEvent.SUCCEED))
        transaction.put_run(run.evolve(status=RunStatus.FINISHED, message="done"))
    with store.reading() as reading:
        assert reading.stack(STACK) is None
        assert reading.stack(OTHER) == a_stack(OTHER, reason="Moved")
        assert reading.run(run.id) == run.evolve(stack=OTHER, status=RunStatus.FINISHED, message="done")
        assert reading.last_runs([STACK, OTHER]).keys() == {OTHER}
        assert reading.resources(OTHER) == RESOURCES
        assert reading.outputs(OTHER) == OUTPUTS
        found = reading.tfstate(OTHER)
        assert found is not None
        assert (found.stack, found.body) == (OTHER, tfstate())
        lock = reading.tfstate_lock(OTHER)
        assert lock is not None
        assert (lock.stack, lock.lock_id) == (OTHER, "mine")
        assert reading.count_resources() == {OTHER: 3}
        assert (reading.resources(STACK), reading.outputs(STACK), reading.tfstate(STACK)) == ([], [], None)


def test_moves_that_move_nothing_and_moves_onto_another(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK), a_stack(OTHER)])
        transaction.move_stack(a_stack_id("a/unknown"), OTHER)
        transaction.move_stack(STACK, STACK)
    with pytest.raises(ValueError, match="a/one cannot be renamed to b/two: that name is taken"), store.writing() as tx:
        tx.move_stack(STACK, OTHER)
    with store.reading() as reading:
        assert reading.stacks().keys() == {STACK, OTHER}
    only_a_name, run = a_stack_id("b/name"), a_run("b/name")
    with store.writing() as transaction:
        transaction.add_runs([run])
        transaction.move_stack(STACK, only_a_name)
    with store.reading() as reading:
        assert reading.stacks().keys() == {only_a_name, OTHER}
        assert reading.list_runs(RunFilter(only_a_name), None, 10) == []


def test_a_freed_name_starts_anew(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK)])
        record_results(transaction, STACK, RESOURCES, OUTPUTS)
        transaction.move_stack(STACK, OTHER)
        transaction.put_stacks([a_stack(STACK)])
    with store.reading() as reading:
        assert reading.resources(STACK) == []
        assert reading.stacks().keys() == {STACK, OTHER}


def test_resources_are_counted_in_groups_and_found_in_several_stacks(store: SqlStore) -> None:
    bucket = Resource("aws_s3_bucket.one", "aws_s3_bucket", "hashicorp/aws", {"id": "b", "arn": "arn:aws:s3:::b"})
    elsewhere = replace(bucket, address="module.x.aws_s3_bucket.same", provider="aws")
    vpc, file = Resource("vpc", "aws_vpc", "aws", {"id": "vpc-1"}), Resource("file", "file", "local", {"id": "vpc-1"})
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(STACK, observed=Observed("r", NOW, "d", drifted=2))])
        record_results(transaction, STACK, [bucket, vpc, replace(bucket, address="twice")], [])
        record_results(transaction, OTHER, [elsewhere, file], [])
    with store.reading() as reading:
        everything = ResourceFilter()
        by_type = reading.group_resources(everything, ResourceBy.TYPE, None, 9)
        assert [(group.name, group.resources, group.stacks, group.drifted) for group in by_type] == [
            ("aws_s3_bucket", 3, 2, 1), ("aws_vpc", 1, 1, 1), ("file", 1, 1, 0),
        ]  # fmt: skip
        assert reading.group_resources(everything, ResourceBy.TYPE, "aws_s3_bucket", 1) == by_type[1:2]
        assert {group.name: group.resources for group in reading.group_resources(everything, ResourceBy.STACK, None, 9)} == {
            str(STACK): 3, str(OTHER): 2,
        }  # fmt: skip

        def shared(spaces: Any) -> list[Place]:
            wanted = ResourceFilter(shared_in=SharedIn(spaces))
            return sorted(place for place, *_ in reading.list_resources(wanted, None, 9))

        assert (
            shared(None)
            == shared({STACK.space, OTHER.space})
            == sorted([Place(STACK, 0), Place(STACK, 2), Place(OTHER, 0)])
        )
        # Twice in one stack is not in two, and what somebody may not see does not count.
        assert shared({STACK.space}) == []
        arn = "arn:aws:s3:::b"
        assert reading.stacks_with({arn, "gone"}, None) == {arn: sorted([STACK, OTHER])}
        assert reading.stacks_with({arn}, {OTHER.space}) == {arn: [OTHER]}


def test_the_gauges_of_stacks_are_read_without_their_whole_states(store: SqlStore) -> None:
    applied, left = a_stack_id("a/applied"), a_stack_id("a/left")
    observed = Observed("run", NOW, a_desired().digest, 2)
    with store.writing() as transaction:
        transaction.put_stacks(
            [
                a_stack(OTHER),
                assess(a_stack(applied, applied=an_applied(), sync=Sync.SYNCED, observed=observed), None, (), NOW),
                a_stack(left, desired=None, applied=an_applied()),
            ]
        )
        record_results(transaction, applied, RESOURCES, [])
    with store.reading() as reading:
        gauges = {(it.space, it.stack): it for it in reading.stack_gauges()}
        state = reading.stack(applied)
        assert state is not None
        assert state.applied is not None
        assert state.desired is not None
        assert gauges.keys() == {("b", "two"), ("a", "applied")}
        ready = state.conditions[ConditionType.READY].status
        whole = StackGauge("a", "applied", state.desired.tool, "Synced", ready, 3, state.applied.at.timestamp(), 2)
        assert gauges["a", "applied"] == whole
        never = gauges["b", "two"]
        assert (never.ready, never.resources, never.applied_at, never.drifted) == ("Unknown", None, None, None)
