"""A file name that is not UTF-8 is one like others: its documents are held, shown and let go."""

from __future__ import annotations

import os
from collections.abc import Callable

from rbac.identity import IdentityMode
from reconciler.web.app import create_app
from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine
from tests.integration.web.client import Client

NAME = b"\xff.yaml"


def test_one_by_somebody_without_the_right_stops_nothing(repo: Repo, new_machine: Callable[..., Machine]) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine = new_machine(repo.url, admins=("ada@example.com",), identity=IdentityMode.COMMITTER)
    machine.reconcile()
    path = os.path.join(os.fsencode(repo.path), NAME)  # noqa: PTH118 - a Path takes no bytes
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(a_script("b", "true").encode())
    repo.commit({})
    for _ in range(2):
        look = machine.reconcile()
        assert (look.halted, look.sync) == (None, {"root/a": "Synced"})
        ports = machine.service.ports
        with Client(create_app(ports), ports.operator_token) as client:
            (held,) = client.get("/api/v1/held").json()["items"]
            shown = client.get(f"/api/v1/held/{held['id']}").json()
        assert (held["file"], "+kind: Stack" in shown["diff"]) == (r"\udcff.yaml", True)
        machine.restart()
    os.unlink(path)  # noqa: PTH108
    repo.commit({"a.yaml": a_script("a", "echo more")})
    look = machine.reconcile()
    assert (look.halted, look.configuration.admitted_revision) == (None, repo.head())
    with machine.service.store.reading() as reading:
        assert {str(each.ref) for each in reading.held_changes()} == {"Stack root/a"}
