"""Sending to real servers: those that take it, fail, hang and lead elsewhere."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.notifying import sending
from reconciler.notifying.sending import Parcel, send
from tests.integration.notifying.receiver import Receiver, receiving

LOOPBACK = [ip_network("127.0.0.1")]
PATH = "/services/T000/very-secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def to(url: str) -> Parcel:
    return Parcel(url, b'{"a": 1}', {"X-Station-Event": "run.failed"}, allow_http=True)


def test_a_receiver_gets_the_body_under_its_own_name(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert send(to(receiver.url + PATH), LOOPBACK) is None
    ((path, headers, body),) = receiver.got
    assert (path, body, headers["Content-Type"]) == (PATH, b'{"a": 1}', "application/json")
    assert (headers["Host"], headers["X-Station-Event"]) == (receiver.url.removeprefix("http://"), "run.failed")
    assert "very-secret" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "final"), [(302, True), (307, True), (404, True), (408, False), (429, False), (500, False), (503, False)]
)
def test_what_it_answers_is_judged_and_no_redirect_followed(receiver: Receiver, answer: int, *, final: bool) -> None:
    receiver.answers = [answer]
    failed = send(to(receiver.url + PATH), LOOPBACK)
    assert failed is not None
    assert (str(answer) in failed.why, failed.final) == (True, final)
    assert [path for path, _, _ in receiver.got] == [PATH]


def test_one_that_hangs_is_left(receiver: Receiver) -> None:
    receiver.answers = [None]
    failed = send(to(receiver.url + PATH), LOOPBACK, deadline=0.5)
    assert failed is not None
    assert (failed.why, failed.final, len(receiver.got)) == ("the receiver does not answer in time", False, 1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0", "2130706433"])
def test_the_own_machine_is_out_of_reach_unless_it_is_allowed(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    failed = send(to(f"http://{host}:{port}{PATH}"), ())
    assert failed is not None
    assert receiver.got == []
    assert "very-secret" not in failed.why


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no address",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://localhost:99999/x",
        "https://\n/very-secret",
    ],
)
def test_what_is_no_address_is_said_to_be_none(url: str) -> None:
    failed = send(to(url), LOOPBACK)
    assert failed is not None
    assert "very-secret" not in failed.why


def test_nobody_listens() -> None:
    with receiving() as gone:
        pass
    failed = send(to(gone.url + PATH), LOOPBACK)
    assert failed is not None
    assert (failed.why, failed.final) == ("the receiver cannot be reached: Connection refused", False)


def test_http_needs_to_be_allowed(receiver: Receiver) -> None:
    failed = send(Parcel(receiver.url, b"", {}), LOOPBACK)
    assert failed is not None
    assert ("http" in failed.why, receiver.got) == (True, [])


@pytest.mark.parametrize(("name", "why"), [("localhost", None), ("example.com", "its certificate is not valid")])
def test_the_certificate_is_that_of_the_name_and_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str | None
) -> None:
    file = tmp_path / "server.pem"
    a_certificate(file, name)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    monkeypatch.setattr(sending, "certificates", lambda: ssl.create_default_context(cafile=str(file)))
    with receiving(serving) as receiver:
        failed = send(Parcel(receiver.url + PATH, b"{}", {}), LOOPBACK)
        assert (len(receiver.got), failed is None) == ((1, True) if why is None else (0, False))
        assert failed is None or why is None or why in failed.why


def a_certificate(file: Path, name: str) -> None:
    """Write a key and a certificate for a name, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
