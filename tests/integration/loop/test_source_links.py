"""Sources that are not all in one place: links inside the repository, and content that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform
from tests.integration.loop.machine import Machine
from tests.needs import needs

MODULE = 'variable "region" {\n  default = "default"\n}\noutput "region" {\n  value = var.region\n}\n'


def link(repo: Repo, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        (repo.path / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.path / name).symlink_to(target)


def value(machine: Machine, stack: str, name: str) -> object:
    with machine.service.store.reading() as reading:
        return next(each.value for each in reading.outputs(StackId.parse(stack)) if each.name == name)


@needs("terraform")
def test_a_linked_file_is_used_and_a_change_of_it_runs_the_stack(repo: Repo, machine: Machine) -> None:
    link(repo, {"net/terraform.tfvars": "../common/region", "common/region": "eu/global.tfvars"})
    repo.commit(
        {
            "net/main.tf": MODULE,
            "common/eu/global.tfvars": 'region = "eu"\n',
            "net.yaml": a_terraform("net", "./net"),
        }
    )
    assert machine.reconcile().sync == {"root/net": "Synced"}
    assert value(machine, "root/net", "region") == "eu"
    repo.commit({"common/eu/other": "unrelated"})
    assert machine.reconcile().runs == []
    repo.commit({"common/eu/global.tfvars": 'region = "us"\n'})
    look = machine.reconcile()
    assert look.ran == {"root/net": "finished"}, machine.log(look.runs[0])
    assert look.why("root/net") == ["source: 1 file under common/eu/global.tfvars"]
    assert value(machine, "root/net", "region") == "us"


@needs("terraform")
def test_modules_and_backends_behind_links_are_seen(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    link(repo, {"live": "teams/net", "teams/net/vpc": "../../lib/vpc", "teams/net/backend.tf": "../../lib/backend"})
    repo.commit(
        {
            "teams/net/main.tf": 'module "vpc" {\n  source = "./vpc"\n}\noutput "id" {\n  value = module.vpc.id\n}\n',
            "lib/vpc/main.tf": 'module "inner" {\n  source = "../zone"\n}\noutput "id" {\n  value = module.inner.id\n}\n',
            "lib/zone/main.tf": 'output "id" {\n  value = "one"\n}\n',
            "lib/backend": f'terraform {{\n  backend "local" {{ path = "{tmp_path}/own" }}\n}}\n',
            "net.yaml": a_terraform("net", "./live"),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/net": "finished"}, machine.log(look.runs[0])
    assert 'Successfully configured the backend "local"!' in machine.log(look.runs[0])
    repo.commit({"lib/vpc/more.tf": 'output "more" {\n  value = 1\n}\n'})
    assert machine.reconcile().why("root/net") == ["source: 1 file under lib/vpc"]


def test_a_script_reads_through_links_of_directories(repo: Repo, machine: Machine, ran: Path) -> None:
    link(repo, {"job/lib": "../shared/lib", "shared/lib/deep": "../../deep"})
    repo.commit(
        {
            "shared/lib/words": "one",
            "deep/words": "two",
            "job/run.sh": f"cat lib/words lib/deep/words >> {ran}\n",
            "a.yaml": a_script("a", "sh run.sh", source={"path": "./job"}),
        }
    )
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert ran.read_text() == "onetwo"


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 123456\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"code/big.bin": POINTER}, "'code/big.bin' is a Git LFS pointer", id="in the source"),
        pytest.param({"big.bin": POINTER}, "'big.bin' is a Git LFS pointer", id="a mounted file"),
    ],
)
def test_a_pointer_of_git_lfs_is_not_taken_for_content(
    repo: Repo, machine: Machine, ran: Path, files: dict[str, str], words: str
) -> None:
    mounted = {"files": {"big.bin": {"source": "./big.bin"}}} if "big.bin" in files else {}
    stack = a_script("a", f"cat big.bin >> {ran}", source={"path": "./code"}, **mounted)
    repo.commit({"code/run.sh": "true\n", "a.yaml": stack, **files})
    look = machine.reconcile()
    assert look.stuck("root/a") == "SourceRefused"
    assert [(str(run.status), words in (run.message or "")) for run in look.runs] == [("failed", True)]
    assert not ran.exists()
    assert machine.reconcile().runs == [], "trying again would end the same"


def test_a_submodule_is_refused_by_its_name(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "inner", {"x": "x"})
    repo.commit({"code/run.sh": "true\n", "a.yaml": a_script("a", "true", source={"path": "./code"})})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{inner.head()},code/vendor")
    repo.git("commit", "-q", "-m", "Add a submodule")
    look = machine.reconcile()
    problem = look.stacks["root/a"].desired.problem  # type: ignore[union-attr]
    assert problem is not None
    assert (problem.reason, "'code/vendor' is a Git submodule" in problem.message) == ("SourceRefused", True)
    assert look.runs == []


def test_a_pointer_in_the_place_of_a_document_is_no_deletion(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": a_script("b", "true"), "notes.yaml": POINTER})
    both = {"root/a": "Synced", "root/b": "Synced"}
    look = machine.reconcile()
    assert (look.sync, look.problems) == (both, []), "a pointer that was never ours is left alone"
    repo.commit({"a.yaml": POINTER.replace("123456", "1")})
    look = machine.reconcile()
    assert (look.sync, look.problems) == (both, ["a.yaml: error: unreadable-file"])
