from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Action, Output
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.registry import tool
from reconciler.tools.terragrunt.kept import refuse_left_behind
from tests.needs import needs

pytestmark = needs("terragrunt", "tofu")

MODULES = {
    "modules/net/main.tf": (
        'variable "text" {}\nresource "terraform_data" "t" {\n  input = var.text\n}\n'
        'output "id" {\n  value = terraform_data.t.output\n}\n'
        'output "secret" {\n  value = "hush-${var.text}"\n  sensitive = true\n}\n'
    ),
    "modules/app/main.tf": (
        'variable "id" {}\nvariable "more" {\n  default = "no"\n}\n'
        'resource "terraform_data" "t" {\n  input = var.id\n}\n'
        'resource "terraform_data" "more" {\n  count = var.id == "surprise" ? 1 : 0\n}\n'
    ),
}


def unit(module: str, text: str = "", depends: str = "") -> str:
    dependency = (
        f'dependency "{depends}" {{\n  config_path = "../{depends}"\n'
        '  mock_outputs = { id = "mock" }\n  mock_outputs_allowed_terraform_commands = ["plan", "init"]\n}\n'
    )
    value = f"id = dependency.{depends}.outputs.id" if depends else f'text = "{text}"'
    return (
        'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n'
        f'terraform {{\n  source = "../../modules//{module}"\n}}\n'
        f"{dependency if depends else ''}inputs = {{\n  {value}\n}}\n"
    )


def root(kept: Path) -> str:
    return (
        "remote_state {\n"
        '  backend  = "local"\n'
        '  generate = {\n    path = "backend.tf"\n    if_exists = "overwrite"\n  }\n'
        f'  config = {{\n    path = "{kept}/${{path_relative_to_include()}}.tfstate"\n  }}\n}}\n'
    )


def write(place: Any, files: dict[str, str]) -> None:
    for name, content in files.items():
        file = place.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def job(place: Any, directory: str, **changes: Any) -> ToolJob:
    options = {key: changes.pop(key) for key in ("runAll", "filter") if key in changes}
    facts = changes.pop("facts", {"backend": "own", "unkept": []})
    place.do.directory = place.work / directory
    binary = shutil.which("terragrunt") or ""
    return ToolJob(binary, place.work / directory, place.scratch, options, facts, **changes)


@pytest.fixture
def live(place: Any) -> Any:
    write(place, {**MODULES, "live/root.hcl": root(place.top / "kept")})
    write(place, {"live/net/terragrunt.hcl": unit("net", "one"), "live/app/terragrunt.hcl": unit("app", depends="net")})
    return place


def rounds(place: Any, work: ToolJob) -> Any:
    """Plan in a fresh work directory, as each run does, and return the plan; apply it where there are changes."""
    for cache in place.work.rglob(".terragrunt-cache"):
        shutil.rmtree(cache)
    it = tool("terragrunt")
    it.init(work, place.do)
    planned = it.plan(work, place.do)
    return planned, (it.apply(work, place.do) if planned.has_changes else None)


def test_one_unit_with_the_managed_tfstate(live: Any, tfstate_server: Any) -> None:
    write(live, {"live/net/terragrunt.hcl": unit("net", "one").split("}\n", 1)[1]})
    facts = {"backend": "managed", "unkept": []}
    work = job(live, "live/net", facts=facts, tfstate=tfstate_server.backend)
    planned, applied = rounds(live, work)
    assert [(it.address, it.action) for it in planned.changes] == [("terraform_data.t", Action.CREATE)]
    assert [it.address for it in applied.resources] == ["terraform_data.t"]
    assert {it.name: (it.value, it.sensitive) for it in applied.outputs} == {
        "id": ("one", False),
        "secret": ("hush-one", True),
    }
    assert tfstate_server.resources() == ["terraform_data.t"]
    assert "hush-one" not in live.do.printed
    planned, _ = rounds(live, work)
    assert (planned.has_changes, planned.changes) == (False, ())
    gone = job(live, "live/net", facts=facts, tfstate=tfstate_server.backend, destroy=True)
    planned, applied = rounds(live, gone)
    assert [it.action for it in planned.changes] == [Action.DELETE]
    assert (applied.resources, tfstate_server.resources()) == ((), [])


