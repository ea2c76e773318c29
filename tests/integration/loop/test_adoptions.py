"""What to change in Git to adopt drift, where the service itself reads what it follows."""

from __future__ import annotations

from reconciler.adopting.edits import Edit
from spaces.names import StackId
from tests.e2e.station import Repo, a_terraform
from tests.integration.loop.machine import Machine


def test_the_place_of_a_value_is_found_in_what_is_in_force(machine: Machine, repo: Repo) -> None:
    code = 'resource "terraform_data" "one" {\n  input = "small"\n}\n'
    repo.commit({"net.yaml": a_terraform("net", "./net", suspended=True), "net/main.tf": code})
    machine.reconcile()
    # What is not in force yet is not what has drifted.
    repo.commit({"net/main.tf": "# later\n" + code})
    difference = {
        "address": "terraform_data.one",
        "difference": "changed",
        "attributes": [{"name": "input", "was": "small", "is": "large"}],
    }
    (found,) = machine.service.ports.adoptions(StackId.parse("root/net"), [difference])
    assert isinstance(found.how, Edit)
    assert (found.how.file, found.how.line, found.how.new, found.in_source) == ("net/main.tf", 2, '"large"', True)
    assert machine.service.ports.adoptions(StackId.parse("root/gone"), [difference])[0].how.file is None
