"""Apprise, in its process of its own: what it sends, and what its URLs cannot reach."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from reconciler.notifying.apprise import AppriseCall, call
from tests.integration.notifying.receiver import receiving

pytest.importorskip("apprise", reason="Apprise is not installed (pip install 'stationkeeper[apprise]')")
LOOPBACK = [ip_network("127.0.0.1")]


def test_what_is_sent_arrives_and_other_addresses_are_out_of_reach() -> None:
    with receiving() as receiver:
        url = f"json://{receiver.url.removeprefix('http://')}/very-secret"
        assert call(AppriseCall(url, "root/a", "it failed"), LOOPBACK) is None
        ((path, _, body),) = receiver.got
        assert (path, json.loads(body)["title"], json.loads(body)["message"]) == ("/very-secret", "root/a", "it failed")
        receiver.answers = [500]
        failed = call(AppriseCall(url, "t", "x"), LOOPBACK)
        assert failed is not None
        assert (failed.why, failed.final) == ("the receiver did not take it", False)
        forbidden = call(AppriseCall(url, "t", "x"), [])
        assert forbidden is not None
        assert ("not a public one" in forbidden.why, forbidden.final) == (True, True)
        assert len(receiver.got) == 2


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("no address", "Apprise does not know this url"),
        ("syslog://daemon", "the url wants a file or a program of this machine"),
        ("rsyslog://127.0.0.1", "the receiver's address is not a public one"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template={secret}", "the url wants a file or a program"),
    ],
)
def test_what_it_wants_of_this_machine_is_refused(url: str, why: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# hunter2")
    failed = call(AppriseCall(url.replace("{secret}", str(secret)), "t", "x"), [])
    assert failed is not None
    assert (failed.why.startswith(why), failed.final) == (True, True), failed
