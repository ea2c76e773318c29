from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.core.results import Action, ChangeCounts, Output, OutputChange
from reconciler.tools.base import StepFailed
from reconciler.tools.terraform.plan import Expected, Marks, expected, planned


def document(*changes: dict[str, Any], drift: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"format_version": "1.2", "resource_changes": list(changes), "resource_drift": list(drift)}


def change(actions: list[str], address: str = "x.y", **more: Any) -> dict[str, Any]:
    return {
        "address": address,
        "mode": "managed",
        "type": "x",
        "name": "y",
        "provider_name": "registry.terraform.io/hashicorp/x",
        "change": {"actions": actions, "before": None, "after": None, **more},
    }


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["create"], [Action.CREATE]),
        (["read"], [Action.READ]),
        (["update"], [Action.UPDATE]),
        (["delete"], [Action.DELETE]),
        (["delete", "create"], [Action.REPLACE]),
        (["create", "delete"], [Action.REPLACE]),
        (["create", "forget"], [Action.CREATE, Action.FORGET]),
        (["no-op"], []),
        (["forget"], [Action.FORGET]),
    ],
    ids=str,
)
def test_actions(actions: list[str], expected: list[Action]) -> None:
    found = planned(document(change(actions)), has_changes=True)
    assert [item.action for item in found.changes] == expected


@pytest.mark.parametrize(
    ("entry", "expected", "counts"),
    [
        pytest.param(
            {**change(["no-op"]), "previous_address": "x.old"},
            (Action.MOVE, "x.old", None),
            ChangeCounts(move=1),
            id="moved",
        ),
        pytest.param(
            change(["no-op"], importing={"id": "i-1"}),
            (Action.IMPORT, None, "i-1"),
            ChangeCounts(import_=1),
            id="imported",
        ),
        pytest.param(
            {**change(["update"]), "previous_address": "x.old"},
            (Action.UPDATE, "x.old", None),
            ChangeCounts(update=1, move=1),
            id="moved and updated",
        ),
        pytest.param(
            change(["update"], importing={"id": "i-1"}),
            (Action.UPDATE, None, "i-1"),
            ChangeCounts(update=1, import_=1),
            id="imported and updated",
        ),
        pytest.param(
            {**change(["no-op"], importing={"id": "i-1"}), "previous_address": "x.old"},
            (Action.IMPORT, "x.old", "i-1"),
            ChangeCounts(import_=1, move=1),
            id="imported and moved",
        ),
        pytest.param(
            change(["no-op"], importing={"unknown": True}),
            (Action.IMPORT, None, "(known after apply)"),
            ChangeCounts(import_=1),
            id="an id that nobody knows yet",
        ),
        pytest.param(
            change(["no-op"], importing={"identity": {"region": "eu", "name": "a"}}),
            (Action.IMPORT, None, '{"name": "a", "region": "eu"}'),
            ChangeCounts(import_=1),
            id="by an identity",
        ),
        pytest.param(change(["forget"]), (Action.FORGET, None, None), ChangeCounts(forget=1), id="forgotten"),
    ],
)
def test_what_happens_to_the_tfstate_alone(
    entry: dict[str, Any], expected: tuple[Any, ...], counts: ChangeCounts
) -> None:
    found = planned(document(entry), has_changes=True)
    (only,) = found.changes
    assert (only.action, only.moved_from, only.imported_id) == expected
    assert ChangeCounts.of(found) == counts


def test_what_is_only_moved_is_no_drift() -> None:
    moved = {**change(["no-op"]), "previous_address": "x.old"}
    assert planned(document(moved, drift=(moved,)), has_changes=True).drifted == ()


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(StepFailed, match=r"an unknown action for x\.y: explode"):
        planned(document(change(["explode"])), has_changes=True)


@pytest.mark.parametrize("version", ["2.0", "0.2", None, 1], ids=str)
def test_an_unknown_format_is_refused(version: Any) -> None:
    with pytest.raises(StepFailed, match="only format 1 is known"):
        planned({"format_version": version}, has_changes=False)


@pytest.mark.parametrize(
    ("told", "after"),
    [
        pytest.param({"after": {"a": 1}}, {"a": 1}, id="plain"),
        pytest.param(
            {"after": {"a": 1, "p": "x"}, "after_sensitive": {"p": True}}, {"a": 1, "p": "(sensitive)"}, id="sensitive"
        ),
        pytest.param(
            {"after": {"p": {"q": "x"}}, "after_sensitive": {"p": True}}, {"p": "(sensitive)"}, id="sensitive object"
        ),
        pytest.param({"after": {"a": 1}, "after_sensitive": True}, "(sensitive)", id="all of it"),
        pytest.param(
            {"after": {"l": [{"p": "x", "o": 1}]}, "after_sensitive": {"l": [{"p": True}]}},
            {"l": [{"p": "(sensitive)", "o": 1}]},
            id="in a list",
        ),
        pytest.param({"after": {}, "after_unknown": {"id": True}}, {"id": "(known after apply)"}, id="unknown"),
        pytest.param(
            {"after": {"n": {"a": 1}}, "after_unknown": {"n": {"b": True}}},
            {"n": {"a": 1, "b": "(known after apply)"}},
            id="unknown in an object",
        ),
        pytest.param(
            {"after": {"n": [{}]}, "after_unknown": {"n": [{"b": True}]}},
            {"n": [{"b": "(known after apply)"}]},
            id="unknown in a list",
        ),
        pytest.param({"after": {"n": {}}, "after_unknown": {"n": {"b": False}}}, {"n": {}}, id="not unknown"),
        pytest.param(
            {"after": {}, "after_unknown": {"id": True}, "after_sensitive": {"id": True}},
            {"id": "(sensitive)"},
            id="unknown and sensitive",
        ),
        pytest.param(
            {"after": {"in": "long-secret", "out": "long-secret"}, "after_sensitive": {"in": True}},
            {"in": "(sensitive)", "out": "(sensitive)"},
            id="copied without a mark",
        ),
        pytest.param(
            {"after": {"in": "no", "out": "no"}, "after_sensitive": {"in": True}},
            {"in": "(sensitive)", "out": "no"},
            id="too short to tell",
        ),
        pytest.param(
            {"after": {"l": ["x"]}, "after_sensitive": {"l": {"0": True}}}, {"l": "(sensitive)"}, id="odd marks"
        ),
    ],
)
def test_what_may_be_shown_of_a_value(told: dict[str, Any], after: Any) -> None:
    found = planned(document(change(["update"], **{"before": {"a": 0}, **told})), has_changes=True)
    assert (found.changes[0].before, found.changes[0].after) == ({"a": 0}, after)


