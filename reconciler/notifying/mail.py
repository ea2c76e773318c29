"""Sends one message by mail, through the one server that the settings name.

A notifier chooses the recipients, in the domains that the settings allow; it never chooses a server.
"""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciler.notifying.sending import Failed, cause, certificates

_PATIENCE = 10.0
"""The seconds that the server has for each of its answers."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server as the settings name it; `url` is smtps://host:port or smtp://host:port."""

    url: str
    sender: str
    user: str | None
    password: str | None = field(repr=False)
    domains: Collection[str]
    """Where mail may go, in lower case."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent, and to whom. Each attempt has the same id, so that readers see a repetition once."""

    to: tuple[str, ...]
    subject: str
    text: str
    delivery: str
    at: datetime


def post(letter: Letter, server: MailServer) -> Failed | None:
    """Send it; return why that failed, None if the server took it for everybody."""
    elsewhere = sorted({domain for each in letter.to if (domain := _domain(each)) not in server.domains})
    if elsewhere:
        return Failed(f"the setting mail_domains does not allow mail to {', '.join(elsewhere)}", final=True)
    try:
        message = _message(letter, server.sender)
        # An encoded word in an address can stand for others, in any domain.
        read = [each.addr_spec for each in message["To"].addresses]
        if strange := [each for each in letter.to if each not in read]:
            return Failed(f"{strange[0]} is not an address as it is written", final=True)
        with _connected(server) as smtp:
            refused = smtp.send_message(message, to_addrs=letter.to)
    except Exception as error:  # noqa: BLE001 - the words of any other may repeat what is in the letter
        return _failed(error)
    if refused:
        # Another attempt would reach the others twice.
        return Failed(f"the mail server refuses {len(refused)} of {len(letter.to)} recipients", final=True)
    return None


def _failed(error: Exception) -> Failed:
    match error:
        case _NotEncrypted():
            why, final = "the mail server offers no encryption (STARTTLS)", False
        case smtplib.SMTPAuthenticationError():
            why, final = f"the mail server refuses the sign-in ({error.smtp_code})", False
        case smtplib.SMTPRecipientsRefused():
            codes = [code for code, _ in error.recipients.values()]
            why, final = f"the mail server refuses the recipients ({max(codes)})", min(codes) >= 500
        case smtplib.SMTPResponseException():
            why, final = f"the mail server answers {error.smtp_code}", error.smtp_code >= 500
        case TimeoutError():
            why, final = "the mail server does not answer in time", False
        case smtplib.SMTPException() | OSError():
            why, final = f"the mail server cannot be reached: {cause(error)}", False
        case _:
            why, final = f"it could not be sent ({type(error).__name__})", False
    return Failed(why, final)


class _NotEncrypted(Exception):
    """The server is elsewhere, and everybody on the way could read what it gets."""


@contextlib.contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    url = urlsplit(server.url)
    host, port = url.hostname or "", url.port or 0
    if url.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_PATIENCE, context=certificates())
    else:
        smtp = smtplib.SMTP(host, port, timeout=_PATIENCE)
    with smtp:
        if url.scheme == "smtp":
            _encrypt(smtp)
        if server.user is not None:
            smtp.login(server.user, server.password or "")
        yield smtp


def _encrypt(smtp: smtplib.SMTP) -> None:
    smtp.ehlo()
    if smtp.has_extn("starttls"):
        smtp.starttls(context=certificates())
    elif smtp.sock is None or not ip_address(smtp.sock.getpeername()[0]).is_loopback:
        raise _NotEncrypted


def _message(letter: Letter, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(letter.to)
    message["Date"] = format_datetime(letter.at)
    message["Subject"] = letter.subject
    message["Message-ID"] = f"<{letter.delivery}@{_domain(sender)}>"
    # So that no absence note answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()
