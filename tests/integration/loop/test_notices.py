"""Notices of runs: which there are, and that each is sent once, whatever fails in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.loop.policies import notification
from reconciler.loop.policies.notification import ATTEMPTS, NotificationPolicies
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, eventually
from tests.integration.loop.machine import Machine
from tests.integration.loop.test_policies import a_policy

TELLS = 'package stationkeeper\nnotify contains sprintf("%s %s", [input.stack.name, input.event]) if true\n'
POLICY = a_policy("tell", TELLS, "notification")


def told(machine: Machine) -> list[str]:
    with machine.service.store.reading() as reading:
        rows = [row.event for row in reading.audit(0, 10_000) if row.event.event == "notified"]
    return sorted(str(row.details.get("message") or row.details["error"]) for row in rows)


def left(machine: Machine) -> int:
    with machine.service.store.reading() as reading:
        return len(reading.outbox(utc_now() + timedelta(days=1), 10_000))


def send(machine: Machine, now: datetime) -> None:
    """Let the notification policies of a service be asked all that they would be asked at this time."""
    notices, store = machine.service.loop.notices, machine.service.store

    def sent() -> bool:
        notices.step(now)
        with store.reading() as reading:
            return notices.is_idle(reading.to_do(now))

    eventually(sent)


def waiting(repo: Repo, machine: Machine) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "true", autodeploy=False)})
    machine.reconcile()
    assert told(machine) == ["a waits"]


def test_a_run_that_a_person_discards_brings_a_notice_too(repo: Repo, machine: Machine) -> None:
    waiting(repo, machine)
    machine.discard("root/a")
    machine.reconcile()
    assert told(machine) == ["a discarded", "a waits"]
    value = machine.service.ports.metrics.registry.get_sample_value
    labels = {"space": "root", "stack": "a", "kind": "tracked", "status": "discarded"}
    assert value("stationkeeper_runs_total", labels) == 1


def test_a_run_that_is_canceled_in_the_queue_brings_one(repo: Repo, machine: Machine) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "true")})
    service = machine.service
    service.loop.look()
    service.loop.dispatcher.settings = service.loop.dispatcher.settings.model_copy(update={"parallelism": 0})
    service.loop.step(0.0)
    operations.cancel(service.store, machine.run_of("root/a", RunStatus.QUEUED).id, "ada", utc_now())
    send(machine, utc_now())
    assert told(machine) == ["a canceled"]


def test_a_confirmation_brings_none_and_the_end_brings_one(repo: Repo, machine: Machine) -> None:
    waiting(repo, machine)
    machine.confirm("root/a")
    machine.reconcile()
    assert told(machine) == ["a finished", "a waits"]
    machine.restart()
    machine.reconcile()
    assert told(machine) == ["a finished", "a waits"]


def test_where_nobody_wants_to_know_nothing_is_left(repo: Repo, machine: Machine) -> None:
    repo.commit({name + ".yaml": a_script(name, "true") for name in "abc"})
    machine.reconcile()
    assert (told(machine), left(machine)) == ([], 0)


@pytest.mark.parametrize("taken", [False, True], ids=["before it asked", "while it asked"])
def test_a_service_that_stops_loses_nothing(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch, *, taken: bool
) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "exit 1")})
    with monkeypatch.context() as patched:
        patched.setattr(NotificationPolicies, "step", lambda *_, **__: False)
        patched.setattr(NotificationPolicies, "is_idle", lambda *_: True)
        machine.reconcile()
    then = utc_now()
    with machine.service.store.writing() as transaction:
        entries = transaction.outbox(then, 10)
        if taken:
            transaction.claim_outbox(entries, then, notification.LEASE)
    assert [str(entry.run.status) for entry in entries] == ["failed"]
    machine.restart()
    send(machine, then)
    assert (told(machine), left(machine)) == ([], 1), "this process does not know yet what is in force"
    machine.service.loop.watcher.learn(then)
    send(machine, then)
    assert told(machine) == ([] if taken else ["a failed"])
    send(machine, then + notification.LEASE)
    assert (told(machine), left(machine)) == (["a failed"], 0)


def test_policies_that_could_not_be_asked_are_asked_again(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "exit 1")})

    def fail(*_: Any) -> Any:
        raise OSError("no process can be started")

    with monkeypatch.context() as patched:
        patched.setattr(notification, "notify", fail)
        machine.reconcile()
    now = utc_now()
    assert (told(machine), left(machine)) == ([], 1)
    send(machine, now)
    assert told(machine) == []
    send(machine, now + timedelta(seconds=11))
    assert (told(machine), left(machine)) == (["a failed"], 0)


def test_a_notice_that_can_never_be_sent_is_given_up_and_the_audit_says_so(
    repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "exit 1")})
    asked = []

    def fail(*_: Any) -> Any:
        asked.append(1)
        raise OSError("no process can be started")

    monkeypatch.setattr(notification, "notify", fail)
    machine.reconcile()
    now = utc_now()
    for hour in range(1, ATTEMPTS + 2):
        send(machine, now + timedelta(hours=hour))
    assert (told(machine), left(machine), len(asked)) == (["it could not be asked"], 0, ATTEMPTS)


def test_a_notifier_that_fails_keeps_no_run_back(repo: Repo, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"p.yaml": POLICY, "a.yaml": a_script("a", "true")})

    def fail(*_: Any) -> Any:
        raise ValueError("a bug")

    loop = machine.service.loop
    with ThreadPoolExecutor(1) as pool:
        with monkeypatch.context() as patched:
            patched.setattr(NotificationPolicies, "_due", fail)
            running = pool.submit(loop.run)
            eventually(lambda: machine.look().sync == {"root/a": "Synced"})
            repo.commit({"b.yaml": a_script("b", "true")})
            eventually(lambda: machine.look().sync == {"root/a": "Synced", "root/b": "Synced"})
            assert told(machine) == []
        eventually(lambda: told(machine) == ["a finished", "b finished"])
        loop.stop()
        running.result()


def test_of_two_services_on_one_database_one_sends_each_notice(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {"database_url": postgres_url, "encryption_key_file": tmp_path / "key"}
    one, two = (new_machine(repo.url, name, **shared) for name in ("one", "two"))
    names = [f"s{number}" for number in range(12)]
    repo.commit({"p.yaml": POLICY, **{f"{name}.yaml": a_script(name, "exit 1") for name in names}})
    with monkeypatch.context() as patched:
        patched.setattr(NotificationPolicies, "step", lambda *_, **__: False)
        patched.setattr(NotificationPolicies, "is_idle", lambda *_: True)
        one.reconcile()
        two.reconcile()
    assert (told(one), left(one)) == ([], 12)
    asked: Counter[str] = Counter()
    notify = notification.notify

    def counted(policies: Any, given: Any) -> Any:
        asked[given["stack"]["name"]] += 1
        return notify(policies, given)

    monkeypatch.setattr(notification, "notify", counted)
    now = utc_now()
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(lambda machine: send(machine, now), (one, two)):
            pass
    assert told(one) == sorted(f"{name} failed" for name in names)
    assert asked == dict.fromkeys(names, 1)
    counts = [
        machine.service.ports.metrics.registry.get_sample_value(
            "stationkeeper_policy_decisions_total", {"type": "notification", "result": "notify"}
        )
        or 0
        for machine in (one, two)
    ]
    assert sum(counts) == 12