def test_before_is_masked_by_its_own_marks() -> None:
    gone = change(["delete"], before={"p": "was-secret", "q": 1}, before_sensitive={"p": True}, after_sensitive=False)
    found = planned(document(gone), has_changes=True).changes[0]
    assert (found.before, found.after) == ({"p": "(sensitive)", "q": 1}, None)


def test_drift_deposed_objects_and_counts() -> None:
    deposed = {**change(["delete"], before={}), "deposed": "0a1b2c3d"}
    drifted = change(["update"], address="x.drifted", before={"v": 1}, after={"v": 2})
    found = planned(document(deposed, change(["create"], "x.z", after={}), drift=(drifted,)), has_changes=True)
    assert [item.address for item in found.changes] == ["x.y (deposed 0a1b2c3d)", "x.z"]
    assert [(item.address, item.before, item.after) for item in found.drifted] == [("x.drifted", {"v": 1}, {"v": 2})]
    assert ChangeCounts.of(found) == ChangeCounts(create=1, delete=1)


def test_changes_of_outputs_alone_are_changes() -> None:
    assert planned(document(), has_changes=True).has_changes


def test_marks_cover_what_does_not_change_too() -> None:
    told = document(
        change(["no-op"], after_sensitive={"p": True}), change(["create"], "x.z", after_unknown={"id": True})
    )
    found = expected(
        {**told, "output_changes": {"b": output(["create"]), "a": output(["no-op"]), "c": output(["delete"])}}
    )
    assert found == Expected({"x.y": Marks({"p": True}, False), "x.z": Marks(False, {"id": True})}, ("a", "b"))
    assert Expected.from_data(json.loads(json.dumps(found.to_data()))) == found


def output(actions: list[str], **more: Any) -> dict[str, Any]:
    return {"actions": actions, "before": None, "after_unknown": False, **more}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(output(["create"], after="x"), OutputChange("o", Action.CREATE, None, "x"), id="new"),
        pytest.param(output(["no-op"], before=1, after=1), None, id="unchanged"),
        pytest.param(output(["delete"], before=1), OutputChange("o", Action.DELETE, 1, None), id="gone"),
        pytest.param(
            output(["update"], before="x", after_unknown=True),
            OutputChange("o", Action.UPDATE, "x", "(known after apply)"),
            id="unknown",
        ),
        pytest.param(
            output(["update"], before=["x"], after=["x", None], after_unknown=[False, True]),
            OutputChange("o", Action.UPDATE, ["x"], ["x", "(known after apply)"]),
            id="partly unknown",
        ),
        pytest.param(
            output(["update"], before="hidden1", after="hidden2", before_sensitive=True, after_sensitive=True),
            OutputChange("o", Action.UPDATE, "(sensitive)", "(sensitive)", sensitive=True),
            id="sensitive",
        ),
        pytest.param(
            output(["update"], before="open", after_unknown=True, after_sensitive=True),
            OutputChange("o", Action.UPDATE, "open", "(sensitive)", sensitive=True),
            id="sensitive from now on",
        ),
    ],
)
def test_outputs(told: dict[str, Any], expected: OutputChange | None) -> None:
    found = planned({**document(), "output_changes": {"o": told}}, has_changes=True)
    assert found.outputs == (() if expected is None else (expected,))


def test_an_output_that_repeats_what_a_resource_marks_as_sensitive_is_masked() -> None:
    secret = change(["create"], after={"password": "hunter22"}, after_sensitive={"password": True})
    told = {**document(secret), "output_changes": {"o": output(["create"], after="hunter22")}}
    assert planned(told, has_changes=True).outputs[0].after == "(sensitive)"


def test_the_outputs_that_are_there_are_known_where_nothing_changes() -> None:
    there = {"a": {"value": [1], "type": "x", "sensitive": False}, "b": {"value": "hidden", "sensitive": True}}
    told = {**document(), "prior_state": {"values": {"outputs": there}}}
    told["output_changes"] = {"a": output(["no-op"], before=[1], after=[1]), "n": output(["no-op"], after=None)}
    expected = (Output("a", [1]), Output("b", "hidden", sensitive=True), Output("n", None))
    assert planned(told, has_changes=False).present == expected
    assert planned(told, has_changes=True).present == ()
    assert planned(document(), has_changes=False).present == ()
