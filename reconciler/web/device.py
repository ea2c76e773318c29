"""Signing in a program that has no browser: it shows a code, and its person says yes to that code on the page.

The API's routes `login` ask and collect, the page `/device` confirms. The program holds a secret of its own, so the
code that people read and type opens nothing. The token that it gets belongs to the session in which its person said
yes: it ends no later, and with it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta

from rbac.access.subjects import Subject, SubjectKind
from reconciler.runs.audit import Audited, about_token
from reconciler.store.stored import ApiToken, DeviceLogin
from reconciler.tokens import token_hash
from reconciler.web.api.auth import Caller
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import Ports

LASTS = timedelta(minutes=10)
"""How long a code waits for somebody to say yes."""
MOST = 500
"""The most codes that wait at once: anybody may ask for one."""
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Without vowels, so that no code is a word."""


class TooManyLogins(Exception):
    """So many codes wait that nobody gets another one now."""


class NotConfirmed(Exception):
    """Nobody has said yes yet."""


def ask(ports: Ports, client: str) -> tuple[str, DeviceLogin]:
    """Return the secret of a program that wants to sign in, and its code; raise TooManyLogins."""
    secret, now = secrets.token_urlsafe(32), ports.now()
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    login = DeviceLogin(token_hash(secret), f"{letters[:4]}-{letters[4:]}", client, now, now + LASTS)
    with ports.store.writing() as transaction:
        if not transaction.add_device_login(login, MOST):
            raise TooManyLogins
    return secret, login


def waiting(ports: Ports, code: str) -> DeviceLogin | None:
    """Return the login that waits under a code, however it is typed; None if none does."""
    letters = "".join(letter for letter in code.upper() if letter in _LETTERS)
    with ports.store.reading() as reading:
        login = reading.device_login_of(f"{letters[:4]}-{letters[4:]}")
    return login if login is not None and login.token is None and login.expires_at > ports.now() else None


def can_confirm(caller: Caller) -> bool:
    """Whether a program can sign in as the caller: as a user, never as the operator or an API key."""
    return caller.access is not None and caller.subject.kind is SubjectKind.USER and caller.token is not None


def confirm(ports: Ports, caller: Caller, login: DeviceLogin) -> bool:
    """Let a program sign in as the caller; return False if it was too late."""
    confirmed = replace(
        login, subject=str(caller.subject), idp_groups=tuple(sorted(caller.subject.idp_groups)), token=caller.token
    )
    with ports.store.writing() as transaction:
        return transaction.confirm_device_login(confirmed)


def collect(ports: Ports, secret: str) -> tuple[str, ApiToken] | None:
    """Return the token of a program whose person said yes, once; NotConfirmed while nobody did. None: too late."""
    now = ports.now()
    with ports.store.writing() as transaction:
        login = transaction.device_login(token_hash(secret))
        if login is None or login.expires_at <= now:
            return None
        if login.subject is None or login.token is None:
            raise NotConfirmed
        transaction.remove_device_login(login.id)
        behind = transaction.api_token(login.token)
        if behind is None or (behind.expires_at is not None and behind.expires_at <= now):
            return None
        subject = replace(Subject.parse(login.subject), idp_groups=frozenset(login.idp_groups))
        until = behind.expires_at or now + timedelta(days=90)
        text, token = make_token(transaction, subject, str(subject), now, until, login.token, login.client)
        transaction.append_audit([about_token(Audited.TOKEN_CREATED, token, str(subject), now)])
    return text, token
