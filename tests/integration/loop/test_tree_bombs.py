"""Commits of a few bytes that name more files than anybody can read."""

from __future__ import annotations

import hashlib
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.git import compare, trees
from reconciler.git.store import ObjectStore
from reconciler.git.trees import LARGEST_FILE
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the line sooner: where it really lies takes seconds to reach, again and again."""
    monkeypatch.setattr(compare, "MOST_ENTRIES", 20_000)


def _write(repo: Repo, lines: str) -> str:
    made = subprocess.run(["git", "mktree"], cwd=repo.path, input=lines, capture_output=True, text=True, check=True)
    return made.stdout.strip()


def _commit_top(repo: Repo, lines: str) -> str:
    revision = repo.git("commit-tree", _write(repo, lines), "-p", "HEAD", "-m", "Change it")
    repo.git("update-ref", "refs/heads/main", revision)
    return revision


def blow_up(repo: Repo, suffix: str = "", more: str = "") -> str:
    """Commit `bomb`: ten directories in each of ten, and so on; ten billion paths in ten objects."""
    (repo.path / ".git" / "content").write_text("x")
    kind, mode, inner = "blob", "100644", repo.git("hash-object", "-w", ".git/content")
    for _ in range(10):
        inner = _write(repo, "".join(f"{mode} {kind} {inner}\t{n}{suffix}\n" for n in range(10)))
        kind, mode = "tree", "040000"
    return _commit_top(repo, f"{repo.git('ls-tree', 'HEAD')}\n{more}040000 tree {inner}\tbomb\n")


def repair(repo: Repo) -> str:
    """Commit everything but the bomb, on top of it."""
    kept = [line for line in repo.git("ls-tree", "HEAD").splitlines() if not line.endswith("\tbomb")]
    return _commit_top(repo, "\n".join(kept) + "\n")


@pytest.mark.parametrize("suffix", ["", ".yaml"], ids=["any files", "YAML files"])
def test_one_in_the_configuration_halts_and_heals(
    repo: Repo, machine: Machine, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    first = repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    bomb = blow_up(repo, suffix)
    look = machine.reconcile()
    assert (look.halted, look.sync, look.configuration.admitted_revision) == (
        "TooManyFiles",
        {"root/a": "Synced"},
        first,
    )
    halted = look.configuration.halted
    assert halted is not None
    assert bomb[:12] in halted.message
    assert "nothing changes" in halted.message
    assert machine.reconcile().configuration.halted == halted
    machine.restart()
    assert machine.reconcile().halted == "TooManyFiles"
    good = repair(repo)
    look = machine.reconcile()
    assert (look.halted, look.runs, look.configuration.admitted_revision) == (None, [], good)
    failures = [it for it in caplog.records if it.levelno >= logging.ERROR and not it.msg.startswith("admission is")]
    assert failures == []


def test_one_taken_back_by_a_rewind_heals(repo: Repo, machine: Machine) -> None:
    first = repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    blow_up(repo)
    assert machine.reconcile().halted == "TooManyFiles"
    repo.git("update-ref", "refs/heads/main", first)
    assert machine.reconcile().halted is None


def test_the_first_revision_may_be_one(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    blow_up(repo)
    look = machine.reconcile()
    assert (look.halted, look.stacks) == ("TooManyFiles", {})
    repair(repo)
    assert machine.reconcile().sync == {"root/a": "Synced"}


def test_what_came_with_one_is_nobodys(repo: Repo, new_machine: Callable[..., Machine]) -> None:
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": document("User", "ada", {"emails": ["ada@example.org"]})})
    machine = new_machine(repo.url, admins=("ada@example.org",), identity="committer")
    assert machine.reconcile().sync == {"root/a": "Synced"}
    repo.commit({"a.yaml": a_script("a", "echo ours")})
    assert machine.reconcile().ran == {"root/a": "finished"}
    (repo.path / ".git" / "evil").write_text(a_script("evil", "true"))
    evil = repo.git("hash-object", "-w", ".git/evil")
    blow_up(repo, more=f"100644 blob {evil}\tevil.yaml\n")
    repair(repo)
    repo.git("reset", "-q", "--hard")
    later = repo.commit({"a.yaml": a_script("a", "echo later")})
    look = machine.reconcile()
    assert (look.halted, look.ran, look.configuration.admitted_revision) == (None, {"root/a": "finished"}, later)
    with machine.service.store.reading() as reading:
        (held,) = reading.held_changes()
    assert (str(held.ref), held.person) == ("Stack root/evil", "unverified (Unreadable)")


def test_one_in_a_source_repository_concerns_its_stacks_alone(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    source = Repo(tmp_path / "remotes" / "infra")
    source.commit({"live/run.sh": "true\n"})
    here = {"repository": "infra", "path": "live"}
    repo.commit(
        {
            "infra.yaml": document("Repository", "infra", {"url": source.url}),
            "all.yaml": a_script("all", "sh ./live/run.sh", source={**here, "path": "."}),
            "glob.yaml": a_script("glob", "sh ./run.sh", source={**here, "include": ["bomb/**"]}),
            "live.yaml": a_script("live", "sh ./run.sh", source=here),
            "own.yaml": a_script("own", "true"),
        }
    )
    assert set(machine.reconcile().sync.values()) == {"Synced"}
    blow_up(source)
    repo.commit({"own.yaml": a_script("own", "echo 2")})
    look = machine.reconcile()
    assert (look.halted, look.ran) == (None, {"root/own": "finished"})
    problems = {name: it.desired.problem for name, it in look.stacks.items() if it.desired and it.desired.problem}
    reasons = {name: problem.reason for name, problem in problems.items()}
    assert reasons == {"root/all": "SourceUnavailable", "root/glob": "SourceUnavailable"}
    repair(source)
    look = machine.reconcile()
    assert set(look.sync.values()) == {"Synced"}


@pytest.mark.parametrize("known", [False, True], ids=["new", "in the place of documents"])
def test_a_file_of_zeros_costs_nothing_and_changes_nothing_else(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """Git stores them as a few bytes; read whole, they would cost their size in memory at each start."""
    repo.commit({"a.yaml": a_script("a", "true"), "b.yaml": a_script("b", "true")})
    machine.reconcile()
    zeros = repo.path / ("b.yaml" if known else "zeros.yaml")
    with zeros.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    repo.commit({"a.yaml": a_script("a", "echo 2")})

    def read(store: ObjectStore, blob: str) -> bytes:
        assert store.blob_size(blob) <= LARGEST_FILE, "it was read"
        return blob_of(store, blob)

    blob_of = ObjectStore.blob
    monkeypatch.setattr(ObjectStore, "blob", read)
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({"root/a": "finished"}, {"root/a": "Synced", "root/b": "Synced"})
    assert look.problems == [f"{zeros.name}: error: file-too-large"]
    machine.restart()
    assert machine.reconcile().sync == look.sync


def test_too_much_at_once_halts_and_heals(repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_BYTES", 5_000)
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    repo.commit({f"{number}.yaml": "x: " + "y" * 1_000 for number in range(6)})
    assert machine.reconcile().halted == "TooManyFiles"
    repo.commit({f"{number}.yaml": None for number in range(6)})
    assert machine.reconcile().halted is None


def test_a_path_that_no_database_can_hold_halts_and_heals(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    (repo.path / ".git" / "content").write_text("x")
    inner = repo.git("hash-object", "-w", ".git/content")
    for number in range(20):
        kind, mode = ("040000", "tree") if number else ("100644", "blob")
        inner = _write(repo, f"{kind} {mode} {inner}\t{hashlib.sha512(bytes([number])).hexdigest()}.yaml\n")
    _commit_top(repo, f"{repo.git('ls-tree', 'HEAD')}\n040000 tree {inner}\tbomb\n")
    look = machine.reconcile()
    assert look.halted == "TooManyFiles"
    repair(repo)
    assert machine.reconcile().halted is None
