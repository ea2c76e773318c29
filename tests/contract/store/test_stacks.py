from __future__ import annotations

import dataclasses
from datetime import timedelta, timezone

import pytest

from reconciler.core.results import Resource
from reconciler.core.state import (
    Component,
    Condition,
    ConditionStatus,
    ConditionType,
    Heading,
    Push,
    SourceCommit,
    StackProblem,
    StackState,
    Sync,
    Why,
)
from reconciler.store.encryption import Keys
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import ConfigurationState, Halt, KeptDocument, StackCounts, StackFilter
from spaces.names import SpaceName
from tests.contract.store.older import make_older
from tests.factories import (
    NOW,
    OTHER_REVISION,
    REVISION,
    a_desired,
    a_fingerprint,
    a_stack,
    a_stack_id,
    an_applied,
    an_outcome,
    later,
    record_results,
)

STRANGE = "ünï \N{PILE OF POO} \0 \ud800 \\ % _ ' \" \n"


def put(store: SqlStore, *states: StackState) -> None:
    with store.writing() as transaction:
        transaction.put_stacks(states)


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(a_stack(), id="new"),
        pytest.param(a_stack(desired=None), id="nothing known but its name"),
        pytest.param(a_stack(desired=None, applied=an_applied()), id="retained"),
        pytest.param(a_stack(applied=an_applied(), sync=Sync.SYNCED, reason="Synced"), id="synced"),
        pytest.param(
            a_stack(applied=an_applied(a_fingerprint(spec={"env A": "77"})), sync=Sync.OUT_OF_SYNC),
            id="applied differs",
        ),
        pytest.param(
            a_stack(paused=True, interrupted=True, retry_at=later(60)), id="paused, interrupted, retried later"
        ),
        pytest.param(
            a_stack(
                desired=a_desired(
                    a_fingerprint(spec={STRANGE: STRANGE}),
                    labels={"env": STRANGE},
                    autodeploy=False,
                    suspended=True,
                    person=STRANGE,
                    problem=StackProblem("SourceMissing", STRANGE),
                    revision=OTHER_REVISION,
                    push_policies="1f",
                    authors=(STRANGE, "bob"),
                    source=SourceCommit(None, REVISION, STRANGE),
                    refused=STRANGE,
                ),
                applied=an_applied(source=SourceCommit("root/infra", OTHER_REVISION)),
                push=Push(a_fingerprint().digest, "1f", Heading.IGNORE, STRANGE),
                why=(Why(Component.SPEC, STRANGE), Why(Component.SOURCE, "2 files")),
                last=an_outcome(message=STRANGE, failures=3),
                failed=an_outcome(message=STRANGE, applying=True),
                conditions={
                    kind: Condition(ConditionStatus.UNKNOWN, "Reason", STRANGE, later(1)) for kind in ConditionType
                },
                due_at=later(0.000001),
            ),
            id="every field, strange text",
        ),
    ],
)
def test_a_stack_comes_back_as_it_was_put(store: SqlStore, state: StackState) -> None:
    put(store, state)
    with store.reading() as reading:
        assert reading.stack(state.id) == state
        assert reading.stacks() == {state.id: state}
        assert reading.stacks([state.id]) == {state.id: state}
    with store.writing() as transaction:
        assert transaction.stack(state.id) == state
        assert transaction.stacks([state.id]) == {state.id: state}


def test_times_in_other_zones_are_the_same_time(store: SqlStore) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    put(store, a_stack(due_at=there, retry_at=there))
    with store.reading() as reading:
        found = reading.stack(a_stack_id())
    assert found is not None
    assert (found.due_at, found.retry_at) == (NOW, NOW)


def test_a_time_without_a_zone_is_refused(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="zone"):
        put(store, a_stack(retry_at=NOW.replace(tzinfo=None)))


def test_putting_again_replaces(store: SqlStore) -> None:
    put(store, a_stack(), a_stack("root/other"))
    put(store, a_stack(reason="Changed", due_at=NOW), a_stack("root/third"))
    with store.reading() as reading:
        assert {str(state.id): state.reason for state in reading.stacks().values()} == {
            "root/network": "Changed",
            "root/other": "New",
            "root/third": "New",
        }


