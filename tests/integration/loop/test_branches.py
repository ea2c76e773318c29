"""What happens to the branch must not happen to the infrastructure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine


def _empty(repo: Repo) -> None:
    repo.git("rm", "-q", "-r", ".")
    repo.git("commit", "-q", "-m", "Empty it")


def _only_other_files(repo: Repo) -> None:
    repo.git("rm", "-q", "-r", ".")
    repo.commit({"README.md": "moved elsewhere"})


def _delete(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "elsewhere")
    repo.git("branch", "-q", "-D", "main")


def _rewind(repo: Repo) -> None:
    repo.git("reset", "-q", "--hard", "HEAD~1")


def _rewrite(repo: Repo) -> None:
    repo.git("commit", "-q", "--amend", "-m", "Something else")


def _start_anew(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "anew")
    repo.commit({"a.yaml": a_script("a", "echo other")})
    repo.git("branch", "-q", "-M", "anew", "main")


def _take_away(repo: Repo) -> None:
    shutil.move(repo.path, repo.path.with_name("away"))


def _corrupt(repo: Repo) -> None:
    shutil.rmtree(repo.path / ".git" / "objects")


@pytest.mark.parametrize(
    ("accident", "reason"),
    [
        pytest.param(_empty, "BranchEmptied", id="emptied"),
        pytest.param(_only_other_files, "BranchEmptied", id="no document left"),
        pytest.param(_delete, "BranchNotFound", id="deleted"),
        pytest.param(_rewind, "HistoryRewritten", id="rewound"),
        pytest.param(_rewrite, "HistoryRewritten", id="amended"),
        pytest.param(_start_anew, "HistoryRewritten", id="another history"),
        pytest.param(_take_away, "FetchFailed", id="remote gone"),
        pytest.param(_corrupt, "FetchFailed", id="remote broken"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["same service", "after a restart"])
def test_an_accident_halts_and_changes_nothing_until_it_is_mended(
    *,
    repo: Repo,
    machine: Machine,
    tmp_path: Path,
    accident: Callable[[Repo], None],
    reason: str,
    restarted: bool,
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo b")})
    good = repo.commit({"b.yaml": a_script("b", "echo more")})
    assert machine.reconcile().sync == {"root/a": "Synced", "root/b": "Synced"}
    backup = tmp_path / "backup"
    shutil.copytree(repo.path, backup)

    accident(repo)
    if restarted:
        machine.restart()
    for _ in range(2):
        look = machine.reconcile()
        assert look.halted == reason
        assert look.configuration.halted is not None
        assert look.configuration.halted.message
        assert (look.sync, look.runs) == ({"root/a": "Synced", "root/b": "Synced"}, [])
        assert look.configuration.admitted_revision == good

    shutil.rmtree(repo.path, ignore_errors=True)
    shutil.copytree(backup, repo.path)
    repo.commit({"a.yaml": a_script("a", "echo better")})
    mended = machine.reconcile()
    assert (mended.halted, mended.ran) == (None, {"root/a": "finished"})


def test_a_branch_that_was_emptied_by_one_commit_and_filled_by_the_next_is_just_a_change(
    repo: Repo, machine: Machine
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo b")})
    machine.reconcile()
    _empty(repo)
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo c")})
    look = machine.reconcile()
    assert (look.halted, look.ran) == (None, {"root/b": "finished"})


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        pytest.param(lambda _: None, "RepositoryEmpty", id="no commit at all"),
        pytest.param(lambda repo: (repo.commit({"a": "b"}), _delete(repo)), "BranchNotFound", id="no such branch"),
    ],
)
def test_a_new_installation_waits_for_a_branch_that_is_not_there_yet(
    repo: Repo, machine: Machine, prepare: Callable[[Repo], None], reason: str
) -> None:
    prepare(repo)
    look = machine.reconcile()
    assert (look.halted, look.stacks) == (reason, {})
    repo.git("checkout", "-q", "-B", "main")
    repo.commit({"a.yaml": a_script("a", "echo a")})
    assert machine.reconcile().sync == {"root/a": "Synced"}


def test_a_repository_without_documents_is_no_accident_at_first(repo: Repo, machine: Machine) -> None:
    repo.commit({"README.md": "to come"})
    look = machine.reconcile()
    assert (look.halted, look.stacks, look.problems) == (None, {}, [])


def test_a_merge_brings_what_its_branch_holds(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo b")})
    machine.reconcile()
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit({"a.yaml": a_script("a", "echo topic")})
    repo.git("checkout", "-q", "main")
    repo.commit({"README.md": "meanwhile"})
    repo.git("merge", "-q", "--no-ff", "-m", "Merge it", "topic")
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    assert look.configuration.admitted_revision == repo.head()


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        pytest.param({"b.yaml": "apiVersion: stationkeeper/v1\nkind: [\n"}, {"root/b"}, id="not YAML"),
        pytest.param({"b.yaml": "apiVersion: stationkeeper/v1\nkind: Stack\n" + "[" * 200_000}, {"root/b"}, id="deep"),
        pytest.param({"b.yaml": a_script("b", "x", contexts=["none"])}, {"root/b"}, id="unknown context"),
        pytest.param({"b.yaml": a_script("b", "x", colour="blue")}, {"root/b"}, id="unknown key"),
        pytest.param({"b.yaml": a_script("b", "x", timeout="long")}, {"root/b"}, id="wrong type"),
        pytest.param({"b.yaml": a_script("b", "x", space="nowhere")}, {"root/b"}, id="unknown space"),
        pytest.param({"c.yaml": a_script("b", "x")}, set(), id="two of one name"),
        pytest.param(
            {"s.yaml": document("Space", "s", {"parent": "t"}) + "---\n" + document("Space", "t", {"parent": "s"})},
            set(),
            id="cyclic spaces",
        ),
    ],
)
def test_a_broken_document_keeps_its_last_version_and_the_others_go_on(
    repo: Repo, machine: Machine, files: dict[str, str], kept: set[str]
) -> None:
    repo.commit({"a.yaml": a_script("a", "echo a"), "b.yaml": a_script("b", "echo b")})
    before = machine.reconcile()
    repo.commit({"a.yaml": a_script("a", "echo changed"), **files})
    look = machine.reconcile()
    assert (look.halted, look.ran, look.sync) == (
        None,
        {"root/a": "finished"},
        {"root/a": "Synced", "root/b": "Synced"},
    )
    assert any(": error: " in problem for problem in look.problems)
    assert look.stacks["root/b"].desired == before.stacks["root/b"].desired
    machine.restart()
    again = machine.reconcile()
    assert (again.runs, again.sync, again.problems) == ([], look.sync, look.problems)
    assert {f"{it.space}/{it.name}" for it in again.configuration.kept} >= kept
