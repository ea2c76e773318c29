"""Code that is not in the source but mounted counts as if it were: its backend is used, its modules come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.core.runs import RunKind
from spaces.names import StackId
from tests.e2e.station import Repo, a_terraform, document
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("terraform")

BACKEND = 'terraform {\n  backend "local" {\n    path = "PLACE/own.tfstate"\n  }\n}\n'
MODULE = 'module "m" {\n  source = "../lib/m"\n}\n'
RESOURCE = 'resource "terraform_data" "a" {}\n'
USED = 'Successfully configured the backend "local"!'


def _by_a_stack(file: str, text: str) -> dict[str, str]:
    return {"net.yaml": a_terraform("net", "./net", files={file: text})}


def _by_a_context(file: str, text: str) -> dict[str, str]:
    context = document("Context", "common", {"attach": {}, "files": {file: text}})
    return {"net.yaml": a_terraform("net", "./net"), "common.yaml": context}


def _by_a_file(file: str, text: str) -> dict[str, str]:
    return {"net.yaml": a_terraform("net", "./net", files={file: {"source": "./kept"}}), "kept": text}


def _by_a_hook(file: str, text: str) -> dict[str, Any]:
    hook = f"cat > {file} <<'END'\n{text}END\n"
    return {"net.yaml": a_terraform("net", "./net", hooks={"before": {"init": [hook]}})}


@pytest.mark.parametrize("how", [_by_a_stack, _by_a_context, _by_a_file, _by_a_hook], ids=lambda how: how.__name__[4:])
def test_a_backend_is_used_wherever_it_comes_from(repo: Repo, machine: Machine, how: Any, tmp_path: Path) -> None:
    repo.commit({"net/main.tf": RESOURCE, **how("backend.tf", BACKEND.replace("PLACE", str(tmp_path)))})
    look = machine.reconcile()
    assert look.ran == {"root/net": "finished"}
    assert USED in machine.log(look.runs[0])
    with machine.service.store.reading() as reading:
        assert reading.tfstate(StackId.parse("root/net")) is None, "nothing is kept beside the code's own backend"


@pytest.mark.parametrize("how", [_by_a_stack, _by_a_context, _by_a_file], ids=lambda how: how.__name__[4:])
def test_a_module_comes_along_and_counts(repo: Repo, machine: Machine, how: Any) -> None:
    repo.commit({"net/main.tf": RESOURCE, "lib/m/main.tf": RESOURCE, **how("module.tf", MODULE)})
    look = machine.reconcile()
    assert look.ran == {"root/net": "finished"}, machine.log(look.runs[0])
    repo.commit({"lib/m/more.tf": "# more\n"})
    look = machine.reconcile()
    assert look.why("root/net") == ["source: 1 file under lib/m"]
    assert look.runs[0].kind is RunKind.TRACKED


def test_a_hook_cannot_begin_a_second_tfstate(repo: Repo, machine: Machine) -> None:
    repo.commit({"net/main.tf": RESOURCE, "net.yaml": a_terraform("net", "./net")})
    assert machine.reconcile().ran == {"root/net": "finished"}
    repo.commit(_by_a_hook("backend.tf", BACKEND))
    look = machine.reconcile()
    assert look.ran == {"root/net": "failed"}
    assert "backend.tf names a backend" in (look.runs[0].message or "")
    assert "already keeps a tfstate" in (look.runs[0].message or "")


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param("path.cwd, abspath(path.module)", id="work directory"),
        pytest.param('pathexpand("~/x")', id="home, in the sandbox", marks=needs("bwrap")),
    ],
)
def test_a_path_in_a_plan_is_the_same_in_every_run(repo: Repo, machine: Machine, paths: str) -> None:
    code = f'resource "terraform_data" "a" {{\n  input = [{paths}]\n}}\n'
    repo.commit({"net/main.tf": code, "net.yaml": a_terraform("net", "./net")})
    assert machine.reconcile().ran == {"root/net": "finished"}
    repo.commit({"net/more.tf": "# nothing\n"})
    look = machine.reconcile()
    assert [(run.reason, run.changes.update) for run in look.runs] == [("NothingToDo", 0)]
