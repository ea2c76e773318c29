"""Sources at a tag, at the newest version in a range, or at one commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.state import ConditionType
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Look, Machine

A, C = "root/a", "root/c"


@pytest.fixture
def infra(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "remotes" / "infra")
    release(repo, "v1.4.0")
    return repo


def release(infra: Repo, tag: str) -> str:
    revision = infra.commit({"live/run.sh": f"echo {tag}\n"})
    infra.git("tag", "-f", tag)
    return revision


def following(infra: Repo, spec: dict[str, Any] | None = None, **source: str) -> dict[str, str]:
    """Write a stack that follows the repository, and one that has nothing to do with it."""
    return {
        "infra.yaml": document("Repository", "infra", {"url": infra.url, **(spec or {})}),
        "a.yaml": a_script("a", "sh ./run.sh", source={"repository": "infra", "path": "live", **source}),
        "c.yaml": a_script("c", "echo c"),
    }


def told(look: Look) -> list[tuple[str, str, str]]:
    """Return the diagnostics about sources: their place, code and summary."""
    return [
        (f"{it['file']}:{it['line']}", str(it["code"]), str(it["summary"]))
        for it in look.configuration.diagnostics
        if str(it["code"]).startswith("source-")
    ]


def test_the_newest_version_in_a_range_is_followed(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit(following(infra, semver=">=1.4 <2"))
    assert machine.reconcile().sync == {A: "Synced", C: "Synced"}
    infra.commit({"live/run.sh": "echo not released\n"})
    release(infra, "v2.0.0")
    release(infra, "v1.9.0-rc.1")
    assert machine.reconcile().runs == []
    # A version from a branch of its own builds on nothing that was followed: no history is rewritten by that.
    infra.git("checkout", "-q", "--orphan", "anew")
    new = release(infra, "v1.10.0")
    look = machine.reconcile()
    assert (look.ran, look.problems, look.why(A)) == ({A: "finished"}, [], ["source: 1 file under live"])
    assert look.runs[0].source is not None
    assert look.runs[0].source.revision == new
    machine.restart()
    assert machine.reconcile().runs == []
    # One that was withdrawn is left again.
    infra.git("tag", "-d", "v1.10.0")
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({A: "finished"}, [])


def test_another_tag_with_the_same_files_runs_nothing(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit(following(infra, tag="v1.4.0"))
    assert machine.reconcile().sync == {A: "Synced", C: "Synced"}
    infra.commit({"README.md": "new"})
    infra.git("tag", "v1.4.1")
    repo.commit(following(infra, tag="v1.4.1"))
    assert machine.reconcile().runs == []
    revision = release(infra, "v1.5.0")
    release(infra, "v1.6.0")
    repo.commit(following(infra, revision=revision))
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({A: "finished"}, [])
    assert "echo v1.5.0" in infra.git("show", f"{look.stacks[A].desired.source.revision}:live/run.sh")  # type: ignore[union-attr]
    # Back to an earlier tag is no rewritten history.
    repo.commit(following(infra, tag="v1.4.0"))
    assert (machine.reconcile().ran, machine.look().problems) == ({A: "finished"}, [])


@pytest.mark.parametrize(
    ("source", "code", "because"),
    [
        pytest.param({"tag": "v9"}, "source-tag-not-found", "has no tag 'v9'", id="tag"),
        pytest.param(
            {"semver": "^9"}, "source-version-not-found", "range '^9': its newest version is v1.4.0", id="range"
        ),
        pytest.param({"revision": "0" * 40}, "source-revision-not-found", "on any branch or tag", id="commit"),
    ],
)
def test_what_is_not_there_is_its_stack_s_trouble_until_it_comes(  # noqa: PLR0917
    repo: Repo, machine: Machine, infra: Repo, source: dict[str, str], code: str, because: str
) -> None:
    files = following(infra, **source)
    repo.commit(files)
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({C: "finished"}, {A: "Unknown", C: "Synced"})
    ready = look.stacks[A].conditions[ConditionType.READY]
    assert ready.reason == "SourceUnavailable"
    assert because in ready.message
    ((place, found, summary),) = told(look)
    line = files["a.yaml"].splitlines()[int(place.partition(":")[2]) - 1]
    assert (found, next(iter(source)) in line, because in summary) == (code, True, True)
    assert machine.reconcile().configuration.generation == look.configuration.generation, "nothing to say anew"
    if "revision" not in source:
        release(infra, "v9" if "tag" in source else "v9.0.1")
        assert (machine.reconcile().ran, told(machine.look())) == ({A: "finished"}, [])


@pytest.mark.parametrize("source", [{"tag": "v1.4.0"}, {"semver": "1.x"}], ids=["tag", "range"])
def test_a_tag_that_was_moved_is_not_followed_until_that_is_accepted(
    repo: Repo, new_machine: Callable[..., Machine], infra: Repo, source: dict[str, str]
) -> None:
    machine = new_machine(repo.url)
    repo.commit(following(infra, **source))
    machine.reconcile()
    old = infra.head()
    moved = release(infra, "v1.4.0")
    moved = infra.commit({"live/run.sh": "echo evil\n"})
    infra.git("tag", "-f", "v1.4.0")
    repo.commit({"c.yaml": a_script("c", "echo other")})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({C: "finished"}, {A: "Synced", C: "Synced"})
    said = f"tag v1.4.0 was moved: it is at {moved[:12]}, and was at {old[:12]}"
    assert look.stacks[A].conditions[ConditionType.SOURCE_VERIFIED].message == said
    ((_, code, summary),) = told(look)
    assert (code, said in summary) == ("source-tag-moved", True)
    machine.restart()
    assert machine.reconcile().runs == []

    repo.commit({"infra.yaml": following(infra, {"acceptRewrite": moved})["infra.yaml"]})
    look = machine.reconcile()
    assert (look.ran, told(look)) == ({A: "finished"}, [])
    assert ConditionType.SOURCE_VERIFIED not in look.stacks[A].conditions


def test_a_tag_that_is_put_back_leaves_no_trace(repo: Repo, machine: Machine, infra: Repo) -> None:
    repo.commit(following(infra, tag="v1.4.0"))
    machine.reconcile()
    old = infra.head()
    release(infra, "v1.4.0")
    assert [code for _, code, _ in told(machine.reconcile())] == ["source-tag-moved"]
    infra.git("tag", "-f", "v1.4.0", old)
    look = machine.reconcile()
    assert (look.runs, told(look)) == ([], [])
    assert ConditionType.SOURCE_VERIFIED not in look.stacks[A].conditions
    infra.git("tag", "-d", "v1.4.0")
    assert [code for _, code, _ in told(machine.reconcile())] == ["source-tag-not-found"]
    assert machine.look().sync == {A: "Synced", C: "Synced"}, "its last good revision stays in use"
