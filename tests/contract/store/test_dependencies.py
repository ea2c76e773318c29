"""Which stacks depend on which, and marks of outputs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.results import Output
from reconciler.core.state import Need, Observed, Sync
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from spaces.model.dependency import OutputUse
from tests.contract.store.test_results import dump
from tests.factories import NOW, a_desired, a_fingerprint, a_stack, a_stack_id, later, record_results

IDS = {name: a_stack_id(f"root/{name}") for name in "abcdex"}
GRAPH = {"b": "a", "c": "a", "d": "bc", "e": "d"}


def put(store: SqlStore, graph: dict[str, str], **states: Sync) -> None:
    with store.writing() as transaction:
        transaction.put_stacks(
            a_stack(stack, sync=states.get(name, Sync.OUT_OF_SYNC)) for name, stack in IDS.items() if name != "x"
        )
        transaction.put_dependencies({IDS[child]: {IDS[each] for each in above} for child, above in graph.items()})


def shown(found: dict) -> dict[str, str]:
    return {stack.name: "".join(sorted(each.name for each in others)) for stack, others in found.items()}


@pytest.mark.parametrize(
    ("wanted", "above", "below"),
    [
        pytest.param("a", {}, {"a": "bc"}, id="the top"),
        pytest.param("d", {"d": "bc", "b": "a", "c": "a"}, {"d": "e"}, id="the middle"),
        pytest.param("be", {"b": "a", "e": "d", "d": "bc", "c": "a"}, {"b": "d"}, id="two"),
        pytest.param("x", {}, {}, id="unknown"),
        pytest.param("", {}, {}, id="none"),
    ],
)
def test_the_graph_can_be_asked_up_and_down(
    store: SqlStore, wanted: str, above: dict[str, str], below: dict[str, str]
) -> None:
    put(store, GRAPH)
    with store.reading() as reading:
        ids = [IDS[name] for name in wanted]
        assert shown(reading.parents(ids)) == above
        assert shown(reading.children(ids)) == below


def test_the_newest_word_on_what_a_stack_depends_on_counts(store: SqlStore) -> None:
    put(store, GRAPH)
    with store.writing() as transaction:
        transaction.put_dependencies({IDS["d"]: {IDS["c"], IDS["x"]}, IDS["e"]: set(), IDS["b"]: {IDS["a"]}})
    with store.reading() as reading:
        assert shown(reading.parents(IDS.values())) == {"b": "a", "c": "a", "d": "cx"}
        assert IDS["x"] not in reading.stacks(), "it is only a name so far"


def test_a_stack_keeps_its_dependents_when_it_moves(store: SqlStore) -> None:
    put(store, GRAPH)
    with store.writing() as transaction:
        transaction.move_stack(IDS["a"], IDS["x"])
    with store.reading() as reading:
        assert shown(reading.children([IDS["x"]])) == {"x": "bc"}


def test_those_out_of_sync_or_drifted_below_are_woken_at_any_distance(store: SqlStore) -> None:
    put(store, GRAPH, c=Sync.SYNCED, d=Sync.SYNCED)
    with store.writing() as transaction:
        drifted = Observed("r", NOW, a_fingerprint().digest, 1)
        transaction.put_stacks([a_stack(IDS["d"], sync=Sync.SYNCED, observed=drifted)])
        transaction.put_stacks([a_stack(IDS["e"], sync=Sync.OUT_OF_SYNC, due_at=later(-5))])
        transaction.wake_dependents([IDS["a"]], NOW)
    with store.reading() as reading:
        assert {stack.name: state.due_at for stack, state in reading.stacks().items()} == {
            "a": None, "b": NOW, "c": None, "d": NOW, "e": later(-5)
        }  # fmt: skip


def test_those_right_above_that_wait_are_woken(store: SqlStore) -> None:
    put(store, GRAPH)
    with store.writing() as transaction:
        transaction.put_stacks(a_stack(IDS[name], due_at=later(60)) for name in "abe")
        transaction.wake_parents([IDS["d"]], NOW)
        transaction.wake_parents([IDS["x"]], NOW)
    with store.reading() as reading:
        found = {stack.name: state.due_at for stack, state in reading.stacks().items()}
    assert found == {"a": later(60), "b": NOW, "c": None, "d": None, "e": later(60)}


def test_what_a_stack_needs_comes_back(store: SqlStore) -> None:
    needs = (
        Need(
            IDS["a"],
            {"vpc": OutputUse(env="TF_VAR_vpc"), "hosts": OutputUse(file="h.json", previewAs=[])},
            always=True,
        ),
        Need(IDS["b"]),
    )
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(IDS["c"], desired=a_desired(needs=needs))])
    with store.reading() as reading:
        for found in (reading.stack(IDS["c"]), reading.peek([IDS["c"]])[IDS["c"]]):
            assert found is not None
            assert found.desired is not None
            assert found.desired.needs == needs


def test_a_mark_is_another_one_when_the_value_is_another(store: SqlStore) -> None:
    def marks(*outputs: Output) -> dict[str, str]:
        with store.writing() as transaction:
            record_results(transaction, IDS["a"], None, outputs)
        with store.reading() as reading:
            return reading.output_marks([IDS["a"], IDS["b"]]).get(IDS["a"], {})

    first = marks(Output("x", {"a": 1, "b": [2]}), Output("pin", "1234", sensitive=True))
    assert marks(Output("x", {"b": [2], "a": 1}), Output("pin", "1234")) == first
    second = marks(Output("x", {"b": [2], "a": 2}), Output("pin", "1235", sensitive=True))
    assert set(first.values()).isdisjoint(second.values())
    assert marks() == {}


def test_a_mark_cannot_be_guessed_and_outlives_a_change_of_keys(
    url: str, keys: Keys, store: SqlStore, tmp_path: Path
) -> None:
    other = Keys([b"1" * 32])
    assert other.mark(b"1234") != keys.mark(b"1234")
    outputs = [Output("pin", "1234", sensitive=True), Output("y", 1)]
    with store.writing() as transaction:
        record_results(transaction, IDS["a"], None, outputs)
    with store.reading() as reading:
        before = reading.output_marks([IDS["a"]])
    key = (tmp_path / "keys").read_text()
    (tmp_path / "keys").write_text(Keys.load_or_create(tmp_path / "new") and (tmp_path / "new").read_text() + key)
    rotated = open_store(url, Keys.load_or_create(tmp_path / "keys"), patience=timedelta(seconds=5))
    with rotated.writing() as transaction:
        record_results(transaction, IDS["a"], None, outputs)
    with rotated.reading() as reading:
        assert reading.output_marks([IDS["a"]]) == before
    rotated.close()
    assert b"1234" not in dump(store)
