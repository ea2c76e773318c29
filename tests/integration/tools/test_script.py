from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.core.results import Action, Applied, Output, Planned
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.registry import tool


def job(place: Any, **options: str) -> ToolJob:
    return ToolJob("", place.work, place.scratch, options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, True, id="without a plan"),
        pytest.param({"plan": "exit 0"}, False, id="no changes"),
        pytest.param({"plan": "exit 2"}, True, id="changes"),
        pytest.param({"plan": "test -e made || exit 2"}, True, id="by a test"),
    ],
)
def test_plan(place: Any, options: dict[str, str], *, expected: bool) -> None:
    script, work = tool("script"), job(place, apply="true", **options)
    script.init(work, place.do)
    assert script.plan(work, place.do) == Planned(has_changes=expected)
    assert list(script.plan_files(work)) == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("exit 1", 1, id="one"),
        pytest.param("exit 3", 3, id="three"),
        pytest.param("false\nexit 0", 1, id="in the middle"),
    ],
)
def test_a_plan_that_fails(place: Any, command: str, code: int) -> None:
    with pytest.raises(StepFailed) as failed:
        tool("script").plan(job(place, plan=command, apply="true"), place.do)
    assert failed.value.code == code


def test_apply_runs_in_the_source_directory(place: Any) -> None:
    assert tool("script").apply(job(place, apply="echo $(basename $PWD) > made"), place.do) == Applied(by_plan=True)
    assert (place.work / "made").read_text() == "work\n"


def test_an_apply_that_fails_in_the_middle_fails(place: Any) -> None:
    with pytest.raises(StepFailed):
        tool("script").apply(job(place, apply="touch one\nfalse\ntouch two"), place.do)
    assert sorted(path.name for path in place.work.iterdir()) == ["one"]


@pytest.mark.parametrize(
    ("command", "outputs"),
    [
        pytest.param("echo '{\"a\": 1}'", (Output("a", 1),), id="printed"),
        pytest.param(
            'echo \'{"p": {"value": "x", "sensitive": true}}\'', (Output("p", "x", sensitive=True),), id="sensitive"
        ),
        pytest.param("echo '{\"a\": 1}' > $STATION_OUTPUTS", (), id="left to the runner in its file"),
    ],
)
def test_outputs(place: Any, command: str, outputs: tuple[Output, ...]) -> None:
    work = job(place, apply="true", outputs=command)
    assert tool("script").apply(work, place.do).outputs == outputs
    assert not (place.scratch / "printed-outputs").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(
            "echo secret-in-it", r"what script\.outputs prints is not JSON: Expecting value at line 1", id="text"
        ),
        pytest.param("echo '[1]'", r"what script\.outputs prints must be one JSON object", id="list"),
        pytest.param("exit 4", "exited with 4", id="fails"),
    ],
)
def test_outputs_that_are_none(place: Any, command: str, message: str) -> None:
    with pytest.raises(StepFailed, match=message) as failed:
        tool("script").apply(job(place, apply="true", outputs=command), place.do)
    assert "secret" not in str(failed.value)


def test_a_script_without_an_apply_is_refused(place: Any) -> None:
    with pytest.raises(StepFailed, match=r"no script\.apply"):
        tool("script").apply(job(place), place.do)


def test_a_plan_that_names_changes_and_says_there_are_none(place: Any) -> None:
    plan = """echo '{"changes": [{"address": "a", "type": "t", "action": "create"}]}' > $STATION_PLAN"""
    with pytest.raises(StepFailed, match="exit code 0, no changes, but named changes"):
        tool("script").plan(job(place, plan=plan, apply="true"), place.do)
    planned = tool("script").plan(job(place, plan=f"{plan}; exit 2", apply="true"), place.do)
    assert (planned.has_changes, [change.address for change in planned.changes]) == (True, ["a"])


def test_the_example(place: Any) -> None:
    example = Path(__file__).parents[3] / "examples" / "tools" / "script"
    shutil.copytree(example / "records", place.work, dirs_exist_ok=True)
    commands = yaml.safe_load((example / "stack.yaml").read_text())["spec"]["script"]
    commands = {name: f"RECORDS={place.top}/made; export RECORDS\n{text}" for name, text in commands.items()}
    script, work = tool("script"), job(place, **commands)
    first = script.plan(work, place.do)
    assert [(each.address, each.action) for each in first.changes] == [
        ("record.www", Action.CREATE),
        ("record.mail", Action.CREATE),
    ]
    assert script.apply(work, place.do).outputs == (Output("directory", f"{place.top}/made"),)
    assert script.plan(work, place.do) == Planned(has_changes=False)
    (place.work / "records.txt").write_text("www 192.0.2.9\n")
    changes = script.plan(work, place.do).changes
    assert [(each.action, each.before, each.after) for each in changes] == [
        (Action.UPDATE, {"address": "192.0.2.1"}, {"address": "192.0.2.9"}),
        (Action.DELETE, {"address": "192.0.2.2"}, None),
    ]
