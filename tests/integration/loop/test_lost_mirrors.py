"""Mirrors can be lost at any time: what waits for a person stays, what cannot be read waits, and a fetch heals all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.runs import RunStatus
from reconciler.core.state import ConditionType
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine


@pytest.fixture
def infra(tmp_path: Path, ran: Path) -> Repo:
    repo = Repo(tmp_path / "remotes" / "infra")
    repo.commit({"live/run.sh": f"echo one >> {ran}\n"})
    return repo


def setup(repo: Repo, infra: Repo, **spec: object) -> None:
    source = {"repository": "infra", "path": "live"}
    repo.commit(
        {
            "infra.yaml": document("Repository", "infra", {"url": infra.url}),
            "a.yaml": a_script("a", "sh ./run.sh", source=source, **spec),
        }
    )


@pytest.mark.parametrize("all_of_them", [False, True], ids=["the source's", "all"])
def test_a_lost_mirror_costs_nothing(
    *, repo: Repo, machine: Machine, infra: Repo, ran: Path, all_of_them: bool
) -> None:
    setup(repo, infra, autodeploy=False)
    (planned,) = machine.reconcile().runs
    machine.close()
    name = hashlib.sha256(f"{infra.url}\nroot/infra".encode()).hexdigest()[:32]
    mirrors = machine.settings.data_dir / "mirrors"
    shutil.rmtree(mirrors if all_of_them else mirrors / f"{name}.git")
    look = machine.reconcile()
    assert ([(run.id, run.status) for run in look.runs]) == [(planned.id, RunStatus.UNCONFIRMED)]
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["one"]
    infra.commit({"live/run.sh": f"echo two >> {ran}\n"})
    assert machine.reconcile().ran == {"root/a": "unconfirmed"}


def test_while_the_source_cannot_be_fetched_the_stack_waits_and_its_plan_stays(
    repo: Repo, machine: Machine, infra: Repo, ran: Path
) -> None:
    setup(repo, infra, autodeploy=False)
    machine.reconcile()
    run = machine.run_of("root/a", RunStatus.UNCONFIRMED)
    machine.close()
    shutil.rmtree(machine.settings.data_dir / "mirrors")
    away = infra.path.rename(infra.path.with_name("away"))
    look = machine.reconcile()
    assert [each.id for each in look.runs] == [run.id]
    ready = look.stacks["root/a"].conditions[ConditionType.READY]
    assert ready.reason == "SourceUnavailable", ready
    machine.confirm("root/a")
    machine.reconcile()
    assert machine.run_of("root/a", RunStatus.UNCONFIRMED).id == run.id, "it was not thrown away"
    away.rename(infra.path)
    look = machine.reconcile()
    assert (machine.run_of("root/a", RunStatus.FINISHED).id, lines(ran)) == (run.id, ["one"])
    assert look.sync == {"root/a": "Synced"}


def test_another_configuration_still_supersedes_what_was_planned(
    repo: Repo, machine: Machine, infra: Repo, ran: Path
) -> None:
    setup(repo, infra, autodeploy=False)
    machine.reconcile()
    machine.close()
    shutil.rmtree(machine.settings.data_dir / "mirrors")
    infra.path.rename(infra.path.with_name("away"))
    setup(repo, infra, autodeploy=False, env={"A": "b"})
    machine.reconcile()
    assert machine.run_of("root/a", RunStatus.SUPERSEDED)


def test_a_second_service_on_the_database_changes_nothing_for_the_first(
    repo: Repo, new_machine: Callable[..., Machine], infra: Repo, ran: Path, postgres_url: str
) -> None:
    first = new_machine(repo.url, "first", database_url=postgres_url)
    setup(repo, infra, autodeploy=False)
    first.reconcile()
    key = first.settings.data_dir / "encryption.key"
    second = new_machine(repo.url, "second", database_url=postgres_url, encryption_key_file=key)
    look = second.reconcile()
    assert ([run.status for run in look.runs], look.sync) == ([RunStatus.UNCONFIRMED], {"root/a": "OutOfSync"})
    first.confirm("root/a")
    assert first.reconcile().sync == {"root/a": "Synced"}
    assert lines(ran) == ["one"]
