from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Action
from reconciler.tools.base import StepFailed, TfstateNotSaved, ToolJob
from reconciler.tools.pulumi.state import KeptState
from reconciler.tools.registry import tool
from tests.needs import needs

pytestmark = needs("pulumi")

PYTHON = Path(__file__).parents[3] / ".tools" / "pulumi-python"
PROGRAM = "name: proj\nruntime: yaml\nvariables:\n  text: {text}\noutputs:\n  greeting: hello ${{text}}\n  secret:\n    fn::secret: hunter2-{text}\n"


def job(place: Any, text: str = "one", **changes: Any) -> ToolJob:
    options = {"stack": "it", **changes.pop("options", {})}
    (place.work / "Pulumi.yaml").write_text(PROGRAM.format(text=text))
    return ToolJob(shutil.which("pulumi") or "", place.work, place.scratch, options, **changes)


def rounds(place: Any, work: ToolJob) -> Any:
    """Plan and apply as a run does: nothing of an earlier run's directories is left."""
    shutil.rmtree(place.scratch)
    place.scratch.mkdir()
    (place.work / "Pulumi.it.yaml").unlink(missing_ok=True)
    it = tool("pulumi")
    it.init(work, place.do)
    planned = it.plan(work, place.do)
    return planned, (it.apply(work, place.do) if planned.has_changes else None)


def test_a_yaml_program_with_the_state_kept_by_the_service(place: Any, tfstate_server: Any) -> None:
    planned, applied = rounds(place, job(place, tfstate=tfstate_server.backend))
    assert planned.has_changes
    assert {it.name: (it.action, it.sensitive) for it in planned.outputs} == {
        "greeting": (Action.CREATE, False),
        "secret": (Action.CREATE, True),
    }
    assert {it.name: (it.value, it.sensitive) for it in applied.outputs} == {
        "greeting": ("hello one", False),
        "secret": ("hunter2-one", True),
    }
    stored = json.loads(tfstate_server.tfstate)
    assert (stored["path"], stored["checkpoint"]["checkpoint"]["stack"]) == (
        "stacks/proj/it.json",
        "organization/proj/it",
    )
    assert b"hunter2" not in tfstate_server.tfstate
    planned, _ = rounds(place, job(place, tfstate=tfstate_server.backend))
    assert (planned.has_changes, {it.name: it.value for it in planned.present}["greeting"]) == (False, "hello one")
    planned, applied = rounds(place, job(place, "two", tfstate=tfstate_server.backend))
    assert {it.name: it.action for it in planned.outputs}["greeting"] is Action.UPDATE
    assert applied.outputs[0].value == "hello two"
    assert json.loads(tfstate_server.tfstate)["serial"] > stored["serial"]
    assert tfstate_server.lock is None
    assert "hunter2" not in place.do.printed


def test_a_backend_of_the_documents_own(place: Any) -> None:
    kept = place.top / "kept"
    kept.mkdir()
    work = job(place, options={"backend": f"file://{kept}"}, env={"PULUMI_CONFIG_PASSPHRASE": "hush"})
    place.do.environment["PULUMI_CONFIG_PASSPHRASE"] = "hush"
    _, applied = rounds(place, work)
    assert {it.name: it.sensitive for it in applied.outputs} == {"greeting": False, "secret": True}
    planned, _ = rounds(place, work)
    assert not planned.has_changes
    place.do.environment["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    with pytest.raises(StepFailed):
        rounds(place, work)
    assert "incorrect passphrase" in place.do.printed.lower()


def test_a_project_that_was_renamed_never_begins_anew(place: Any, tfstate_server: Any) -> None:
    rounds(place, job(place, tfstate=tfstate_server.backend))
    work = job(place, tfstate=tfstate_server.backend)
    (place.work / "Pulumi.yaml").write_text(PROGRAM.format(text="one").replace("name: proj", "name: other"))
    with pytest.raises(StepFailed):
        rounds(place, work)
    assert "no stack named 'it' found" in place.do.printed


def test_an_update_is_held_to_its_plan(place: Any, tfstate_server: Any) -> None:
    it, work = tool("pulumi"), job(place, tfstate=tfstate_server.backend)
    it.init(work, place.do)
    it.plan(work, place.do)
    job(place, "two")
    with pytest.raises(StepFailed):
        it.apply(work, place.do)
    stored = json.loads(tfstate_server.tfstate)["checkpoint"]["checkpoint"]["latest"]["resources"]
    assert not stored[0].get("outputs")


def test_a_state_that_somebody_else_has_changed_is_not_overwritten(place: Any, tfstate_server: Any) -> None:
    rounds(place, job(place, tfstate=tfstate_server.backend))
    it, work = tool("pulumi"), job(place, "two", tfstate=tfstate_server.backend)
    it.init(work, place.do)
    it.plan(work, place.do)
    changed = json.dumps({**json.loads(tfstate_server.tfstate), "serial": 99}).encode()
    tfstate_server.tfstate = changed
    with pytest.raises(StepFailed, match="changed since the plan"):
        it.apply(work, place.do)
    assert (tfstate_server.tfstate, tfstate_server.lock) == (changed, None)


def test_a_last_state_that_cannot_be_stored_is_rescued(place: Any, tfstate_server: Any) -> None:
    work = job(place, tfstate=tfstate_server.backend)
    rounds(place, work)
    kept = KeptState.of(work)
    assert kept is not None
    (file,) = (place.scratch / "pulumi-state").rglob("it.json")
    saving = kept.saving()
    saving.__enter__()
    file.write_text('{"checkpoint": ')
    with pytest.raises(TfstateNotSaved) as failed:
        saving.__exit__(None, None, None)
    assert (failed.value.rescued, tfstate_server.lock) == (file, None)


def test_a_state_of_another_tool_is_refused(place: Any, tfstate_server: Any) -> None:
    tfstate_server.tfstate = b'{"version": 4}'
    with pytest.raises(StepFailed, match="no state of Pulumi"):
        rounds(place, job(place, tfstate=tfstate_server.backend))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        pytest.param("name: proj\nruntime: cobol\n", "cobol", id="no such language"),
        pytest.param("name: proj\nruntime: yaml\noutputs:\n  a: ${none}\n", "none", id="a program that is wrong"),
        pytest.param(
            "name: proj\nruntime: yaml\nresources:\n  b:\n    type: aws:s3:Bucket\n",
            "aws",
            id="a plugin that is missing",
        ),
    ],
)
def test_what_pulumi_refuses_is_the_reason(place: Any, tfstate_server: Any, program: str, words: str) -> None:
    work = job(place, tfstate=tfstate_server.backend)
    place.do.environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    (place.work / "Pulumi.yaml").write_text(program)
    with pytest.raises(StepFailed) as failed:
        rounds(place, work)
    assert words in f"{failed.value} {place.do.printed}"


