from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.tools.ansible.events import DONE, UNFORESEEN, applied, failure, parse, planned
from reconciler.tools.base import StepFailed


def task(status: str, host: str = "web1", name: str = "Install", **more: Any) -> dict[str, Any]:
    return {
        "event": "task",
        "status": status,
        "host": host,
        "task": name,
        "module": "ansible.builtin.copy",
        "message": None,
        "hidden": False,
        "unforeseen": False,
        "done": False,
        "outputs": False,
        "diffs": [],
        **more,
    }


def end(**hosts: dict[str, int]) -> dict[str, Any]:
    return {"event": "end", "hosts": hosts}


def written(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def change(address: str, before: Any = None, after: Any = None) -> ResourceChange:
    return ResourceChange(address, "ansible.builtin.copy", "ansible", Action.UPDATE, before, after)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([task("ok"), task("skipped"), task("ignored")], Planned(False), id="nothing to do"),
        pytest.param([task("changed")], Planned(True, (change("web1/Install"),)), id="changed"),
        pytest.param(
            [task("changed", diffs=[{"before": "a", "after": "b"}])],
            Planned(True, (change("web1/Install", "a", "b"),)),
            id="with a diff",
        ),
        pytest.param(
            [task("changed", diffs=[{"before": "a", "after": "b"}, {"before": "c", "after": "d"}])],
            Planned(True, (change("web1/Install", ["a", "c"], ["b", "d"]),)),
            id="with several",
        ),
        pytest.param(
            [task("changed", diffs=[{"prepared": "+x"}])],
            Planned(True, (change("web1/Install", None, "+x"),)),
            id="prepared",
        ),
        pytest.param(
            [task("skipped", unforeseen=True)],
            Planned(True, (change("web1/Install", None, UNFORESEEN),)),
            id="unforeseen",
        ),
        pytest.param(
            [task("changed", unforeseen=True, diffs=[{"before": "a", "after": "b"}])],
            Planned(True, (change("web1/Install", "a", ["b", UNFORESEEN]),)),
            id="a loop that is foreseen in part",
        ),
        pytest.param([task("changed", done=True)], Planned(True, (change("web1/Install", None, DONE),)), id="done"),
        pytest.param([task("changed", outputs=True)], Planned(True), id="only outputs"),
        pytest.param(
            [task("changed"), task("ok"), task("changed")],
            Planned(True, (change("web1/Install"), change("web1/Install #3"))),
            id="one name, three tasks",
        ),
        pytest.param(
            [task("changed", "b", "1"), task("changed", "a", "1"), task("changed", "a", "0")],
            Planned(True, (change("a/1"), change("b/1"), change("a/0"))),
            id="hosts in order, tasks as they come",
        ),
    ],
)
def test_planned(events: list[dict[str, Any]], expected: Planned) -> None:
    assert planned(parse(written(*events, end(web1={})))) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            [task("failed", message="no\n space"), end(web1={"failures": 1})],
            "task 'Install' failed on web1: no space",
            id="failed",
        ),
        pytest.param(
            [
                task("unreachable", "a", "Ping"),
                task("unreachable", "b", "Ping"),
                end(a={"unreachable": 1}, b={"unreachable": 1}),
            ],
            "host a cannot be reached, at task 'Ping' (and on 1 more)",
            id="unreachable",
        ),
        pytest.param(
            [task("unreachable", "a", "Ping"), task("failed", "b"), end(a={"unreachable": 1}, b={"failures": 1})],
            "task 'Install' failed on b; host a cannot be reached, at task 'Ping'",
            id="failed and unreachable",
        ),
        pytest.param(
            [
                task("failed", name="Rescued"),
                task("failed", name="Fatal"),
                task("failed", "web2", "Later"),
                end(web1={"failures": 1, "rescued": 1}, web2={"failures": 1}),
            ],
            "task 'Fatal' failed on web1 (and on 1 more)",
            id="rescued is not to blame",
        ),
        pytest.param(
            [
                task("failed", "web2", "Rescued"),
                task("failed", name="Fatal"),
                end(web1={"failures": 1}, web2={"failures": 0}),
            ],
            "task 'Fatal' failed on web1",
            id="rescued elsewhere",
        ),
        pytest.param([task("failed", name="Last")], "task 'Last' failed on web1", id="broken off"),
        pytest.param([task("ok"), end(web1={"failures": 0})], None, id="no task"),
        pytest.param([], None, id="nothing at all"),
        pytest.param([task("failed", message="x" * 1000)], f"task 'Install' failed on web1: {'x' * 1000}", id="long"),
    ],
)
def test_failure(events: list[dict[str, Any]], expected: str | None) -> None:
    found = failure(parse(written(*events)))
    assert (None if found is None else found.message) == expected
    assert found is None or found.unreachable is all(
        event["status"] != "failed" for event in events if "status" in event
    )


def test_what_nobody_can_foresee_is_no_drift() -> None:
    events = [task("skipped", unforeseen=True), task("changed", outputs=True), task("changed", name="Mend")]
    found = planned(parse(written(*events, end(web1={}))), foreseen_only=True)
    assert found == Planned(True, (change("web1/Mend"),))
    assert planned(parse(written(*events[:2], end(web1={}))), foreseen_only=True) == Planned(False)


def test_each_task_on_each_host_is_a_resource_with_its_end() -> None:
    facts = task("ok", name="Gathering Facts") | {"module": "ansible.builtin.gather_facts"}
    events = [facts, task("changed"), task("skipped"), task("ok"), task("ignored", "web2"), end(web1={}, web2={})]
    found = [
        (it.address, it.type, it.provider, it.attributes) for it in applied(parse(written(*events))).resources or ()
    ]
    assert found == [
        ("web1/Install", "ansible.builtin.copy", "ansible", {"status": "changed"}),
        ("web1/Install #3", "ansible.builtin.copy", "ansible", {"status": "ok"}),
        ("web2/Install", "ansible.builtin.copy", "ansible", {"status": "ignored"}),
    ]


def test_a_last_line_cut_short_is_left_out() -> None:
    assert len(parse(written(task("ok")) + b'{"event": "ta').tasks) == 1


@pytest.mark.parametrize(
    "data", [b"x\n", b"[]\n", b'{"event": "other"}\n', b"[" * 100_000 + b"\n"], ids=["text", "list", "other", "deep"]
)
def test_what_the_plugin_does_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(StepFailed, match="cannot be read"):
        parse(data)