def test_a_backend_that_only_the_downloaded_module_names_is_never_overridden(live: Any, tfstate_server: Any) -> None:
    write(
        live,
        {
            "live/net/terragrunt.hcl": unit("net", "one").split("}\n", 1)[1],
            "modules/net/backend.tf": 'terraform {\n  backend "local" {\n    path = "/dev/null"\n  }\n}\n',
        },
    )
    work = job(live, "live/net", facts={"backend": "managed"}, tfstate=tfstate_server.backend)
    with pytest.raises(StepFailed, match=r"backend\.tf of the downloaded module names a backend"):
        tool("terragrunt").init(work, live.do)
    assert tfstate_server.tfstate is None


@pytest.mark.parametrize("value", ["a ${1 + 1} b", ["$${x}", {"k": '"'}], None, {"n": 1.5}])
def test_an_output_of_another_stack_arrives_as_it_was(live: Any, tfstate_server: Any, value: Any) -> None:
    code = 'variable "given" {\n  type = any\n  default = "none"\n}\noutput "got" {\n  value = var.given\n}\n'
    write(live, {"one/terragrunt.hcl": 'terraform {\n  source = "../code"\n}\n', "code/main.tf": code})
    work = job(
        live, "one", facts={"backend": "managed"}, tfstate=tfstate_server.backend, inputs={"TF_VAR_given": value}
    )
    _, applied = rounds(live, work)
    expected = "none" if value is None else value  # the variable's default holds, as with Terraform
    assert [output.value for output in applied.outputs] == [expected]


def test_all_units_are_one_list_and_mocks_are_never_applied(live: Any) -> None:
    work = job(live, "live", runAll=True)
    planned, applied = rounds(live, work)
    assert {(it.address, it.action) for it in planned.changes} == {
        ("net::terraform_data.t", Action.CREATE),
        ("app::terraform_data.t", Action.CREATE),
    }
    assert {it.address: it.attributes["input"] for it in applied.resources} == {
        "net::terraform_data.t": "one",
        "app::terraform_data.t": "one",
    }
    assert {it.name: it.sensitive for it in applied.outputs} == {"net.id": False, "net.secret": True}
    planned, _ = rounds(live, work)
    assert not planned.has_changes
    assert Output("net.id", "one") in planned.present


def test_a_unit_whose_true_plan_does_more_than_was_seen_is_not_applied(live: Any) -> None:
    write(live, {"live/net/terragrunt.hcl": unit("net", "surprise")})
    it, work = tool("terragrunt"), job(live, "live", runAll=True)
    it.init(work, live.do)
    it.plan(work, live.do)
    with pytest.raises(StepFailed, match=r"it would create app::terraform_data\.more\[0\], which nobody saw"):
        it.apply(work, live.do)
    planned, applied = rounds(live, work)
    assert {change.address for change in planned.changes} == {"app::terraform_data.t", "app::terraform_data.more[0]"}
    assert len(applied.resources) == 3


def test_all_units_are_destroyed_children_first(live: Any) -> None:
    rounds(live, job(live, "live", runAll=True))
    planned, applied = rounds(live, job(live, "live", runAll=True, destroy=True))
    assert {it.action for it in planned.changes} == {Action.DELETE}
    assert applied.resources == ()
    assert all('"resources":[]' in file.read_text().replace(" ", "") for file in (live.top / "kept").glob("*.tfstate"))


def test_a_filter_chooses_units(live: Any) -> None:
    planned, _ = rounds(live, job(live, "live", runAll=True, filter="./net"))
    assert [it.address for it in planned.changes] == ["net::terraform_data.t"]
    with pytest.raises(StepFailed, match="there is no unit"):
        tool("terragrunt").plan(job(live, "live", runAll=True, filter="./none"), live.do)


