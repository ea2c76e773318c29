"""A file that cannot be read any more, while the service works and across a restart."""

from __future__ import annotations

import pytest

from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("<<<<<<< HEAD\nspec: {a: 1}\n=======\nspec: [\n>>>>>>> other\n", id="a merge conflict"),
        pytest.param(b"\xff\xfe" + a_script("a", "true").encode("utf-16-le"), id="UTF-16"),
    ],
)
def test_it_deletes_nothing(repo: Repo, machine: Machine, garbage: str | bytes) -> None:
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": a_script("b", "true")})
    assert machine.reconcile().sync == {"root/a": "Synced", "root/b": "Synced"}
    (repo.path / "a.yaml").write_bytes(garbage.encode() if isinstance(garbage, str) else garbage)
    repo.commit({})
    look = machine.reconcile()
    assert look.sync == {"root/a": "Synced", "root/b": "Synced"}
    assert look.problems == ["a.yaml: error: unreadable-file"]
    machine.restart()
    repo.commit({"c.yaml": a_script("c", "true")})
    look = machine.reconcile()
    assert look.sync == {"root/a": "Synced", "root/b": "Synced", "root/c": "Synced"}
    assert look.problems == ["a.yaml: error: unreadable-file"]
    (repo.path / "a.yaml").unlink()
    repo.commit({})
    look = machine.reconcile()
    assert (look.sync, look.problems) == ({"root/b": "Synced", "root/c": "Synced"}, [])
