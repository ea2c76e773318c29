"""Notifiers: what a real receiver gets of real runs, and what becomes of it while the receiver or the service is away."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.loop.policies import delivery
from reconciler.loop.policies.deliveries import ATTEMPTS, LEASE, Deliveries
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, document, eventually
from tests.integration.loop.machine import Machine
from tests.integration.notifying.postbox import PASSWORD, posting
from tests.integration.notifying.receiver import Receiver, receiving

KEY = "the-key-of-the-tickets"
HOOK = "/services/very-secret"
HTTP = {"allowHttp": True}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine], receiver: Receiver, tmp_path: Path) -> Machine:
    secrets = tmp_path / "secrets" / "root"
    secrets.mkdir(parents=True)
    for name, text in (("key", KEY), ("hook", receiver.url + HOOK)):
        (secrets / name).write_text(text + "\n", encoding="utf-8")
        (secrets / name).chmod(0o600)
    return new_machine(
        repo.url,
        secrets_dir=secrets.parent,
        notify_networks=("127.0.0.1",),
        public_url="https://station.example.com/",
    )


def a_notifier(name: str = "tickets", **spec: Any) -> str:
    events = ["run.waiting", "run.failed", "run.finished"]
    defaults = {"type": "webhook", "url": {"file": "hook"}, "secret": {"file": "key"}, "events": events}
    return document("Notifier", name, {**defaults, "allowHttp": True, **spec})


def told(machine: Machine) -> list[tuple[str, str, str | None]]:
    """Return the rows of the audit: notifier, event, and why it was given up."""
    with machine.service.store.reading() as reading:
        rows = [row.event.details for row in reading.audit(0, 10_000) if row.event.event == "notified"]
    return [(str(row["notifier"]), str(row["event"]), row.get("error")) for row in rows]


def left(machine: Machine) -> int:
    with machine.service.store.reading() as reading:
        return len(reading.deliveries(utc_now() + timedelta(days=2), 1000))


def send(machine: Machine, now: datetime) -> None:
    sending, store = machine.service.loop.deliveries, machine.service.store

    def sent() -> bool:
        sending.step(now)
        with store.reading() as reading:
            return sending.is_idle(reading.to_do(now))

    eventually(sent)


def test_a_webhook_hears_of_runs_signed(
    repo: Repo, machine: Machine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    repo.commit({"n.yaml": a_notifier(), "a.yaml": a_script("a", "true", autodeploy=False)})
    machine.reconcile()
    ((path, headers, body),) = receiver.got
    said = json.loads(body)
    assert (path, said["event"], said["stack"]) == (HOOK, "run.waiting", "root/a")
    assert said["run"]["url"] == f"https://station.example.com/runs/{said['run']['id']}"
    proven = headers["X-Station-Timestamp"].encode() + b"." + body
    assert headers["X-Station-Signature"] == "sha256=" + hmac.new(KEY.encode(), proven, hashlib.sha256).hexdigest()
    assert headers["X-Station-Delivery"] == said["delivery"]
    machine.confirm("root/a")
    machine.reconcile()
    assert [json.loads(body)["event"] for _, _, body in receiver.got] == ["run.waiting", "run.finished"]
    assert told(machine) == [("root/tickets", "run.waiting", None), ("root/tickets", "run.finished", None)]
    value = machine.service.ports.metrics.registry.get_sample_value
    assert value("stationkeeper_notifications_total", {"type": "webhook", "result": "sent"}) == 2
    assert "very-secret" not in caplog.text
    assert KEY not in caplog.text


def test_each_notifier_is_tried_again_by_itself(
    repo: Repo, machine: Machine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500, 200]
    with receiving() as other:
        slack = document(
            "Notifier", "slack", {"type": "slack", "url": {"file": "hook"}, "events": ["run.failed"]} | HTTP
        )
        plain = {"type": "webhook", "url": other.url, "events": ["run.failed"]} | HTTP
        repo.commit(
            {"s.yaml": slack, "p.yaml": document("Notifier", "plain", plain), "a.yaml": a_script("a", "exit 1")}
        )
        machine.reconcile()
        now = utc_now()
        assert (len(other.got), len(receiver.got), left(machine)) == (1, 1, 1)
        assert "X-Station-Signature" not in other.got[0][1]
        assert told(machine) == [("root/plain", "run.failed", None)]
        assert "notifier root/slack cannot tell run.failed" in caplog.text
        send(machine, now)
        assert len(receiver.got) == 1, "it is not due yet"
        send(machine, now + timedelta(seconds=11))
        assert (len(other.got), len(receiver.got), left(machine)) == (1, 2, 0)
    first, second = (json.loads(body) for _, _, body in receiver.got)
    assert first == second
    assert "tracked run" in first["text"]
    assert told(machine)[1:] == [("root/slack", "run.failed", None)]
    value = machine.service.ports.metrics.registry.get_sample_value
    assert value("stationkeeper_notifications_total", {"type": "slack", "result": "retried"}) == 1


def test_a_receiver_that_stays_away_is_given_up_and_one_that_refuses_at_once(
    repo: Repo, machine: Machine, receiver: Receiver
) -> None:
    receiver.answers = [503]
    repo.commit({"n.yaml": a_notifier(), "a.yaml": a_script("a", "exit 1")})
    machine.reconcile()
    now = utc_now()
    for hour in range(1, ATTEMPTS + 2):
        send(machine, now + timedelta(hours=hour))
    gone = [("root/tickets", "run.failed", "the receiver answers 503")]
    assert (told(machine), left(machine), len(receiver.got)) == (gone, 0, ATTEMPTS)
    receiver.answers = [410]
    repo.commit({"b.yaml": a_script("b", "exit 1")})
    machine.reconcile()
    assert len(receiver.got) == ATTEMPTS, "the receiver is still left alone"
    send(machine, now + timedelta(hours=ATTEMPTS + 2))
    assert told(machine)[1:] == [("root/tickets", "run.failed", "the receiver answers 410")]
    assert (left(machine), len(receiver.got)) == (0, ATTEMPTS + 1)


@pytest.mark.parametrize("sent", [False, True], ids=["before it sent", "after it sent"])
def test_a_service_that_dies_loses_nothing_and_sends_once_more_at_most(
    repo: Repo, machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, *, sent: bool
) -> None:
    repo.commit({"n.yaml": a_notifier(), "a.yaml": a_script("a", "exit 1")})
    with monkeypatch.context() as patched:
        patched.setattr(Deliveries, "step", lambda *_, **__: False)
        patched.setattr(Deliveries, "is_idle", lambda *_: True)
        machine.reconcile()
    then = utc_now()
    with machine.service.store.writing() as transaction:
        (entry,) = transaction.claim_outbox(transaction.deliveries(then, 10), then, LEASE)
    if sent:
        gathered = machine.service.loop.deliveries._delivery(entry, then)
        assert gathered is not None
        assert gathered.ask().failed is None
    machine.restart()
    machine.service.loop.watcher.learn(then)
    send(machine, then)
    assert len(receiver.got) == sent, "another service may still be at it"
    for _ in range(2):
        send(machine, then + LEASE)
    assert (len(receiver.got), left(machine), len(told(machine))) == (1 + sent, 0, 1)
    assert len({headers["X-Station-Delivery"] for _, headers, _ in receiver.got}) == 1


def test_one_that_hangs_keeps_nothing_back(
    repo: Repo, machine: Machine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [None]
    asked = delivery.send
    monkeypatch.setattr(delivery, "send", lambda parcel, networks: asked(parcel, networks, 1.0))
    repo.commit({"n.yaml": a_notifier(events=["run.failed"]), "a.yaml": a_script("a", "exit 1")})
    repo.commit({name + ".yaml": a_script(name, "true") for name in "bcd"})
    look = machine.reconcile()
    assert {name: sync for name, sync in look.sync.items() if name != "root/a"} == dict.fromkeys(
        ("root/b", "root/c", "root/d"), "Synced"
    )
    assert (len(receiver.got), left(machine), told(machine)) == (1, 1, [])


def test_the_own_network_is_out_of_reach(repo: Repo, machine: Machine, receiver: Receiver) -> None:
    machine.settings = machine.settings.model_copy(update={"notify_networks": ()})
    repo.commit({"n.yaml": a_notifier(), "a.yaml": a_script("a", "exit 1")})
    machine.reconcile()
    ((_, _, why),) = told(machine)
    assert "not a public one" in str(why)
    assert (receiver.got, left(machine)) == ([], 0)


@pytest.mark.parametrize("kind", ["webhook", "slack"])
def test_what_is_broken_and_a_halt_are_told_once(repo: Repo, machine: Machine, receiver: Receiver, kind: str) -> None:
    spec = {"type": kind, "url": {"file": "hook"}, "events": ["broken", "halted"]}
    repo.commit({"n.yaml": document("Notifier", "ops", spec | HTTP), "a.yaml": a_script("a", "true")})
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", "true", contexts=["<nothing>"])})
    machine.reconcile()
    repo.git("reset", "-q", "--hard", "HEAD~1")
    for _ in range(2):
        machine.reconcile()
    broken, halted = (json.loads(body) for _, _, body in receiver.got)
    if kind == "webhook":
        assert (broken["event"], broken["count"], broken["changes"][0]["name"]) == ("broken", 1, "a")
        assert (halted["event"], halted["halt"]["reason"]) == ("halted", "HistoryRewritten")
        assert halted["url"] == "https://station.example.com/"
    else:
        assert broken["text"].startswith("*broken*: 1 change of the configuration")
        assert "<nothing>" not in broken["text"]
        assert halted["text"].startswith("*admission is halted*: HistoryRewritten")
    assert told(machine) == [("root/ops", "broken", None), ("root/ops", "halted", None)]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_mail_tells_of_runs_and_of_the_configuration(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    password = tmp_path / "mail-password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    with posting() as postbox:
        machine.restart(
            mail_server=postbox.url,
            mail_from="station@example.com",
            mail_user="station",
            mail_password_file=password,
        )
        spec = {"type": "mail", "to": ["ada@example.com"], "events": ["run.failed", "broken"]}
        elsewhere = {**spec, "to": ["eve@evil.example"]}
        repo.commit(
            {
                "n.yaml": document("Notifier", "mail", spec) + "---\n" + document("Notifier", "outside", elsewhere),
                "a.yaml": a_script("a", "exit 1"),
            }
        )
        machine.reconcile()
        repo.commit({"b.yaml": a_script("b", "true", contexts=["nothing"])})
        machine.reconcile()
    run, broken = sorted((message for _, message in postbox.got), key=lambda it: it["Subject"], reverse=True)
    assert run["Subject"].startswith("root/a: tracked run ")
    assert "https://station.example.com/runs/" in run.get_content()
    assert broken["Subject"] == "broken: 1 change of the configuration"
    assert sorted(told(machine), key=str) == [
        ("root/mail", "broken", None),
        ("root/mail", "run.failed", None),
        ("root/outside", "broken", "the setting mail_domains does not allow mail to evil.example"),
        ("root/outside", "run.failed", "the setting mail_domains does not allow mail to evil.example"),
    ]
