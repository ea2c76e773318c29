"""`station drift adopt`: what to change in Git, and a branch of the person's clone that says what the world has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.store.sql import SqlStore
from tests.e2e.station import Repo, a_terraform, document
from tests.integration.cli.conftest import Station
from tests.integration.web.test_drift import a_checked_stack

CODE = 'resource "acme_box" "a" {\n  size = 3 # three\n  sum  = 1 + 2\n}\n'


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    env = {"TF_VAR_tag": "one"}
    network = a_terraform("network", "./net", env=env, drift={"schedules": ["0 * * * *"]})
    files = {"production/space.yaml": document("Space", "production", {}), "production/network.yaml": network}
    return Repo(tmp_path / "repo", {**files, "production/net/main.tf": CODE})


def box(**now: int) -> Planned:
    return Planned(True, (ResourceChange("acme_box.a", "box", "acme", Action.UPDATE, now, {"size": 3, "sum": 3}),))


def test_what_can_be_changed_is_on_the_branch(
    remote: Station, store: SqlStore, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_checked_stack(store, "production/network", box(size=5, sum=4))
    adopt = ("drift", "adopt", "production/network")
    nowhere = remote(*adopt, "-o", "json")
    assert nowhere.err == ""
    assert (nowhere.code, {row["change"] for row in json.loads(nowhere.out)}) == (2, {"byHand"})
    here = (*adopt, "--repository", repo.path)
    shown = remote(*here)
    assert (shown.code, repo.git("branch", "--format=%(refname:short)")) == (2, "main")
    for words in ("production/net/main.tf:2", "write 5", "an expression gives it"):
        assert words in shown.out

    branch = (*here, "--branch", "adopt")
    unknown = remote(*branch)
    assert (unknown.code, "GIT_AUTHOR_NAME" in unknown.err) == (1, True)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
    written = remote(*branch)
    assert (written.code, "git commit --amend" in written.err) == (2, True)
    assert repo.git("show", "adopt:production/net/main.tf") + "\n" == CODE.replace("size = 3", "size = 5")
    assert repo.git("diff", "--name-only", "main", "adopt") == "production/net/main.tf"
    assert (repo.git("status", "--short"), repo.git("show", "-s", "--format=%an %s", "adopt")) == (
        "",
        "Ada Adopt what production/network has in the real world",
    )
    again = remote(*branch)
    assert (again.code, "is there already" in again.err) == (1, True)
    assert "found no drift of acme_box.b" in remote(*adopt, "acme_box.b").err

    a_checked_stack(store, "production/network", box(size=5, sum=3))
    assert remote(*here, "--branch", "whole").code == 0
    a_checked_stack(store, "production/network", Planned(has_changes=False))
    assert remote(*adopt).code == 0
