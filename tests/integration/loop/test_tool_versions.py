"""Versions of a tool side by side: real runs by the real terraform, behind scripts that call themselves something else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.main import main
from reconciler.core.runs import RunStatus
from reconciler.web.api.convert import plan_json
from tests.e2e.station import Repo, a_terraform
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("terraform")
CODE = 'resource "terraform_data" "a" { input = 1 }\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    return tmp_path / "tools"


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine], tools: Path) -> Machine:
    return new_machine(repo.url, tool_paths=(tools,))


def says(tools: Path, version: str) -> None:
    """Put the real terraform beside the others, under a version that it says it has when it is asked for nothing else."""
    script = f"""#!/bin/sh
[ "$1" = version ] && echo "Terraform v{version}" && exit
echo "this is {version}" >&2
exec {shutil.which("terraform")} "$@"
"""
    (tools / f"terraform_{version}").write_text(script)
    (tools / f"terraform_{version}").chmod(0o755)


def test_the_apply_takes_the_version_that_planned(repo: Repo, machine: Machine, tools: Path) -> None:
    says(tools, "1.9.7")
    says(tools, "1.9.8")
    stack = a_terraform("a", "./code", toolVersion="~> 1.9.0", autodeploy=False)
    repo.commit({"a.yaml": stack, "code/main.tf": CODE})
    machine.reconcile()
    run = machine.run_of("root/a", RunStatus.UNCONFIRMED)
    with machine.service.store.reading() as reading:
        planned = reading.planned(run.id)
    assert planned is not None
    assert plan_json(run, planned).tool_version == "1.9.8"
    says(tools, "1.9.9")
    machine.restart()
    machine.confirm("root/a")
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    log = machine.log(look.runs[0])
    assert ("this is 1.9.8" in log.partition("apply")[2], "this is 1.9.9" in log) == (True, False)


def test_a_plan_whose_version_is_gone_is_not_applied(repo: Repo, machine: Machine, tools: Path) -> None:
    says(tools, "1.9.8")
    repo.commit({"a.yaml": a_terraform("a", "./code", toolVersion="1.9.8", autodeploy=False), "code/main.tf": CODE})
    machine.reconcile()
    machine.run_of("root/a", RunStatus.UNCONFIRMED)
    (tools / "terraform_1.9.8").unlink()
    machine.confirm("root/a")
    look = machine.reconcile()
    run = look.runs[0]
    assert (run.status, run.reason) == ("failed", "ToolVersionMismatch")
    assert "was made by terraform 1.9.8" in run.message
    assert "plan it again" in run.message


def test_the_doctor_lists_them(repo: Repo, machine: Machine, tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(tools, "1.9.8")
    (tools / "terraform_1.9.9").write_text("#!/bin/sh\nexit 3\n")
    (tools / "terraform_1.9.9").chmod(0o755)
    repo.commit({"README.md": "nothing yet"})
    flags = ["--data-dir", str(machine.settings.data_dir), "--config-url", repo.url, "--tool-paths", str(tools)]
    main(["doctor", "-o", "json", *flags])
    found = [it for it in json.loads(capsys.readouterr().out)["findings"] if it["what"] == "terraform"]
    assert {"level": "ok", "what": "terraform", "found": f"1.9.8 at {tools}/terraform_1.9.8", "advice": None} in found
    assert [it["level"] for it in found if "terraform_1.9.9" in it["found"]] == ["warning"]
