"""A stack of several units through the whole service, which keeps a tfstate for each that names no backend."""

from __future__ import annotations

from reconciler.core.runs import RunStatus
from tests.e2e.station import Repo, document
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("terragrunt", "tofu")

CODE = 'resource "terraform_data" "it" {\n  input = "TEXT"\n}\noutput "it" {\n  value = terraform_data.it.output\n}\n'


def test_units_without_a_backend_have_a_tfstate_each(repo: Repo, machine: Machine) -> None:
    spec = {"tool": "terragrunt", "source": {"path": "./live"}, "terragrunt": {"runAll": True}}
    units = {f"live/{unit}/{name}": text for unit in ("net/eu", "app") for name, text in unit_files(unit).items()}
    repo.commit({"live.yaml": document("Stack", "live", spec), "live/root.hcl": "# nothing\n", **units})
    (run,) = machine.reconcile().runs
    assert run.status is RunStatus.FINISHED, machine.log(run)
    with machine.service.store.reading() as reading:
        assert {version.unit for version in reading.tfstate_versions(run.stack, None, 10)} == {"app", "net/eu"}
        assert reading.tfstate_locks(run.stack) == []
        assert {output.name: output.value for output in reading.outputs(run.stack)} == {
            "app.it": "app",
            "net.eu.it": "net/eu",
        }


def unit_files(unit: str) -> dict[str, str]:
    return {"terragrunt.hcl": "# A unit of its own.\n", "main.tf": CODE.replace("TEXT", unit)}