def test_units_without_a_backend_have_a_managed_tfstate_each(live: Any, tfstate_server: Any) -> None:
    own = unit("net", "two")
    write(
        live,
        {
            "live/net/terragrunt.hcl": unit("net", "one").split("}\n", 1)[1],
            "live/a & b/terragrunt.hcl": unit("app", depends="net").split("}\n", 1)[1],
            "live/app/terragrunt.hcl": own,
        },
    )
    facts = {"backend": "own", "unkept": ["a & b", "net"]}
    work = job(live, "live", runAll=True, facts=facts, tfstate=tfstate_server.backend)
    planned, applied = rounds(live, work)
    assert {it.address for it in planned.changes} == {f"{at}::terraform_data.t" for at in ("net", "a & b", "app")}
    assert {it.address: it.attributes["input"] for it in applied.resources} == {
        "net::terraform_data.t": "one",
        "a & b::terraform_data.t": "one",
        "app::terraform_data.t": "two",
    }
    assert set(tfstate_server.tfstates) == {"net", "a & b"}, "the third one has a backend of its own"
    assert tfstate_server.locks == {}
    assert tfstate_server.backend.password not in live.do.printed
    planned, _ = rounds(live, work)
    assert not planned.has_changes
    write(live, {"modules/net/backend.tf": 'terraform {\n  backend "local" {}\n}\n'})
    with pytest.raises(StepFailed):
        rounds(live, work)
    assert "Duplicate" in live.do.printed, "a backend that the service did not see is never overridden"
    (live.work / "modules/net/backend.tf").unlink()
    rounds(live, job(live, "live", runAll=True, facts=facts, tfstate=tfstate_server.backend, destroy=True))
    assert [tfstate_server.resources(at) for at in ("net", "a & b")] == [[], []]


def test_runall_that_is_switched_on_or_off_leaves_no_tfstate_behind(live: Any, tfstate_server: Any) -> None:
    facts = {"backend": "managed", "unkept": []}
    whole, units = (
        job(live, "live/net", runAll=runs_all, facts=facts, tfstate=tfstate_server.backend, stack="root/a")
        for runs_all in (False, True)
    )
    for before, after, had, takes in (
        (whole, units, "", "tfstate pull root/a | station tfstate push root/a - --unit UNIT"),
        (units, whole, ".", "tfstate pull root/a --unit . | station tfstate push root/a -)"),
    ):
        tfstate_server.tfstates = {had: b'{"version": 4, "resources": [{}]}'}
        refuse_left_behind(before, ["."])
        with pytest.raises(StepFailed, match=r"runAll has resources \(1\), made anew otherwise") as refused:
            tool("terragrunt").init(after, live.do)
        assert takes in str(refused.value)
        tfstate_server.tfstates |= {"." if had == "" else "": b"{}"}
        refuse_left_behind(after, ["."])


def test_a_stack_file_makes_its_units_first(place: Any) -> None:
    write(place, MODULES)
    write(
        place,
        {
            "live/terragrunt.stack.hcl": (
                'unit "net" {\n  source = "../units/net"\n  path   = "net"\n  values = { text = "one" }\n}\n'
            ),
            "live/root.hcl": root(place.top / "kept"),
            "units/net/terragrunt.hcl": (
                'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n'
                'terraform {\n  source = "${find_in_parent_folders("modules")}//net"\n}\n'
                "inputs = { text = values.text }\n"
            ),
        },
    )
    planned, applied = rounds(place, job(place, "live", runAll=True))
    assert [it.address for it in planned.changes] == [".terragrunt-stack/net::terraform_data.t"]
    assert len(applied.resources) == 1
    # Only now can anybody see that such a unit names no backend.
    shutil.rmtree(place.work / "live" / ".terragrunt-stack")
    unit_file = place.work / "units" / "net" / "terragrunt.hcl"
    unit_file.write_text(unit_file.read_text().split("}\n", 1)[1])
    with pytest.raises(StepFailed, match=r"the unit \.terragrunt-stack/net names no backend"):
        rounds(place, job(place, "live", runAll=True))


@pytest.mark.parametrize(
    ("hcl", "words"),
    [
        pytest.param('dependency "x" {\n  config_path = "../none"\n}\n', "none", id="no such dependency"),
        pytest.param("terraform {\n", "", id="broken"),
    ],
)
def test_what_terragrunt_refuses_fails_the_run(live: Any, hcl: str, words: str) -> None:
    write(live, {"live/net/terragrunt.hcl": unit("net", "one") + hcl})
    with pytest.raises(StepFailed):
        rounds(live, job(live, "live/net"))
    assert words in live.do.printed