def test_stacks_that_are_not_there(store: SqlStore) -> None:
    put(store)
    with store.reading() as reading:
        assert reading.stack(a_stack_id()) is None
        assert reading.stacks() == {}
        assert reading.stacks([]) == {}
        assert reading.stacks([a_stack_id()]) == {}
        assert reading.list_stacks(StackFilter(), None, 10) == []
        assert reading.count_stacks() == {}
        assert reading.next_due() is None


def test_thousands_of_stacks_by_name(store: SqlStore) -> None:
    states = [a_stack(f"space-{number % 7}/stack-{number}") for number in range(3000)]
    put(store, *states)
    wanted = [state.id for state in states[:2500]]
    with store.reading() as reading:
        assert set(reading.stacks([*wanted, a_stack_id("root/missing")])) == set(wanted)
        spaces = [SpaceName("space-3"), *(SpaceName(f"none-{number}") for number in range(70_000))]
        assert len(reading.list_stacks(StackFilter(spaces=spaces), None, 10_000)) == 429


def test_pages_follow_each_other_without_gap_or_overlap(store: SqlStore) -> None:
    # A hyphen sorts before a slash, so that the order of the texts would differ from the order of the pairs.
    names = ["a/b", "a/b-c", "a-b/a", "a0/z", "b/a", "a/a", "a/b0"]
    put(store, *map(a_stack, names))
    with store.reading() as reading:
        pages: list[list[str]] = []
        after = None
        while page := reading.list_stacks(StackFilter(), after, 2):
            pages.append([str(state.id) for state in page])
            after = pages[-1][-1]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [name for page in pages for name in page] == [str(it) for it in sorted(map(a_stack_id, names))]


FLEET = [
    a_stack(
        "a/web",
        desired=a_desired(labels={"env": "prod", "tier": "web"}, tool="terraform"),
        sync=Sync.SYNCED,
        conditions={ConditionType.READY: Condition(ConditionStatus.TRUE, "UpToDate", "", later(1))},
    ),
    a_stack(
        "a/db",
        desired=a_desired(labels={"env": "test", "note": '"env":"prod"'}),
        sync=Sync.OUT_OF_SYNC,
        conditions={
            ConditionType.READY: Condition(ConditionStatus.FALSE, "ToolFailed", '"Drifted":["False",', later(1)),
            ConditionType.STALLED: Condition(ConditionStatus.TRUE, "ToolFailed", "", later(1)),
            ConditionType.DRIFTED: Condition(ConditionStatus.TRUE, "Drifted", "", later(1)),
        },
    ),
    a_stack("b/web", desired=a_desired(labels={"env": "prod", "100%": "_é"}, tool="terraform")),
    a_stack("b/old", desired=None, applied=an_applied()),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(StackFilter(), ["a/db", "a/web", "b/old", "b/web"], id="all"),
        pytest.param(StackFilter(spaces=[SpaceName("b")]), ["b/old", "b/web"], id="space"),
        pytest.param(StackFilter(spaces=[]), [], id="no space"),
        pytest.param(StackFilter(labels={"env": "prod"}), ["a/web", "b/web"], id="label, not its text elsewhere"),
        pytest.param(StackFilter(labels={"env": "prod", "tier": "web"}), ["a/web"], id="two labels"),
        pytest.param(StackFilter(labels={"100%": "_é"}), ["b/web"], id="strange label"),
        pytest.param(StackFilter(labels={"env": "PROD"}), [], id="labels care for case"),
        pytest.param(StackFilter(labels={}), ["a/db", "a/web", "b/old", "b/web"], id="empty labels"),
        pytest.param(StackFilter(sync=Sync.OUT_OF_SYNC), ["a/db"], id="sync"),
        pytest.param(StackFilter(tool="terraform"), ["a/web", "b/web"], id="tool"),
        pytest.param(StackFilter(text="/WE"), ["a/web", "b/web"], id="text"),
        pytest.param(StackFilter(text="%"), [], id="text is no pattern"),
        pytest.param(StackFilter(in_git=True), ["a/db", "a/web", "b/web"], id="in Git"),
        pytest.param(StackFilter(in_git=False), ["b/old"], id="retained"),
        pytest.param(StackFilter(conditions={ConditionType.STALLED: ConditionStatus.TRUE}), ["a/db"], id="condition"),
        pytest.param(StackFilter(conditions={ConditionType.DRIFTED: ConditionStatus.TRUE}), ["a/db"], id="drift"),
        pytest.param(StackFilter(conditions={ConditionType.DRIFTED: ConditionStatus.FALSE}), [], id="not in messages"),
        pytest.param(StackFilter(spaces=[SpaceName("a")], tool="terraform", text="web"), ["a/web"], id="together"),
    ],
)
def test_filters(store: SqlStore, wanted: StackFilter, expected: list[str]) -> None:
    put(store, *FLEET)
    with store.reading() as reading:
        assert [str(state.id) for state in reading.list_stacks(wanted, None, 10)] == expected


