"""What a service finds when it comes back, step by step."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rbac.access.subjects import Subject
from reconciler import locks
from reconciler.core.phases import Leg, Phase
from reconciler.core.reasons import Reason
from reconciler.core.runs import RunEvent, RunStatus
from reconciler.engine.base import Ending, LegReport
from reconciler.loop.service import utc_now
from reconciler.metrics import Metrics
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.tfstate.backlog import Spool, pending_requests
from reconciler.setting_sources import SettingsError
from reconciler.store.stored import StoreError
from reconciler.web.api_tokens import make_token
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, eventually
from tests.factories import advanced, later
from tests.integration.loop.machine import Machine
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp


@pytest.mark.parametrize("confirmed", [False, True], ids=["autodeploy", "confirmed"])
def test_a_plan_that_ended_meanwhile_is_applied_before_anything_was_fetched(
    repo: Repo, machine: Machine, ran: Path, *, confirmed: bool
) -> None:
    plan = f"echo plan >> {ran}; sleep 0.5; exit 2"
    repo.commit({"a.yaml": a_script("a", f"echo apply >> {ran}", plan=plan, autodeploy=not confirmed)})
    if confirmed:
        machine.reconcile()
        machine.confirm("root/a")
    else:
        machine.service.loop.look()
        machine.service.loop.step(0.0)
        eventually(ran.exists)
    machine.restart()
    time.sleep(0 if confirmed else 1)
    loop = machine.service.loop
    eventually(lambda: loop.step(0.1) is not None and machine.look().sync == {"root/a": "Synced"})
    assert ran.read_text().split() == ["plan", "apply"]
    assert machine.run_of("root/a", RunStatus.FINISHED).attempt == 1


def test_a_claim_whose_answer_was_lost_is_found_and_tried_again(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo apply >> {ran}")})
    loop = machine.service.loop
    loop.look()
    loop.dispatcher.settings = loop.dispatcher.settings.model_copy(update={"parallelism": 0})
    loop.step(0.0)
    with loop.store.writing() as transaction:
        (run,) = transaction.claim(loop.holder, utc_now(), timedelta(seconds=60), 1)
    assert run.status is RunStatus.PLANNING
    for _ in range(2):
        loop.leases._renewed = 0.0
        loop.step(0.1)
    look = machine.look()
    assert look.ran == {"root/a": "failed"}
    assert look.runs[0].reason in {"NeverStarted", "RunnerDied"}
    assert look.stacks["root/a"].retry_at is not None
    assert not ran.exists()


def test_a_token_is_not_refused_before_it_is_known_who_has_what_rights(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": document("User", "ada", {}) + "---\n" + document("ApiKey", "worker", {})})
    machine.reconcile()
    machine.restart()
    with machine.service.store.writing() as transaction:
        token, _ = make_token(transaction, Subject.parse("apiKey:worker"), "operator", utc_now(), later(10**9))

    def ask(token: str) -> tuple[int, str | None]:
        ports = replace(machine.service.ports, metrics=Metrics())
        with Client(WarmApp(ports), token) as client:
            answer = client.get("/api/v1/stacks")
        return answer.status_code, answer.headers.get("Retry-After")

    assert (ask(token), ask("station_x_y")) == ((503, "1"), (401, None))
    machine.reconcile()
    assert ask(token) == (200, None)


def test_runs_at_work_are_no_strays(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"sleep 0.6; echo apply >> {ran}"), "b.yaml": a_script("b", "sleep 0.3")})
    loop = machine.service.loop
    loop.look()
    for _ in range(60):
        loop.leases._renewed = 0.0
        loop.step(0.02)
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/b": "finished"}
    assert ran.read_text() == "apply\n"


def test_what_a_run_wrote_of_its_tfstate_after_it_was_given_up_is_left_to_people(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true", autodeploy=False)})
    machine.reconcile()
    loop, run = machine.service.loop, machine.run_of("root/a", RunStatus.UNCONFIRMED)
    machine.confirm("root/a")
    with loop.store.writing() as transaction:
        applying = run.evolve(status=RunStatus.APPLYING)
        transaction.put_run(applying)
        transaction.put_run(advanced(applying, RunEvent.INTERRUPT, reason=Reason.LEASE_LOST))
    directory = RunDirectory.of(machine.settings.data_dir, run.id)
    Spool(directory.pending_tfstate).add("POST", "", b'{"serial": 7}')
    ended = LegReport(run.id, run.attempt, Leg.APPLY, Ending.SUCCEEDED, "Applied", "", Phase.APPLY)
    ended = replace(ended, pending_tfstate=directory.pending_tfstate)
    assert loop.recorder.record(ended, None, utc_now()) is None
    assert [each.body for each in pending_requests(directory.pending_tfstate)] == [b'{"serial": 7}']
    assert not directory.work.exists()
    machine.restart()
    assert machine.service.store
    assert [each.body for each in pending_requests(directory.pending_tfstate)] == [b'{"serial": 7}']


def test_another_repository_in_the_place_of_the_old_one_is_refused_in_words(
    repo: Repo, machine: Machine, tmp_path: Path
) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    other = Repo(tmp_path / "other", {"b.yaml": a_script("b", "true")})
    machine.restart(config_url=other.url)
    with pytest.raises(
        SettingsError, match=r"config_url is .*other, but this data directory and database belong to .*repo"
    ):
        machine.reconcile()
    machine.restart(config_url=repo.url)
    assert machine.reconcile().sync == {"root/a": "Synced"}


def test_a_run_that_cannot_be_read_keeps_no_service_from_starting(repo: Repo, machine: Machine) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    machine.reconcile()
    machine.close()
    runs = machine.settings.data_dir / "runs"
    (runs / "broken" / "apply-1.exit.json").mkdir(parents=True)
    (runs / "odd" / "apply-1.started").mkdir(parents=True)
    (runs / "odd" / "work").mkdir()
    assert machine.reconcile().sync == {"root/a": "Synced"}
    assert (runs / "odd" / "work").exists()


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "with its data directory"])
def test_a_database_that_was_restored_from_a_backup_applies_nothing_until_somebody_has_looked(
    *, repo: Repo, machine: Machine, ran: Path, tmp_path: Path, whole: bool
) -> None:
    def writes(name: str, word: str) -> str:
        return a_script(name, f"echo {name} {word} >> {ran}")

    repo.commit({"a.yaml": writes("a", "1")})
    machine.reconcile()
    machine.close()
    database = machine.settings.data_dir / "station.db"
    shutil.copytree(machine.settings.data_dir, tmp_path / "backup", symlinks=True)
    assert not database.with_name("station.db-wal").exists()
    repo.commit({"a.yaml": writes("a", "2"), "b.yaml": writes("b", "1")})
    machine.reconcile()
    machine.close()
    applied = ["a 1", "a 2", "b 1"]
    assert sorted(ran.read_text().splitlines()) == applied
    if whole:
        shutil.rmtree(machine.settings.data_dir)
        shutil.copytree(tmp_path / "backup", machine.settings.data_dir, symlinks=True)
    else:
        shutil.copy(tmp_path / "backup" / "station.db", database)
    for _ in range(2):
        look = machine.reconcile()
        assert {name: stack.reason for name, stack in look.stacks.items()} == {
            "root/a": "Suspended",
            "root/b": "Suspended",
        }
        machine.restart()
    assert sorted(ran.read_text().splitlines()) == applied, "nothing is made a second time"
    # What comes later is new, and what somebody has looked at goes on.
    repo.commit({"c.yaml": writes("c", "1")})
    locks.resume(machine.service.store, StackId.parse("root/b"), "ada", utc_now())
    assert machine.reconcile().ran == {"root/b": "finished", "root/c": "finished"}


def test_an_apply_that_came_after_the_backup_is_noticed_by_the_audit_alone(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    """The configuration has not changed since the backup."""
    repo.commit({"a.yaml": a_script("a", f"echo a >> {ran}", autodeploy=False)})
    machine.reconcile()
    machine.close()
    backup = (machine.settings.data_dir / "station.db").read_bytes()
    outside = machine.settings.notes[-1].stat()
    assert (outside.st_mode & 0o777, outside.st_size) == (0o600, 512)
    machine.confirm("root/a")
    assert machine.reconcile().sync == {"root/a": "Synced"}
    machine.close()
    # A run that is at work has this very file hidden.
    assert machine.settings.notes[-1].stat().st_ino == outside.st_ino
    (machine.settings.data_dir / "station.db").write_bytes(backup)
    assert machine.reconcile().stacks["root/a"].reason == "Suspended"


def test_an_empty_data_directory_in_the_place_of_one_in_use_is_refused(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"a.yaml": a_script("a", f"echo a >> {ran}")})
    machine.reconcile()
    machine.close()
    shutil.rmtree(machine.settings.data_dir)
    outside = machine.settings.notes[-1]
    with pytest.raises(StoreError, match=rf"the database is empty, and {outside} says that another one was used here"):
        machine.reconcile()
    outside.unlink()
    assert machine.reconcile().ran == {"root/a": "finished"}
