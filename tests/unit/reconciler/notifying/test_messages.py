"""What receivers are told, and which addresses may be spoken to."""

import hashlib
import hmac
import json
from ipaddress import ip_address, ip_network

import pytest

from reconciler.core.results import ChangeCounts
from reconciler.core.runs import RunKind, RunStatus
from reconciler.notifying.addresses import is_allowed
from reconciler.notifying.messages import as_json, as_slack, event_of
from reconciler.notifying.sending import signed
from spaces.model.notifier import NotifierEvent
from tests.factories import NOW, REVISION, a_run

FAILED = a_run(
    "production/network",
    status=RunStatus.FAILED,
    reason="ToolFailed",
    message="<!channel> & <https://evil.example.com|here>",
    person="user:ada",
    changes=ChangeCounts(create=2),
)


def test_a_webhook_says_what_happened():
    told = json.loads(as_json(NotifierEvent.RUN_FAILED, FAILED, NOW, "d1", "https://s.example.com/runs/1"))
    run = told.pop("run")
    assert told == {
        "event": "run.failed",
        "delivery": "d1",
        "timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "stack": "production/network",
        "space": "production",
    }
    assert run["changes"]["create"] == 2
    assert (run["id"], run["status"], run["reason"], run["person"]) == (FAILED.id, "failed", "ToolFailed", "user:ada")
    assert (run["message"], run["revision"], run["url"]) == (FAILED.message, REVISION, "https://s.example.com/runs/1")


def test_text_for_slack_mentions_nobody_and_has_one_link():
    text = json.loads(as_slack(NotifierEvent.RUN_FAILED, FAILED, "https://s.example.com/runs/1"))["text"]
    assert text.startswith(f"<https://s.example.com/runs/1|production/network>: tracked run {FAILED.id} failed\n")
    assert text.count("<") == 1
    assert "&lt;!channel&gt; &amp; &lt;https://evil" in text
    assert "ToolFailed; 2 to create; by user:ada; revision" in text


@pytest.mark.parametrize(
    ("kind", "status", "reason", "event"),
    [
        (RunKind.TRACKED, RunStatus.UNCONFIRMED, "WaitsForConfirmation", "run.waiting"),
        (RunKind.TRACKED, RunStatus.INTERRUPTED, "Interrupted", "run.failed"),
        (RunKind.DRIFT, RunStatus.FINISHED, "Drifted", "drifted"),
        (RunKind.DRIFT, RunStatus.FAILED, "ToolFailed", "run.failed"),
        (RunKind.TRACKED, RunStatus.PLANNING, "Planning", None),
    ],
)
def test_a_run_is_an_event(kind, status, reason, event):
    assert event_of(a_run("root/a", kind=kind, status=status, reason=reason)) == event


def test_a_signature_covers_the_time():
    headers = signed(b"{}", "key", 1700000000)
    expected = hmac.new(b"key", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert headers == {"X-Station-Timestamp": "1700000000", "X-Station-Signature": f"sha256={expected}"}


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        *(
            (each, False)
            for each in (
                "127.0.0.1",
                "0.0.0.0",
                "10.1.2.3",
                "192.168.0.1",
                "100.64.0.1",
                "169.254.169.254",
                "224.0.0.1",
                "255.255.255.255",
                "::1",
                "::",
                "fe80::1",
                "fd00:ec2::254",
                "ff02::1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
            )
        ),
    ],
)
def test_only_public_addresses_are_spoken_to(address, allowed):
    assert is_allowed(ip_address(address), ()) is allowed


def test_named_networks_are_allowed_and_no_others():
    networks = [ip_network("10.1.0.0/16"), ip_network("::1")]
    asked = ("10.1.2.3", "10.2.2.3", "::1", "127.0.0.1", "::ffff:10.1.2.3")
    assert [is_allowed(ip_address(each), networks) for each in asked] == [True, False, True, False, True]