def test_a_page_by_label_is_full_however_many_do_not_match(store: SqlStore) -> None:
    put(
        store,
        *(
            a_stack(f"a/s{n:03}", desired=a_desired(labels={"odd": "yes"} if n % 2 else {"even": '"odd":"yes"'}))
            for n in range(60)
        ),
    )
    with store.reading() as reading:
        page = reading.list_stacks(StackFilter(labels={"odd": "yes"}), "a/s010", 20)
    assert [state.id.name for state in page] == [f"s{n:03}" for n in range(11, 51, 2)]


def test_stacks_are_counted_by_space_tool_and_sync(store: SqlStore) -> None:
    put(store, *FLEET)
    with store.reading() as reading:
        assert reading.count_stacks() == {
            ("a", "terraform", "Synced"): StackCounts(1, ready=1, stalled=0),
            ("a", "script", "OutOfSync"): StackCounts(1, ready=0, stalled=1),
            ("b", "terraform", "Unknown"): StackCounts(1, ready=0, stalled=0),
        }


def test_stacks_of_an_older_database_are_counted_too(store: SqlStore, url: str, keys: Keys) -> None:
    put(store, *FLEET, a_stack("c/applied", applied=an_applied()))
    with store.writing() as transaction:
        record_results(transaction, a_stack_id("c/applied"), [Resource("a", "t", "p"), Resource("b", "t", "p")], [])
        shown = sorted(transaction.stack_gauges())
    make_older(store, "0013")
    newer = open_store(url, keys)
    with newer.reading() as reading:
        counted = reading.count_stacks()
        assert [counted["a", tool, sync][1:] for tool, sync in (("terraform", "Synced"), ("script", "OutOfSync"))] == [
            (1, 0),
            (0, 1),
        ]
        assert sorted(reading.stack_gauges()) == shown
        assert (shown[-1].resources, shown[-1].applied_at) == (2, an_applied().at.timestamp())
    newer.close()


def test_due_stacks_come_longest_due_first(store: SqlStore) -> None:
    put(
        store,
        a_stack("a/later", due_at=later(10)),
        a_stack("a/now", due_at=NOW),
        a_stack("a/long", due_at=later(-10)),
        a_stack("a/never"),
        a_stack("a/just-not", due_at=later(0.000001)),
    )
    with store.reading() as reading:
        assert [state.id.name for state in reading.due_stacks(NOW, 10)] == ["long", "now"]
        assert [state.id.name for state in reading.due_stacks(NOW, 1)] == ["long"]
        assert reading.due_stacks(later(-11), 10) == []
        assert reading.next_due() == later(-10)


def test_a_fresh_store_has_followed_nothing(store: SqlStore) -> None:
    with store.reading() as reading:
        assert reading.configuration() == ConfigurationState()


@pytest.mark.parametrize("halted", [None, Halt("Rewound", STRANGE, REVISION, NOW), Halt("Gone", "", None, NOW)])
def test_the_configuration_comes_back_as_it_was_put(store: SqlStore, halted: Halt | None) -> None:
    state = ConfigurationState(
        generation=7,
        url="https://git.example/config",
        branch="main",
        attempted_revision=OTHER_REVISION,
        admitted_revision=REVISION,
        sources={"https://git.example/infra#main": REVISION},
        kept=(KeptDocument("Stack", "root", "network", "a.yaml", REVISION, STRANGE),),
        diagnostics=({"severity": "error", "summary": STRANGE, "line": 3, "hint": None},),
        halted=halted,
        documents={"Stack": 3},
        changed_at=NOW,
    )
    for generation in (7, 8):
        with store.writing() as transaction:
            transaction.put_configuration(dataclasses.replace(state, generation=generation))
    with store.writing() as transaction:
        assert transaction.configuration() == dataclasses.replace(state, generation=8)
