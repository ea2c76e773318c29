"""A source repository whose history was rewritten, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine
from tests.needs import needs

STACK = a_script("a", "sh ./run.sh", source={"repository": "infra", "path": "live"})


@pytest.fixture
def infra(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "remotes" / "infra")
    repo.commit({"live/run.sh": "echo first\n"})
    repo.commit({"live/run.sh": "echo second\n"})
    return repo


def _accepting(infra: Repo, revision: str | None, name: str = "infra") -> str:
    return document("Repository", name, {"url": infra.url} | ({"acceptRewrite": revision} if revision else {}))


def _rewrite(infra: Repo, content: str) -> str:
    infra.git("reset", "-q", "--hard", "HEAD~1")
    return infra.commit({"live/run.sh": content})


@pytest.mark.parametrize("named", ["the tip", "a commit before it"])
def test_a_rewrite_is_followed_once_it_is_accepted(repo: Repo, machine: Machine, infra: Repo, named: str) -> None:
    repo.commit({"infra.yaml": _accepting(infra, None), "a.yaml": STACK})
    machine.reconcile()
    old = infra.head()
    tip = accepted = _rewrite(infra, "echo other\n")
    if named != "the tip":
        tip = infra.commit({"README.md": "more"})
    look = machine.reconcile()
    (told,) = [it for it in look.configuration.diagnostics if it["code"] == "source-history-rewritten"]
    assert f"{tip[:12]} does not build on {old[:12]}" in told["summary"]
    assert f"spec.acceptRewrite: {tip} in the Repository document" in told["hint"]
    assert look.runs == []

    repo.commit({"infra.yaml": _accepting(infra, accepted)})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"root/a": "finished"}, [])
    assert look.why("root/a") == ["source: 1 file under live"]

    # What was accepted is this rewrite, not the next one.
    machine.restart()
    infra.git("reset", "-q", "--hard", accepted)
    infra.commit({"live/run.sh": "echo on\n"})
    assert machine.reconcile().problems == (
        [] if named == "the tip" else ["infra.yaml: warning: source-history-rewritten"]
    )
    infra.git("reset", "-q", "--hard", "HEAD~2")
    infra.commit({"live/run.sh": "echo third\n"})
    look = machine.reconcile()
    assert [it.partition(": ")[2] for it in look.problems] == ["warning: source-history-rewritten"]


def test_a_rewind_is_followed_once_it_is_accepted(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit({"infra.yaml": _accepting(infra, None), "a.yaml": STACK})
    machine.reconcile()
    infra.git("reset", "-q", "--hard", "HEAD~1")
    repo.commit({"infra.yaml": _accepting(infra, infra.head())})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"root/a": "finished"}, [])


@pytest.mark.parametrize("named", ["0" * 40, "common"])
def test_another_commit_accepts_nothing(repo: Repo, machine: Machine, infra: Repo, named: str) -> None:
    repo.commit({"infra.yaml": _accepting(infra, None), "a.yaml": STACK})
    machine.reconcile()
    _rewrite(infra, "echo other\n")
    common = infra.git("rev-parse", "HEAD~1").strip()
    repo.commit({"infra.yaml": _accepting(infra, common if named == "common" else named)})
    look = machine.reconcile()
    assert look.runs == []
    assert any("source-history-rewritten" in problem for problem in look.problems)


def test_a_document_accepts_for_its_own_users_only(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit(
        {
            "infra.yaml": _accepting(infra, None),
            "a.yaml": STACK,
            "theirs.yaml": _accepting(infra, None, "theirs"),
            "b.yaml": a_script("b", "sh ./run.sh", source={"repository": "theirs", "path": "live"}),
        }
    )
    machine.reconcile()
    tip = _rewrite(infra, "echo other\n")
    repo.commit({"infra.yaml": _accepting(infra, tip)})
    assert machine.reconcile().ran == {"root/a": "finished"}
    repo.commit({"theirs.yaml": _accepting(infra, tip, "theirs")})
    assert machine.reconcile().ran == {"root/b": "finished"}


@needs("terraform")
def test_a_tfstate_of_a_key_that_is_not_there_fails_the_run_and_says_so(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    database = f"sqlite:///{tmp_path / 'shared' / 'station.db'}"
    one = new_machine(repo.url, "one", database_url=database)
    two = new_machine(repo.url, "two", database_url=database)
    assert two.service.store is not None, "it starts while nothing is sealed"
    code = 'resource "terraform_data" "a" { input = 1 }\n'
    stack = document("Stack", "a", {"tool": "terraform", "source": {"path": "./code"}})
    repo.commit({"a.yaml": stack, "code/main.tf": code})
    assert one.reconcile().ran == {"root/a": "finished"}
    repo.commit({"code/main.tf": code.replace("1", "2")})
    look = two.reconcile()
    run = look.runs[-1]
    assert (run.status, run.reason) == ("failed", "TfstateUnreadable")
    assert "needs the key" in run.message


@pytest.mark.parametrize(
    ("repository", "branch", "place", "code"),
    [
        pytest.param({}, None, ("infra.yaml", "url:"), "source-fetch-failed", id="not there"),
        pytest.param({"branch": "nope"}, None, ("infra.yaml", "branch:"), "source-branch-not-found", id="its branch"),
        pytest.param({}, "nope", ("a.yaml", "branch:"), "source-branch-not-found", id="a stack's branch"),
    ],
)
def test_what_cannot_be_followed_is_told_where_it_is_named(  # noqa: PLR0917
    repo: Repo,
    machine: Machine,
    infra: Repo,
    repository: dict[str, str],
    branch: str | None,
    place: tuple[str, str],
    code: str,
) -> None:
    url = infra.url if code != "source-fetch-failed" else f"{infra.url}-not-there"
    source = {"repository": "infra", "path": "live"} | ({"branch": branch} if branch else {})
    files = {
        "infra.yaml": document("Repository", "infra", {"url": url, **repository}),
        "a.yaml": a_script("a", "true", source=source),
    }
    repo.commit(files)
    machine.reconcile()
    (told,) = [it for it in machine.reconcile().configuration.diagnostics if it["code"].startswith("source-")]
    line = files[str(told["file"])].splitlines()[told["line"] - 1]
    assert (told["file"], told["code"]) == (place[0], code)
    assert place[1].rstrip(":") in line


def test_an_emptied_branch_changes_nothing_and_says_so(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit({"infra.yaml": _accepting(infra, None), "a.yaml": STACK})
    machine.reconcile()
    infra.git("rm", "-q", "-r", ".")
    infra.git("commit", "-q", "-m", "gone")
    for _ in range(2):
        look = machine.reconcile()
        assert (look.sync, look.ran) == ({"root/a": "Synced"}, {})
        (told,) = [it for it in look.configuration.diagnostics if it["code"] == "source-branch-emptied"]
        assert "holds no files at all" in told["summary"]
        assert "stays in use" in told["hint"]
        machine.restart()

    infra.commit({"live/run.sh": "echo back\n"})
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({"root/a": "finished"}, [])
