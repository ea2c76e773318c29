"""What a script may write to `$STATION_PLAN`, and what is refused."""

from __future__ import annotations

import json

import pytest

from reconciler.core.normalised import plan_to_json
from reconciler.core.results import Action, OutputChange, Planned, ResourceChange
from reconciler.tools.base import StepFailed
from reconciler.tools.script.changes import read_plan

CHANGE = {"address": "dns.www", "type": "record", "action": "create"}


def _written(tmp_path, plan):
    path = tmp_path / "plan.json"
    path.write_text(plan if isinstance(plan, str) else json.dumps(plan))
    return path


def test_a_plan_is_read_in_the_shape_that_policies_get(tmp_path):
    planned = Planned(
        False,
        (
            ResourceChange("dns.www", "record", "script", Action.UPDATE, {"ttl": 60}, {"ttl": 300}),
            ResourceChange("dns.api", "record", "powerdns", Action.IMPORT, None, {}, "dns.old", "r-1"),
        ),
        outputs=(OutputChange("zone", Action.CREATE, None, "example.org"),),
    )
    assert read_plan(_written(tmp_path, plan_to_json(planned))) == planned


def test_little_is_needed(tmp_path):
    assert read_plan(tmp_path / "none") == read_plan(_written(tmp_path, "\n")) == Planned(has_changes=False)
    (change,) = read_plan(_written(tmp_path, {"changes": [CHANGE]})).changes
    assert change == ResourceChange("dns.www", "record", "script", Action.CREATE)


def test_a_sensitive_output_is_hidden(tmp_path):
    plan = {"outputs": [{"name": "key", "action": "create", "after": "s3cr3t", "sensitive": True}]}
    assert read_plan(_written(tmp_path, plan)).outputs == (
        OutputChange("key", Action.CREATE, None, "(sensitive)", sensitive=True),
    )


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        pytest.param("{s3cr3t", "is not JSON: Expecting property name", id="not JSON"),
        pytest.param([], "it must be an object with changes, outputs", id="a list"),
        pytest.param({"change": []}, "it has the unknown key 'change'; there are changes, outputs", id="unknown key"),
        pytest.param({"changes": {}}, "changes must be a list", id="no list"),
        pytest.param({"changes": ["s3cr3t"]}, "changes[0] must be an object with address,", id="no object"),
        pytest.param({"changes": [{**CHANGE, "adress": 1}]}, "changes[0] has the unknown key 'adress'", id="typo"),
        pytest.param(
            {"changes": [{**CHANGE, "action": "s3cr3t"}]},
            "changes[0].action must be one of create, update, delete, replace, read, forget, import, move",
            id="action",
        ),
        pytest.param({"changes": [{**CHANGE, "action": ["create"]}]}, "changes[0].action must be", id="a list of them"),
        pytest.param({"changes": [{**CHANGE, "address": "a\nb"}]}, "changes[0].address must be one line", id="lines"),
        pytest.param({"changes": [{**CHANGE, "type": 5}]}, "changes[0].type must be one line of text", id="number"),
        pytest.param({"changes": [CHANGE, CHANGE]}, "changes[1].address is the address of an earlier", id="twice"),
        pytest.param({"changes": [{**CHANGE, "after": [[[]]] * 9}], "outputs": 1}, "outputs must be", id="outputs"),
        pytest.param({"outputs": [{"name": "a", "action": "move"}]}, "outputs[0].action must be one", id="moved"),
        pytest.param({"outputs": [{"name": "a", "action": "create", "sensitive": "no"}]}, "outputs[0].sens", id="text"),
    ],
)
def test_what_is_no_plan_is_refused_without_its_values(tmp_path, plan, message):
    with pytest.raises(StepFailed) as refused:
        read_plan(_written(tmp_path, plan))
    assert str(refused.value).startswith("what script.plan wrote to $STATION_PLAN")
    assert message in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
