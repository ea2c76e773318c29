"""Policies over documents at the command line: in a preview of a merge, and tested on a file."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.station import Repo, a_script, document
from tests.integration.cli.conftest import Station
from tests.integration.policies.test_documents import OWNERS


def test_a_merge_shows_what_would_be_held_and_a_test_what_a_policy_says(station: Station, tmp_path: Path) -> None:
    clone = Repo(tmp_path / "clone")
    policy = document("Policy", "owners", {"type": "config", "rego": OWNERS, "params": {"kinds": ["Stack"]}})
    clone.commit({"p.yaml": policy, "t/space.yaml": document("Space", "team", {}), "t/b.yaml": a_script("b", "true")})
    clone.commit({"t/a.yaml": a_script("a", "true")})
    shown = station("diff", "--repository", clone.path, "--base", "HEAD^", "-o", "json")
    (held,) = json.loads(shown.out)["held"]
    assert (held["name"], held["because"], held["missing"]) == (
        "a",
        "denied",
        {"action": "policy:update", "space": "root"},
    )
    assert "policy root/owners denies it: team/a has no owner" in held["message"]
    # A document may be the recorded input itself.
    tried = station("policy", "test", clone.path / "p.yaml", "--input", clone.path / "t/a.yaml", "-o", "json")
    assert tried.code == 2
    assert [row["result"] for row in json.loads(tried.out)] == ["deny"]
