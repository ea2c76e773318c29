"""`station explain` and the audit that it reads, after real runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.e2e.station import Repo, a_script, document
from tests.integration.cli.conftest import Station

WARNS = 'package stationkeeper\nwarn contains "mind the gap"\n'


def a_file(name: str, words: str, marker: Path) -> str:
    """Write a stack that names what it makes: a file, and once `words` say so another one."""
    plan = f'{{"changes": [{{"address": "{words}", "type": "file", "action": "create"}}]}}'
    return a_script(name, f"echo {words} >> {marker}", plan=f"echo '{plan}' > $STATION_PLAN; exit 2")


def test_a_stack_and_a_resource_are_explained(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = Repo(tmp_path / "repo")
    for name, value in {
        "CONFIG_URL": repo.url,
        "DATA_DIR": str(tmp_path / "data"),
        "FILE_REPOSITORIES": "/",
        "REQUIRE_SANDBOX": "false",
    }.items():
        monkeypatch.setenv(f"STATION_{name}", value)
    policy = document("Policy", "p", {"type": "plan", "rego": WARNS})
    repo.commit({"p.yaml": policy, "a.yaml": a_file("a", "one", tmp_path / "marker")})
    assert station("reconcile").code == 0
    between = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    second = repo.commit({"a.yaml": a_file("a", "two", tmp_path / "marker")})
    assert station("reconcile").code == 0

    def explain(*more: Any) -> Any:
        result = station("explain", "a", *more, "-o", "json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    now, then = explain("--resource", "one"), explain("--at", between)
    assert [link["event"] for link in now["chain"]] == [
        "admitted", "run-queued", "policy-decided", "apply-started", "apply-ended",
    ]  # fmt: skip
    assert now["run"]["revision"] == second
    assert second[:12] in now["chain"][0]["words"]
    assert "mind the gap" in now["chain"][2]["words"]
    assert then["chain"][0]["event"] == "trusted"
    assert then["run"]["id"] != now["run"]["id"]
    assert now["resource"]["made"]["run"] == then["run"]["id"]
    assert explain("--resource", "two")["resource"]["made"]["run"] == now["run"]["id"]
    assert station("explain", "a", "--resource", "three").code == 1
    assert station("explain", "a", "--at", "yesterday").code == 1
    assert explain("--at", "2020-01-01T00:00:00Z")["run"] is None

    head = json.loads(station("audit", "verify", "-o", "json").out)["head"]
    rows = json.loads(station("audit", "list", "--stack", "root/a", "--event", "apply-ended", "-o", "json").out)
    assert [row["details"]["run"] for row in rows] == [then["run"]["id"], now["run"]["id"]]
    assert station("audit", "verify", "--head", head).code == 0
    told = tmp_path / "told.json"
    told.write_text(json.dumps(now))
    assert station("audit", "verify", "--head", head, "--explained", told).code == 0
    last = now["chain"][-1]
    told.write_text(json.dumps(now).replace(last["hash"], "0" * 64))
    verified = station("audit", "verify", "--explained", told)
    assert (verified.code, f"row {last['number']} is another one than" in verified.err) == (1, True)
    told.write_text("[]")
    assert "is not what station explain" in station("audit", "verify", "--explained", told).err
    with create_engine(f"sqlite:///{tmp_path / 'data' / 'station.db'}").begin() as connection:
        changed = text("UPDATE audit SET body = replace(body, 'mind the gap', 'never mind') WHERE number = :n")
        connection.execute(changed, {"n": now["chain"][2]["number"]})
    assert [link["intact"] for link in explain()["chain"]] == [True, True, False, True, True]
    verified = station("audit", "verify", "--head", head)
    assert (verified.code, f"row {now['chain'][2]['number']} was changed" in verified.err) == (1, True)
