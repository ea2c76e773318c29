"""API tokens: create, list, revoke."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from fastapi import APIRouter

from rbac.access.subjects import Subject, SubjectKind
from reconciler.runs.audit import Audited, about_token
from reconciler.store.stored import ApiToken
from reconciler.tokens import revoke_tokens
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import ApiError, invalid, not_found
from reconciler.web.api.paging import CursorIn, LimitIn, behind, page
from reconciler.web.api.schemas.access import NewTokenJson, TokenJson, TokenRequest
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api_tokens import HOLDERS, make_token
from reconciler.web.ports import Ports
from spaces.names import ROOT

router = APIRouter(prefix="/tokens", tags=["tokens"])


@router.get("")
def list_tokens(ports: PortsIn, caller: CallerIn, limit: LimitIn = 100, cursor: CursorIn = None) -> Page[TokenJson]:
    """List tokens by id: the caller's own, and those of subjects whose document the caller may change."""
    with ports.store.reading() as reading:
        tokens = [token for token in reading.api_tokens() if _controls(caller, Subject.parse(token.subject))]
    cut = behind(tokens, cursor, limit, lambda token: token.id)
    return page(cut, limit, lambda token: token.id, lambda token: _shown(ports, token))


@router.post("", status_code=HTTPStatus.CREATED)
def create_token(ports: PortsIn, caller: CallerIn, wanted: TokenRequest) -> NewTokenJson:
    """Create a token for a user or an API key.

    Nobody can create one with more rights than their own, nor one that lasts longer than the token they use for it.
    """
    try:
        subject = Subject.parse(wanted.subject)
    except ValueError as wrong:
        raise invalid("subject", str(wrong)) from None
    if subject.kind not in HOLDERS:
        raise invalid("subject", "a token belongs to a user or an API key")
    access = ports.access()
    if not _controls(caller, subject) or not access.knows(subject):
        raise not_found(f"{subject} for whom you may create a token")
    beyond = () if caller.access is None or caller.subject.plain == subject else access.beyond(caller.subject, subject)
    if beyond:
        space, action = next(iter(beyond))
        detail = f"{subject} has rights that you lack, such as {action} in {space}"
        raise ApiError(HTTPStatus.FORBIDDEN, "Beyond", detail)
    now = ports.now()
    with ports.store.writing() as transaction:
        until = now + timedelta(seconds=wanted.seconds)
        until = until if caller.until is None else min(until, caller.until)
        # With a token of their own, people have what they have now: also by the groups of their sign-in.
        whose = caller.subject if caller.subject.plain == subject else subject
        text, token = make_token(transaction, whose, caller.person, now, until, caller.token, wanted.name)
        transaction.append_audit([about_token(Audited.TOKEN_CREATED, token, caller.person, now)])
    return NewTokenJson(token=text, **_shown(ports, token).model_dump())


@router.delete("/{token}")
def revoke_token(ports: PortsIn, caller: CallerIn, token: str) -> TokenJson:
    """Revoke a token at once, with all that were created with it."""
    with ports.store.writing() as transaction:
        found = transaction.api_token(token)
        if found is None or not _controls(caller, Subject.parse(found.subject)):
            raise not_found(f"token {token}")
        ended = revoke_tokens(transaction, [found])
        now = ports.now()
        transaction.append_audit([about_token(Audited.TOKEN_REVOKED, each, caller.person, now) for each in ended])
    return _shown(ports, found)


def _controls(caller: Caller, subject: Subject) -> bool:
    """Whether the caller may handle the subject's tokens: their own, or those of a subject that they may change."""
    right = Right.USER_UPDATE if subject.kind is SubjectKind.USER else Right.API_KEY_UPDATE
    return caller.subject.plain == subject or caller.allows(right, ROOT)


def _shown(ports: Ports, token: ApiToken) -> TokenJson:
    return TokenJson(
        id=token.id,
        subject=token.subject,
        name=token.name,
        used_at=token.used_at,
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        expired=token.expires_at is not None and token.expires_at <= ports.now(),
    )
