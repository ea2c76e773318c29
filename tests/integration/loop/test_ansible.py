"""Ansible's requirements and secrets, from the document to the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.runs import RunStatus
from reconciler.credentials.sealing import seal
from reconciler.store.protocol import Store
from spaces.model.sealed import SealedPlace
from spaces.names import Kind, SpaceName, StackId
from tests.e2e.station import Repo, document
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = [needs("ansible-playbook"), pytest.mark.slow]

EXAMPLE = Path(__file__).parents[3] / "examples" / "tools" / "ansible" / "playbook"
INVENTORY = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"


def stack(**settings: Any) -> str:
    own = {"playbook": "site.yml", "inventory": {"text": INVENTORY}, "requirements": "requirements.yml", **settings}
    return document("Stack", "it", {"tool": "ansible", "source": {"path": "./it"}, "ansible": own})


def resources(store: Store) -> list[tuple[str, Any]]:
    with store.reading() as reading:
        found = reading.resources(StackId.parse("root/it"))
    return [(each.address, each.attributes["status"]) for each in found]


def test_collections_are_kept_for_the_next_run_and_secrets_are_kept_from_everybody(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "root").mkdir(parents=True)
    (tmp_path / "secrets" / "root" / "token").write_text("hunter2-of-a-file\n")
    (tmp_path / "secrets" / "root" / "token").chmod(0o600)
    machine = new_machine(repo.url, secrets_dir=tmp_path / "secrets")
    place = tmp_path / "written"
    vault = SealedPlace.of(Kind.STACK, SpaceName("root"), "it", "ansible.vaultPasswords.prod")
    settings = {
        "extraVars": {"token": {"file": "token"}, "place": str(place), "words": "one {{ token }}"},
        "vaultPasswords": {"prod": {"sealed": seal("hunter2-of-a-vault", vault, machine.service.ports.recipient)}},
    }
    source = {f"it/{file.relative_to(EXAMPLE)}": file.read_text() for file in EXAMPLE.rglob("*") if file.is_file()}
    repo.commit({"it.yaml": stack(**settings), **source})
    (run,) = machine.reconcile().runs
    log = machine.log(run)
    assert (run.status, place.read_text()) == (RunStatus.FINISHED, "one hunter2-of-a-file\n"), log
    assert resources(machine.service.store) == [
        ("localhost/example.motd.write : Message", "changed"),
        ("localhost/Tell where it is", "changed"),
    ]
    settings["extraVars"]["words"] = "two {{ token }}"
    repo.commit({"it.yaml": stack(**settings)})
    (again,) = machine.reconcile().runs
    assert place.read_text() == "two hunter2-of-a-file\n"
    logs = [log, machine.log(again)]
    assert ["$ ansible-galaxy install" in each for each in logs] == [True, False]
    with machine.service.store.reading() as reading:
        shown = json.dumps([change.after for change in reading.planned(again.id).changes])
    settings["vaultPasswords"]["prod"] = {"file": "none"}
    repo.commit({"it.yaml": stack(**settings)})
    desired = machine.reconcile().stacks["root/it"].desired
    assert desired is not None
    assert desired.problem is not None
    assert desired.problem.message.startswith("ansible.vaultPasswords.prod of Stack root/it, secret file none: ")
    machine.close()
    kept = [path.read_bytes() for path in machine.settings.data_dir.rglob("*") if path.is_file()]
    assert not any(b"hunter2" in each for each in (*kept, *(it.encode() for it in (*logs, shown))))
    assert "two ***" in shown
