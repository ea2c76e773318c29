"""With the real binary. OpenTofu is stood in for by the same binary under the name `tofu`: its own is not at hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from reconciler.core.results import Action, ChangeCounts, Output
from reconciler.tools.base import StepFailed, TfstateBackend, ToolJob
from reconciler.tools.registry import tool
from tests.needs import need, needs

TERRAFORM = shutil.which("terraform")
pytestmark = needs("terraform")

MODULE = """
variable "password" {
  default   = "hunter2-hunter2"
  sensitive = true
}
variable "size" {
  default = 1
}
resource "terraform_data" "db" {
  input = { password = var.password, size = var.size }
}
resource "terraform_data" "each" {
  for_each         = toset(["a", "b\\"c"])
  input            = each.key
  triggers_replace = var.size
}
output "size" {
  value = var.size
}
output "password" {
  value     = var.password
  sensitive = true
}
"""


def job(place: Any, backend: TfstateBackend | None, options: dict[str, Any] | None = None) -> ToolJob:
    facts = {"backend": "own" if backend is None else "managed"}
    return ToolJob(TERRAFORM or "", place.work, place.scratch, options or {}, facts, backend)


def run(adapter: Any, work: ToolJob, do: Any) -> Any:
    adapter.init(work, do)
    assert adapter.plan(work, do).has_changes
    return adapter.apply(work, do)


def test_a_round_with_the_managed_tfstate(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)

    terraform.init(work, place.do)
    found = terraform.plan(work, place.do)
    assert {change.address: change.action for change in found.changes} == {
        "terraform_data.db": Action.CREATE,
        'terraform_data.each["a"]': Action.CREATE,
        'terraform_data.each["b\\"c"]': Action.CREATE,
    }
    by_address = {change.address: change for change in found.changes}
    assert by_address["terraform_data.db"].after == {
        "id": "(known after apply)",
        "input": {"password": "(sensitive)", "size": 1},
        "output": "(known after apply)",
        "triggers_replace": None,
    }

    applied = terraform.apply(work, place.do)
    assert applied.outputs == (Output("password", "hunter2-hunter2", sensitive=True), Output("size", 1))
    attributes = {resource.address: resource.attributes for resource in applied.resources or ()}
    assert attributes.keys() == by_address.keys()
    assert attributes["terraform_data.db"]["input"] == {"password": "(sensitive)", "size": 1}
    assert attributes['terraform_data.each["a"]']["output"] == "a"
    assert {resource.provider for resource in applied.resources or ()} == {"terraform.io/builtin/terraform"}

    assert not terraform.plan(work, place.do).has_changes
    assert tfstate_server.lock is None


def test_a_secret_is_in_no_result_no_log_and_no_file_that_stays(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    terraform.init(work, place.do)
    found = terraform.plan(work, place.do)
    resources = terraform.apply(work, place.do).resources
    assert "hunter2-hunter2" not in f"{found}{resources}{place.do.printed}"
    plan, *others = terraform.plan_files(work)
    secrets = (b"hunter2-hunter2", tfstate_server.backend.password.encode())
    kept = [path for path in place.scratch.rglob("*") if path.is_file() and path != plan]
    assert [path.name for path in kept if any(secret in path.read_bytes() for secret in secrets)] == []
    assert set(others) <= set(kept)
    with ZipFile(plan) as archive:
        assert not any(secrets[1] in archive.read(name) for name in archive.namelist())
    assert not any(secrets[1] in path.read_bytes() for path in place.work.rglob("*") if path.is_file())
    assert not any(secrets[1].decode() in part for command in place.do.commands for part in command)


def test_four_processes_and_no_more(place: Any, tfstate_server: Any) -> None:
    (place.work / "main.tf").write_text(MODULE)
    run(tool("terraform"), job(place, tfstate_server.backend), place.do)
    assert [command[1] for command in place.do.commands] == ["init", "plan", "show", "apply"]


def test_the_apply_leg_may_have_another_address_and_password(
    place: Any, tfstate_server: Any, second_tfstate_server: Any
) -> None:
    terraform, first = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    terraform.init(first, place.do)
    terraform.plan(first, place.do)
    applied = terraform.apply(replace(first, tfstate=second_tfstate_server.backend), place.do)
    assert (tfstate_server.tfstate, len(applied.resources or ())) == (None, 3)
    assert "POST" in second_tfstate_server.methods


def test_update_replace_and_delete(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    run(terraform, work, place.do)
    (place.work / "main.tf").write_text(MODULE.replace("default = 1", "default = 2").replace('"a", ', ""))
    found = terraform.plan(work, place.do)
    assert {change.address: change.action for change in found.changes} == {
        "terraform_data.db": Action.UPDATE,
        'terraform_data.each["a"]': Action.DELETE,
        'terraform_data.each["b\\"c"]': Action.REPLACE,
    }


def test_a_change_of_outputs_alone_is_a_change(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text('output "a" {\n  value = 1\n}\n')
    terraform.init(work, place.do)
    found = terraform.plan(work, place.do)
    assert (found.has_changes, found.changes) == (True, ())
    applied = terraform.apply(work, place.do)
    assert (applied.resources, applied.outputs) == ((), (Output("a", 1),))


def test_a_module_in_json_only_and_a_file_with_our_name(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf.json").write_text('{"resource": {"terraform_data": {"x": {"input": 1}}}}')
    (place.work / "station_override.tf").write_text('resource "terraform_data" "x" {\n  input = "theirs"\n}\n')
    run(terraform, work, place.do)
    assert "theirs" in (place.work / "station_override.tf").read_text()
    assert tfstate_server.resources() == ["terraform_data.x"]


def test_init_can_be_repeated_in_the_same_directory(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    terraform.init(work, place.do)
    terraform.init(work, place.do)
    assert len(list(place.work.glob("station*"))) == 1


def test_a_committed_data_directory_has_no_say(place: Any, tfstate_server: Any) -> None:
    (place.work / "main.tf").write_text(MODULE)
    (place.work / ".terraform").mkdir()
    (place.work / ".terraform" / "environment").write_text("elsewhere")
    run(tool("terraform"), job(place, tfstate_server.backend), place.do)
    assert tfstate_server.tfstate is not None


def test_a_backend_of_the_code_is_left_alone_with_its_workspace(place: Any) -> None:
    kept = place.top / "kept"
    own = f'terraform {{\n  backend "local" {{\n    workspace_dir = "{kept}"\n  }}\n}}\n'
    (place.work / "main.tf").write_text(own + MODULE)
    applied = run(tool("terraform"), job(place, None, {"workspace": "prod"}), place.do)
    assert len(applied.resources) == 3
    assert applied.outputs[1] == Output("size", 1)
    assert (kept / "prod").is_dir()
    assert not list(place.work.glob("station_*"))
    assert not (place.scratch / "pulled.tfstate").exists()


@pytest.mark.parametrize("said", ["", 'path = "./it.tfstate"', 'path = "/run/station/home/it.tfstate"'])
def test_a_backend_that_goes_with_the_run_is_refused(place: Any, said: str) -> None:
    (place.work / "main.tf").write_text(f'terraform {{\n  backend "local" {{\n    {said}\n  }}\n}}\n{MODULE}')
    with pytest.raises(StepFailed, match=r"keeps its tfstate in the work directory .* which goes with the run"):
        tool("terraform").init(job(place, None), place.do)


def test_a_workspace_needs_a_backend_of_the_code(place: Any, tfstate_server: Any) -> None:
    with pytest.raises(StepFailed, match=r"terraform\.workspace needs a backend of the code's own"):
        tool("terraform").init(job(place, tfstate_server.backend, {"workspace": "prod"}), place.do)
    assert place.do.commands == []


@pytest.mark.parametrize("written_by", ["mounted or linked", "a hook"])
@pytest.mark.parametrize("file", ["backend.tf", "zz_override.tf", "backend.tf.json", "linked.tf"])
def test_a_backend_that_nobody_knew_of_is_used_and_never_overridden(
    place: Any, tfstate_server: Any, file: str, written_by: str
) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    own = place.home / "own.tfstate"
    (place.work / "main.tf").write_text(MODULE)
    if file.endswith(".json"):
        (place.work / file).write_text(json.dumps({"terraform": {"backend": {"local": {"path": str(own)}}}}))
    else:
        text = f'terraform {{\n  backend "local" {{\n    path = "{own}"\n  }}\n}}\n'
        target = place.work / ("elsewhere" if file == "linked.tf" else file)
        target.write_text(text)
        if target.name != file:
            (place.work / file).symlink_to(target.name)
    if written_by == "a hook":
        # Something of the managed tfstate would be lost from sight: nothing is begun beside it.
        tfstate_server.tfstate = b'{"version": 4, "resources": []}'
        with pytest.raises(StepFailed, match=rf"^{file} names a backend .* already keeps a tfstate"):
            terraform.init(work, place.do)
        assert place.do.commands == []
        return
    applied = run(terraform, work, place.do)
    assert len(applied.resources) == 3
    assert len(json.loads(own.read_text())["resources"]) == 2
    assert tfstate_server.tfstate is None
    assert not list(place.work.glob("station*"))
    assert not terraform.plan(work, place.do).has_changes


def test_a_backend_that_was_taken_away_before_init_is_missed(place: Any) -> None:
    (place.work / "main.tf").write_text(MODULE)
    with pytest.raises(StepFailed, match="names a backend, and what was done before init took it out"):
        tool("terraform").init(job(place, None), place.do)
    assert place.do.commands == []


def test_code_that_leads_out_of_the_work_directory_may_name_a_backend(place: Any, tfstate_server: Any) -> None:
    (place.work / "main.tf").write_text(MODULE)
    (place.work / "backend.tf").symlink_to("/etc/hostname")
    with pytest.raises(StepFailed, match=r"backend\.tf is a link that leads outside"):
        tool("terraform").init(job(place, tfstate_server.backend), place.do)


def resource(name: str, value: int = 1) -> str:
    return f'resource "terraform_data" "{name}" {{\n  input = {value}\n}}\n'


@pytest.mark.parametrize(
    ("code", "changes", "counts"),
    [
        pytest.param(
            resource("b") + "moved {\n  from = terraform_data.a\n  to = terraform_data.b\n}\n",
            [("terraform_data.b", Action.MOVE, "terraform_data.a", None)],
            ChangeCounts(move=1),
            id="moved",
        ),
        pytest.param(
            "removed {\n  from = terraform_data.a\n  lifecycle {\n    destroy = false\n  }\n}\n",
            [("terraform_data.a", Action.FORGET, None, None)],
            ChangeCounts(forget=1),
            id="removed without being destroyed",
        ),
        pytest.param(
            resource("a")
            + 'import {\n  to = terraform_data.new\n  id = "i-1"\n}\nresource "terraform_data" "new" {}\n',
            [("terraform_data.new", Action.IMPORT, None, "i-1")],
            ChangeCounts(import_=1),
            id="imported",
        ),
        pytest.param(
            resource("a") + resource("new") + 'import {\n  to = terraform_data.new\n  id = "i-1"\n}\n',
            [("terraform_data.new", Action.UPDATE, None, "i-1")],
            ChangeCounts(update=1, import_=1),
            id="imported and updated",
        ),
        pytest.param(
            resource("b", 2) + "moved {\n  from = terraform_data.a\n  to = terraform_data.b\n}\n",
            [("terraform_data.b", Action.UPDATE, "terraform_data.a", None)],
            ChangeCounts(update=1, move=1),
            id="moved and updated",
        ),
        pytest.param(
            resource("a") + 'output "one" {\n  value = 1\n}\n', [], ChangeCounts(outputs=1), id="an output alone"
        ),
    ],
)
def test_changes_of_the_tfstate_alone_are_seen(
    place: Any, tfstate_server: Any, code: str, changes: list[Any], counts: ChangeCounts
) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(resource("a"))
    run(terraform, work, place.do)
    (place.work / "main.tf").write_text(code)
    terraform.init(work, place.do)
    found = terraform.plan(work, place.do)
    assert [(it.address, it.action, it.moved_from, it.imported_id) for it in found.changes] == changes
    assert ChangeCounts.of(found) == counts
    assert (found.has_changes, found.drifted) == (True, ())
    terraform.apply(work, place.do)
    assert not terraform.plan(work, place.do).has_changes


def test_without_a_place_for_the_tfstate_nothing_starts(place: Any) -> None:
    with pytest.raises(StepFailed, match="no place for the managed tfstate"):
        tool("terraform").init(replace(job(place, None), facts={"backend": "managed"}), place.do)
    assert place.do.commands == []


def test_a_plan_that_became_stale_is_refused(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    terraform.init(work, place.do)
    terraform.plan(work, place.do)
    saved = terraform.plan_files(work)[0].read_bytes()
    terraform.apply(work, place.do)
    terraform.plan_files(work)[0].write_bytes(saved)
    with pytest.raises(StepFailed):
        terraform.apply(work, place.do)
    assert "stale" in place.do.printed


def test_a_held_lock_fails_the_plan(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(MODULE)
    terraform.init(work, place.do)
    tfstate_server.lock = b'{"ID": "other", "Who": "somebody"}'
    with pytest.raises(StepFailed):
        terraform.plan(work, place.do)


def test_broken_code_fails_init(place: Any, tfstate_server: Any) -> None:
    (place.work / "main.tf").write_text("resource {\n")
    with pytest.raises(StepFailed) as failed:
        tool("terraform").init(job(place, tfstate_server.backend), place.do)
    assert failed.value.code == 1


def test_an_apply_that_fails_keeps_what_it_made(place: Any, tfstate_server: Any) -> None:
    terraform, work = tool("terraform"), job(place, tfstate_server.backend)
    (place.work / "main.tf").write_text(
        'resource "terraform_data" "good" {}\n'
        'resource "terraform_data" "bad" {\n  depends_on = [terraform_data.good]\n'
        '  provisioner "local-exec" {\n    command = "exit 3"\n  }\n}\n'
    )
    terraform.init(work, place.do)
    terraform.plan(work, place.do)
    with pytest.raises(StepFailed):
        terraform.apply(work, place.do)
    assert "terraform_data.good" in tfstate_server.resources()
    assert tfstate_server.lock is None


def test_opentofu_runs_the_binary_named_tofu(place: Any, tfstate_server: Any) -> None:
    tofu = place.top / "bin" / "tofu"
    tofu.parent.mkdir()
    tofu.symlink_to(Path(TERRAFORM or ""))
    (place.work / "main.tf").write_text(MODULE)
    work = replace(job(place, tfstate_server.backend), binary=str(tofu))
    applied = run(tool("opentofu"), work, place.do)
    assert len(applied.resources) == 3
    assert {command[0] for command in place.do.commands} == {str(tofu)}


EXAMPLES = Path(__file__).parents[3] / "examples" / "tools"


@pytest.mark.parametrize(("name", "binary"), [("terraform", "terraform"), ("opentofu", "tofu")])
def test_the_example_does_what_it_says(place: Any, tfstate_server: Any, name: str, binary: str) -> None:
    need(binary)
    shutil.copytree(EXAMPLES / name / "code", place.work, dirs_exist_ok=True)
    options = {"varFiles": ["small.tfvars"], "args": {"plan": ["-compact-warnings"]}}
    env = {"TF_VAR_words": '["keep", "station"]'}
    place.do.environment |= env
    work = replace(job(place, tfstate_server.backend, options), binary=shutil.which(binary) or "", env=env)
    assert run(tool(name), work, place.do).outputs == (Output("name", "keep-station"),)
