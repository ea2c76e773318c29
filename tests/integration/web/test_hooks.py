"""Webhooks of Git servers, signed as these sign them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.credentials.files import read_secret_file
from reconciler.web.hooks import MOST_BYTES
from reconciler.web.ports import Ports
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp

SECRET = "a-secret-of-some-length"
BODY = b'{"ref": "refs/heads/main", "pusher": {"name": "mallory"}}'


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


SIGNED = {
    "github": ("X-Hub-Signature-256", "sha256=" + signature(BODY)),
    "gitlab": ("X-Gitlab-Token", SECRET),
    "gitea": ("X-Gitea-Signature", signature(BODY)),
    "bitbucket": ("X-Hub-Signature", "sha256=" + signature(BODY)),
    "generic": ("X-Station-Signature", "sha256=" + signature(BODY)),
}


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "webhook-secret"
    file.write_text(SECRET + "\n", encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture
def hooks(ports: Ports, secret_file: Path) -> Iterator[Client]:
    taking = replace(ports, webhook_secret=lambda: read_secret_file(secret_file, "webhook_secret_file"))
    with Client(WarmApp(taking), token=None) as client:
        yield client


@pytest.mark.parametrize("sender", SIGNED)
def test_a_signed_webhook_wakes_the_loop_and_no_other_does(hooks: Client, woken: list[bool], sender: str) -> None:
    header, value = SIGNED[sender]
    for wrong in (
        {},
        {header: ""},
        {header: value[:-1]},
        {header: value.upper()},
        {header: "sha256=\xe4".encode("latin-1")},
    ):
        answer = hooks.post(f"/hooks/{sender}", content=BODY, headers=wrong)
        assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized"), wrong
        assert SECRET not in answer.text
    if sender != "gitlab":
        assert hooks.post(f"/hooks/{sender}", content=BODY + b" ", headers={header: value}).status_code == 401
    assert woken == []
    assert hooks.post(f"/hooks/{sender}", content=BODY, headers={header: value}).status_code == 202
    assert woken == [True]


def test_forgejo_signs_in_a_header_of_its_own(hooks: Client) -> None:
    assert hooks.post("/hooks/gitea", content=BODY, headers={"X-Forgejo-Signature": signature(BODY)}).status_code == 202


def test_a_new_secret_counts_at_once(hooks: Client, secret_file: Path) -> None:
    secret_file.write_text("another-secret-of-some-length", encoding="utf-8")
    header, value = SIGNED["github"]
    assert hooks.post("/hooks/github", content=BODY, headers={header: value}).status_code == 401
    renewed = "sha256=" + signature(BODY, "another-secret-of-some-length")
    assert hooks.post("/hooks/github", content=BODY, headers={header: renewed}).status_code == 202


@pytest.mark.parametrize(("text", "mode"), [("", 0o600), ("short", 0o600), (SECRET, 0o644)])
def test_a_secret_that_does_not_protect_is_not_used(  # noqa: PLR0917
    hooks: Client, woken: list[bool], secret_file: Path, caplog: pytest.LogCaptureFixture, text: str, mode: int
) -> None:
    header, value = SIGNED["github"]
    assert hooks.post("/hooks/github", content=BODY, headers={header: value}).status_code == 202
    secret_file.write_text(text, encoding="utf-8")
    secret_file.chmod(mode)
    shown = {"X-Hub-Signature-256": "sha256=" + signature(BODY, text or "\n")}
    answer = hooks.post("/hooks/github", content=BODY, headers=shown)
    assert (answer.status_code, answer.json()["reason"], woken) == (503, "SecretUnreadable", [True])
    assert str(secret_file) not in answer.text
    assert "webhook_secret_file" in caplog.text


def test_a_large_push_is_taken_and_an_endless_one_refused(hooks: Client, woken: list[bool]) -> None:
    large = b"x" * (1024 * 1024)
    shown = {"X-Hub-Signature-256": "sha256=" + signature(large)}
    assert hooks.post("/hooks/github", content=large, headers=shown).status_code == 202
    endless = b"x" * (MOST_BYTES + 1)
    shown = {"X-Hub-Signature-256": "sha256=" + signature(endless)}
    assert (hooks.post("/hooks/github", content=endless, headers=shown).status_code, woken) == (413, [True])


def test_there_are_no_webhooks_without_the_setting(client: Client, woken: list[bool]) -> None:
    header, value = SIGNED["github"]
    assert (client.post("/hooks/github", content=BODY, headers={header: value}).status_code, woken) == (404, [])


def test_there_are_none_of_unknown_servers(hooks: Client) -> None:
    header, value = SIGNED["github"]
    assert hooks.post("/hooks/sourcehut", content=BODY, headers={header: value}).status_code == 404
