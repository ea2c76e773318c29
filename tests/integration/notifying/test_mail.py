"""Mail to a real SMTP server on loopback: one that takes it, refuses it, wants a sign-in, and is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciler.notifying.mail import Letter, MailServer, post
from tests.factories import NOW
from tests.integration.notifying.postbox import PASSWORD, Postbox, posting

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

LETTER = Letter(("ada@example.com", "bob@Ops.example.com"), "root/a: failed", "Zürich\n", "d1", NOW)


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    with posting() as postbox:
        yield postbox


@pytest.fixture
def server(postbox: Postbox) -> MailServer:
    return MailServer(postbox.url, "station@example.com", "station", PASSWORD, {"example.com", "ops.example.com"})


def test_a_letter_arrives_as_it_was_written(postbox: Postbox, server: MailServer) -> None:
    assert post(LETTER, server) is None
    ((recipients, message),) = postbox.got
    assert recipients == ["ada@example.com", "bob@Ops.example.com"]
    assert (message["From"], message["Subject"]) == ("station@example.com", "root/a: failed")
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<d1@example.com>", "auto-generated")
    assert message.get_content().splitlines() == ["Zürich"]


def test_what_goes_wrong_is_said_and_repeated_only_where_that_may_help(postbox: Postbox, server: MailServer) -> None:
    def failing(letter: Letter = LETTER, server: MailServer = server) -> tuple[str, bool]:
        failed = post(letter, server)
        assert failed is not None
        assert PASSWORD not in failed.why
        return failed.why, failed.final

    assert failing(replace(LETTER, to=("eve@evil.example",))) == (
        "the setting mail_domains does not allow mail to evil.example",
        True,
    )
    # A mail library reads two addresses in this one.
    hidden = "=?utf-8?q?eve=40evil.example=2C?=ada@example.com"
    assert failing(replace(LETTER, to=(hidden,))) == (f"{hidden} is not an address as it is written", True)
    assert failing(server=replace(server, password="wrong")) == ("the mail server refuses the sign-in (535)", False)
    assert failing(server=replace(server, user=None)) == ("the mail server answers 530", True)
    postbox.strangers = {"ada@example.com": "550 nobody"}
    assert failing() == ("the mail server refuses 1 of 2 recipients", True)
    postbox.strangers = dict.fromkeys(LETTER.to, "450 later")
    assert failing() == ("the mail server refuses the recipients (450)", False)
    assert failing(replace(LETTER, text="\udcff"))[0].startswith("it could not be sent")
    assert failing(server=replace(server, url="smtps" + server.url.removeprefix("smtp")))[0].startswith(
        "the mail server cannot be reached: "
    )
    assert failing(server=replace(server, url="smtp://127.0.0.1:1")) == (
        "the mail server cannot be reached: Connection refused",
        False,
    )
    assert len(postbox.got) == 1
