"""What persons steer from the command line, with the exit codes that scripts rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.station import Repo, Station, a_script, a_terraform


def test_a_run_waits_for_confirmation_and_is_applied_by_the_next_pass(
    repo: Repo, station: Station, tmp_path: Path
) -> None:
    record = tmp_path / "applied"
    repo.commit({"a.yaml": a_script("a", f"echo one >> {record}", autodeploy=False)})
    waiting = station.reconcile()
    run = waiting.run("root/a")["id"]
    assert (waiting.code, waiting.ran) == (3, {"root/a": "unconfirmed"})
    assert f"station run confirm {run}" in station("reconcile").out
    assert station("run", "confirm", run).code == 0
    assert not record.exists()
    done = station.reconcile()
    assert (done.code, done.ran, record.read_text()) == (0, {"root/a": "finished"}, "one\n")
    again = station("run", "confirm", run)
    assert again.code == 1
    assert "finished" in again.err

    repo.commit({"a.yaml": a_script("a", f"echo two >> {record}", autodeploy=False)})
    second = station.reconcile().run("root/a")["id"]
    assert station("run", "discard", second).code == 0
    left = station.reconcile()
    assert (left.code, left.data["runs"], left.ready("root/a")) == (3, [], "Discarded")
    # What was asked for before the pass and then waits is told as well.
    assert station("run", "retry", second).code == 0
    retried = station.reconcile()
    assert (retried.code, retried.ran) == (3, {"root/a": "unconfirmed"})
    assert record.read_text() == "one\n"


def test_a_failure_is_exit_code_3_and_the_others_go_on(repo: Repo, station: Station, tmp_path: Path) -> None:
    record = tmp_path / "applied"
    repo.commit(
        {
            "bad.yaml": a_script("bad", f"test -e {tmp_path}/mended"),
            "good.yaml": a_script("good", f"echo good >> {record}"),
            "tofu.yaml": a_terraform("tofu", "./code").replace('"terraform"', '"opentofu"'),
            "old.yaml": a_terraform("old", "./code", toolVersion="<0.1"),
            "code/main.tf": 'resource "terraform_data" "a" {}\n',
        }
    )
    # Whether or not the machine has the tools, these two cannot run.
    (station.tools / "terraform").write_text("#!/bin/sh\necho Terraform v1.9.0\n")
    (station.tools / "terraform").chmod(0o755)
    (station.tools / "tofu").write_text("#!/bin/sh\nexit 1\n")
    (station.tools / "tofu").chmod(0o755)
    failed = station.reconcile()
    assert failed.code == 3
    assert failed.ran["root/good"] == "finished"
    assert {name: failed.ready(f"root/{name}") for name in ("bad", "tofu", "old")} == {
        "bad": "ToolFailed",
        "tofu": "ToolMissing",
        "old": "ToolVersionMismatch",
    }
    assert station.reconcile().data["runs"] == []
    (tmp_path / "mended").touch()
    assert station("run", "retry", failed.run("root/bad")["id"]).code == 0
    assert station.reconcile().stack("root/bad")["sync"] == "Synced"
    assert record.read_text() == "good\n"


@pytest.mark.parametrize(
    ("accident", "reason"),
    [("emptied", "BranchEmptied"), ("rewound", "HistoryRewritten"), ("gone", "FetchFailed")],
)
def test_an_accident_on_the_branch_is_exit_code_1_with_the_reason(
    repo: Repo, station: Station, accident: str, reason: str
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    repo.commit({"README.md": "more"})
    station.reconcile()
    match accident:
        case "emptied":
            repo.git("rm", "-q", "-r", ".")
            repo.git("commit", "-q", "-m", "Empty it")
        case "rewound":
            repo.git("reset", "-q", "--hard", "HEAD~1")
        case _:
            repo.path.rename(repo.path.with_name("elsewhere"))
    halted = station.reconcile()
    assert halted.code == 1
    assert halted.halted == reason
    assert halted.data["halted"]["message"]
    assert (halted.sync, halted.data["runs"]) == ({"root/a": "Synced"}, [])