HOLDERS = """
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class Holders(ResourceProvider):
    def create(self, inputs):
        if inputs["text"] == "broken":
            raise Exception("out of luck")
        return CreateResult(inputs["text"], {"text": inputs["text"].removeprefix("not ")})


class Holder(Resource):
    def __init__(self, name, text, opts=None):
        super().__init__(Holders(), name, {"text": text}, opts)


"""


@pytest.fixture
def python(place: Any, tfstate_server: Any) -> Any:
    """A function that writes a program in Python and returns its job."""
    if not PYTHON.is_dir():
        pytest.skip("Pulumi's SDK for Python is not there (make tools)")

    def write(*things: str, **changes: Any) -> ToolJob:
        work = job(place, tfstate=tfstate_server.backend, **changes)
        options = f"  options:\n    virtualenv: {PYTHON}\n"
        (place.work / "Pulumi.yaml").write_text(f"name: proj\nruntime:\n  name: python\n{options}")
        (place.work / "__main__.py").write_text(HOLDERS + "\n".join(things) + "\n")
        return work

    return write


def test_a_program_that_throws_is_the_reason(place: Any, python: Any) -> None:
    with pytest.raises(StepFailed, match="nothing is right here"):
        rounds(place, python("raise Exception('nothing is right here')"))
    with pytest.raises(StepFailed):
        rounds(place, python("Holder('one', 'broken')"))
    assert "out of luck" in place.do.printed


def test_an_output_that_the_preview_could_not_foresee_or_foresaw_wrongly(place: Any, python: Any) -> None:
    work = python("one = Holder('one', 'not 1')", "pulumi.export('id', one.id)", "pulumi.export('text', one.text)")
    it = tool("pulumi")
    it.init(work, place.do)
    foreseen = {each.name: each.after for each in it.plan(work, place.do).outputs}
    assert foreseen == {"id": "(known after apply)", "text": "not 1"}
    with pytest.raises(StepFailed, match="not what the preview foresaw"):
        it.apply(work, place.do)
    _, applied = rounds(place, work)
    assert {each.name: each.value for each in applied.outputs} == {"id": "not 1", "text": "1"}


def test_a_destruction_is_held_to_what_its_plan_names(place: Any, python: Any) -> None:
    kept = place.top / "kept"
    kept.mkdir()
    place.do.environment["PULUMI_CONFIG_PASSPHRASE"] = ""
    own = {"options": {"backend": f"file://{kept}"}}
    parts = ("one = Holder('one', '1')", "Holder('two', '2', pulumi.ResourceOptions(parent=one))")
    rounds(place, python(*parts, **own))
    it, gone = tool("pulumi"), python(*parts, **own, destroy=True)

    def plan() -> None:
        it.init(gone, place.do)
        assert {change.action for change in it.plan(gone, place.do).changes} == {Action.DELETE}

    def somebody_adds(argv: Sequence[str]) -> None:
        if argv[1] == "destroy":
            place.do.before = None
            python(*parts, "Holder('new', '3')", **own)
            words = ("--stack", "it", "--yes", "--skip-preview", "--non-interactive")
            place.do((argv[0], "up", *words), env={"PULUMI_BACKEND_URL": f"file://{kept}"})

    def there() -> int:
        (state,) = (kept / ".pulumi" / "stacks" / "proj").glob("it.json")
        resources = json.loads(state.read_text())["checkpoint"]["latest"].get("resources") or []
        return sum(1 for each in resources if each["type"].startswith("pulumi-python:"))

    plan()
    place.do.before = somebody_adds
    with pytest.raises(StepFailed):
        it.apply(gone, place.do)
    assert (there(), "was not specified in --target list" in place.do.printed) == (3, True), "Pulumi removed nothing"
    with pytest.raises(StepFailed, match=r"not in the plan: pulumi-python:dynamic:Resource::new;"):
        it.apply(gone, place.do)
    plan()
    assert (it.apply(gone, place.do).resources, there()) == ((), 0)
