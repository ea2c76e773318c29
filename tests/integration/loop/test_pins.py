"""Stacks that stay at, or go back to, an earlier revision of themselves while the rest of the branch goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import pins
from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionType
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Look, Machine

APP = StackId.parse("root/app")


def an_app(ran: Path, **spec: Any) -> str:
    return a_script("app", f'echo "app $WORD $(cat version)" >> {ran}', source={"path": "./app"}, **spec)


def a_word(word: str) -> str:
    return document("Context", "words", {"attach": {"matchLabels": {}}, "env": {"WORD": word}})


def pin(machine: Machine, at: str, duration: timedelta | None = None) -> None:
    run = machine.service.ports.earlier(APP, at)
    pins.pin(machine.service.store, APP, run, "it is slow", duration, "ada", utc_now())


def audited(machine: Machine, event: str) -> list[dict[str, Any]]:
    with machine.service.store.reading() as reading:
        rows = reading.audit(0, 1000)
    return [{"person": row.event.person, **row.event.details} for row in rows if row.event.event == event]


def app(look: Look) -> tuple[str, str]:
    state = look.stacks["root/app"]
    return str(state.sync), state.reason


@pytest.fixture
def two(repo: Repo, machine: Machine, ran: Path) -> tuple[str, str]:
    """Bring an app with a source and a context to its second version; return both revisions."""
    repo.commit({"b.yaml": a_script("b", "true")})
    first = repo.commit({"a.yaml": an_app(ran), "app/version": "1", "w.yaml": a_word("one")})
    machine.reconcile()
    second = repo.commit({"app/version": "2", "w.yaml": a_word("two")})
    machine.reconcile()
    return first, second


def test_it_goes_back_and_stays_until_a_commit_changes_it(
    repo: Repo, machine: Machine, ran: Path, two: tuple[str, str]
) -> None:
    pin(machine, two[0][:10])
    look = machine.reconcile()
    assert lines(ran) == ["app one 1", "app two 2", "app one 1"]
    assert app(look) == ("Synced", "Pinned")
    state = look.stacks["root/app"]
    assert state.conditions[ConditionType.PINNED].message.startswith(f"pinned to {two[0][:12]} by ada since ")
    assert state.applied is not None
    assert (state.applied.revision, look.runs[-1].person) == (two[0], "ada")

    repo.commit({"w.yaml": a_word("three"), "b.yaml": a_script("b", "echo")})
    assert machine.reconcile().ran == {"root/b": "finished"}
    machine.restart()
    assert machine.reconcile().runs == []

    mine = repo.commit({"app/version": "3"})
    look = machine.reconcile()
    assert lines(ran)[3:] == ["app three 3"]
    assert app(look) == ("Synced", "UpToDate")
    desired = look.stacks["root/app"].desired
    assert desired is not None
    assert desired.pin is None
    assert [it["why"] for it in audited(machine, "stack-unpinned")] == [
        f"the stack was changed by revision {mine[:12]}"
    ]
    with machine.service.store.reading() as reading:
        assert reading.pins() == reading.configuration().pins == {}


def test_it_ends_by_hand_and_by_the_clock(machine: Machine, ran: Path, two: tuple[str, str]) -> None:
    pin(machine, two[0])
    machine.reconcile()
    pins.unpin(machine.service.store, APP, "bob", utc_now())
    assert app(machine.reconcile()) == ("Synced", "UpToDate")
    pin(machine, two[0], timedelta(0))
    assert machine.reconcile().runs == []
    assert lines(ran) == ["app one 1", "app two 2", "app one 1", "app two 2"]
    assert [(it["person"], it.get("why")) for it in audited(machine, "stack-unpinned")] == [
        ("bob", None),
        (None, "its time was over"),
    ]
    with pytest.raises(OperationRefused, match="root/app is not pinned"):
        pins.unpin(machine.service.store, APP, "bob", utc_now())


def test_a_revision_that_did_not_hold_it_is_refused(
    repo: Repo, machine: Machine, ran: Path, two: tuple[str, str]
) -> None:
    before = repo.git("rev-list", "--max-parents=0", "HEAD").strip()
    other = repo.commit({"b.yaml": a_script("b", "echo 2")})
    stray = repo.commit({"app/version": "8"})
    repo.commit({"app/version": "9"})
    machine.reconcile()
    for at, why in (
        (before, f"revision {before[:12]} does not hold root/app"),
        ("0123456789", "there is no revision 0123456789 in the configuration"),
        ("main", "'main' is no revision"),
        (stray, f"root/app never had a run for what it is at revision {stray[:12]}"),
    ):
        with pytest.raises(OperationRefused, match=why):
            pin(machine, at)
    # It was no other one there than at the commit before, which it had a run for.
    pin(machine, other[:9])
    machine.reconcile()
    assert lines(ran)[2:] == ["app two 9", "app two 2"]


def test_it_takes_of_other_stacks_what_it_took_then(repo: Repo, machine: Machine, ran: Path) -> None:
    def base(after: str = "true") -> str:
        return a_script("base", """printf '{"x": "1"}' > $STATION_OUTPUTS; """ + after)

    def using(version: int, **more: Any) -> str:
        depends_on = [{"stack": "base", "outputs": {"x": "X"}, **more}]
        return a_script("app", f'echo "{version} $X" >> {ran}', dependsOn=depends_on)

    first = repo.commit({"base.yaml": base(), "a.yaml": using(1, always=True)})
    machine.reconcile()
    repo.commit({"a.yaml": using(2)})
    machine.reconcile()
    pin(machine, first)
    machine.reconcile()
    repo.commit({"base.yaml": base("echo")})
    assert app(machine.reconcile()) == ("Synced", "Pinned")
    assert lines(ran) == ["1 1", "2 1", "1 1", "1 1"]

    repo.commit({"a.yaml": using(2, always=True)})
    assert app(machine.reconcile()) == ("Synced", "UpToDate")
    assert lines(ran)[4:] == ["2 1"]


def test_how_it_is_run_is_as_the_branch_says_now(repo: Repo, machine: Machine, ran: Path, two: tuple[str, str]) -> None:
    repo.commit({"a.yaml": an_app(ran, autodeploy=False)})
    machine.reconcile()
    pin(machine, two[0])
    assert machine.reconcile().ran == {"root/app": "unconfirmed"}
    denies = 'package stationkeeper\ndeny contains "not now" if true'
    repo.commit({"p.yaml": document("Policy", "no", {"type": "plan", "rego": denies})})
    look = machine.reconcile()
    assert [(run.status, run.reason) for run in look.runs if str(run.stack) == "root/app"][-1:] == [
        (RunStatus.FAILED, "PolicyDenied")
    ]
    repo.commit({"a.yaml": None})
    look = machine.reconcile()
    assert [it["why"] for it in audited(machine, "stack-unpinned")] == ["its document has left Git or moved"]


def test_a_source_in_another_repository(
    repo: Repo, machine: Machine, ran: Path, tmp_path: Path, new_machine: Callable[..., Machine]
) -> None:
    infra = Repo(tmp_path / "infra", {"app/version": "1"})
    old = infra.head()
    spec = {"source": {"repository": "infra", "path": "app"}}
    repo.commit(
        {
            "r.yaml": document("Repository", "infra", {"url": infra.url, "branch": "main"}),
            "a.yaml": a_script("app", f"cat version >> {ran}; echo >> {ran}", **spec),
        }
    )
    machine.reconcile()
    infra.commit({"app/version": "2"})
    machine.reconcile()
    pin(machine, old[:12])
    assert app(machine.reconcile()) == ("Synced", "Pinned")
    # A second service on the same database has the same.
    infra.commit({"README": "more"})
    assert machine.reconcile().runs == []
    infra.commit({"app/version": "3"})
    assert app(machine.reconcile()) == ("Synced", "UpToDate")
    assert [line for line in lines(ran) if line] == ["1", "2", "1", "3"]
