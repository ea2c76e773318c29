"""Sign-ins to the page: a browser shows its secret, and the session leads to the token that was signed in with.

The rights are those of that token at the moment of each request. So a session ends at once with its token, or when its
user leaves Git. The database has a hash of the secret, and the browser never gets the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from rbac.access.subjects import Subject
from reconciler.runs.audit import Audited, about_token
from reconciler.store.stored import Session
from reconciler.tokens import revoke_tokens, token_hash
from reconciler.web.api.auth import Caller, caller_of, holder, operator
from reconciler.web.api_tokens import make_token, note_use, opens
from reconciler.web.ports import Ports

LASTS = timedelta(hours=12)
"""How long somebody stays signed in, if their token lasts that long."""
BY_PROVIDER = "sign-in"
"""Who made the tokens that stand for a sign-in with the identity provider."""
_LONGEST_SECRET = 100


def begin(ports: Ports, token: str) -> str | None:
    """Sign in with the text of a token; return the secret for the browser.

    None: nobody has such a token, or another issuer signed it. Such a one is for a program that brings it with each
    request; nothing in the database stands for it that a session could lead to.
    """
    caller = caller_of(ports, token)
    if caller is None or (caller.token is None and caller.access is not None):
        return None
    return _begin(ports, caller.token, token, caller.until)


def begin_by_provider(ports: Ports, subject: Subject) -> str:
    """Sign in somebody whom the identity provider knows; return the secret for the browser.

    A token of their own stands for the sign-in, so that it can be listed and revoked as others. Nobody has its text.
    """
    now = ports.now()
    with ports.store.writing() as transaction:
        text, token = make_token(transaction, subject, BY_PROVIDER, now, now + LASTS, name=BY_PROVIDER)
        transaction.append_audit([about_token(Audited.TOKEN_CREATED, token, str(subject), now)])
    return _begin(ports, token.id, text, token.expires_at)


def begin_as_operator(ports: Ports) -> str:
    """Sign in the operator, who has shown that they are it; return the secret for the browser."""
    return _begin(ports, None, ports.operator_token, None)


def caller_in(ports: Ports, secret: str) -> Caller | None:
    """Return who is signed in with this secret; None if nobody is, or not any more."""
    if len(secret) > _LONGEST_SECRET:
        return None
    now = ports.now()
    with ports.store.reading() as reading:
        session = reading.session(_id(secret))
        token = None if session is None or session.token is None else reading.api_token(session.token)
    if session is None or session.expires_at <= now:
        return None
    if session.token is None:
        same = secrets.compare_digest(session.proof, token_hash(ports.operator_token))
        return operator(ports) if same else None
    if token is None or not opens(token, session.proof, now):
        return None
    note_use(ports.store, token, now)
    return holder(ports, token)


def end(ports: Ports, secret: str) -> None:
    """Sign out: the secret opens nothing any more, nor what the sign-in itself made."""
    with ports.store.writing() as transaction:
        session = transaction.session(_id(secret))
        transaction.remove_session(_id(secret))
        token = transaction.api_token(session.token) if session is not None and session.token is not None else None
        if token is not None and token.created_by == BY_PROVIDER:
            revoke_tokens(transaction, [token])


def form_token(secret: str) -> str:
    """Return the value that every form of a session carries, so that no other site can send one for its person."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def _begin(ports: Ports, token: str | None, text: str, until: datetime | None) -> str:
    secret, now = secrets.token_urlsafe(32), ports.now()
    ends = now + LASTS if until is None else min(until, now + LASTS)
    with ports.store.writing() as transaction:
        transaction.add_session(Session(_id(secret), token, token_hash(text), now, ends))
    return secret


def _id(secret: str) -> str:
    return token_hash(secret)
