"""The caller of a request, and which spaces they see and what they may do. No other module of the API decides that.

The caller with the operator's token is the operator, who sees and may do everything. Every other token belongs to a
user or an API key, whose rights come from `rbac`; some of those were made by other issuers (`web.foreign_tokens`).
"""

from __future__ import annotations

import base64
import binascii
import math
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from rbac.access.access import Access
from rbac.access.actions import ACTIONS, BUILT_IN, Action
from rbac.access.subjects import Subject, SubjectKind
from rbac.identity import LOCAL_OPERATOR
from reconciler.metrics import Metrics
from reconciler.store.stored import ApiToken
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api_tokens import find_token, note_use
from reconciler.web.ports import Ports
from spaces.names import ROOT, SpaceName


class Right(StrEnum):
    """The rights that the routes require, as `<kind>:<verb>`."""

    SPACE_READ = "space:read"
    STACK_READ = "stack:read"
    STACK_DELETE = "stack:delete"
    STACK_LOCK = "stack:lock"
    STACK_UNLOCK = "stack:unlock"
    STACK_PIN = "stack:pin"
    CONTEXT_READ = "context:read"
    BLUEPRINT_READ = "blueprint:read"
    INSTANCE_CREATE = "blueprintInstance:create"
    INSTANCE_UPDATE = "blueprintInstance:update"
    INSTANCE_READ = "blueprintInstance:read"
    NOTIFIER_READ = "notifier:read"
    NOTIFIER_UPDATE = "notifier:update"
    BINDING_READ = "roleBinding:read"
    USER_UPDATE = "user:update"
    API_KEY_UPDATE = "apiKey:update"
    TFSTATE_READ = "tfstate:read"
    TFSTATE_WRITE = "tfstate:write"
    TFSTATE_UNLOCK = "tfstate:unlock"
    TASK_CREATE = "task:create"
    DRIFT_READ = "drift:read"
    DRIFT_CHECK = "drift:check"
    DRIFT_ACCEPT = "drift:accept"
    AUDIT_READ = "audit:read"
    RUN_READ = "run:read"
    RUN_TRIGGER = "run:trigger"
    RUN_PREVIEW = "run:preview"
    RUN_CONFIRM = "run:confirm"
    RUN_DISCARD = "run:discard"
    RUN_CANCEL = "run:cancel"
    RUN_RETRY = "run:retry"
    RUN_REVIEW = "run:review"
    RUN_REPLAN = "run:replan"
    RUN_PRIORITIZE = "run:prioritize"
    POOL_READ = "pool:read"
    POOL_DRAIN = "pool:drain"
    POOL_WORK = "pool:work"

    @property
    def action(self) -> Action:
        """The right as an action of the access rules."""
        kind, _, verb = self.value.partition(":")
        return Action(kind, verb)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, and the access rules of the moment. `access` is None for the operator, who may do everything."""

    person: str
    subject: Subject
    access: Access | None
    metrics: Metrics
    until: datetime | None = None
    """When the caller's token ends; None: never."""
    token: str | None = None
    """The id of the caller's token; None: the operator's."""
    _spaces: dict[Right, frozenset[SpaceName]] = field(default_factory=dict, repr=False, compare=False)
    """What was worked out for this request: a page asks several times, and there may be many spaces."""

    def may(self, action: Action, space: SpaceName) -> bool:
        """Whether the caller may do the action in the space."""
        allowed = self.access is None or self.access.decide(self.subject, action, space).allowed
        self.metrics.access_decided(str(action), allowed=allowed)
        return allowed

    def basis(self, action: Action, space: SpaceName) -> str:
        """Return the grant that a right of the caller rests on, in words."""
        if self.access is None:
            return "the operator's token"
        return self.access.decide(self.subject, action, space).because

    def allows(self, right: Right, space: SpaceName) -> bool:
        """Whether the caller has the right in the space."""
        return self.may(right.action, space)

    def require(self, right: Right, space: SpaceName, what: str) -> None:
        """Raise the error about a missing thing, which `what` names, if the caller lacks the right."""
        if not self.allows(right, space):
            raise self.nothing(right, what)

    def nothing(self, right: Right, what: str) -> ApiError:
        """Return the error for a thing that does not exist, or that the caller may not know of or may not change."""
        if self.access is None or right.action.verb == "read":
            return not_found(what)
        return not_found(f"{what} for which you have {right}")

    def spaces(self, right: Right) -> frozenset[SpaceName] | None:
        """Return the spaces in which the caller has the right, for a whole list at once; None: all."""
        if self.access is None:
            return None
        if right not in self._spaces:
            self._spaces[right] = self.access.spaces_where(self.subject, right.action)
        return self._spaces[right]

    def narrow(self, right: Right, wanted: Collection[SpaceName] | None) -> Collection[SpaceName] | None:
        """Return those of the wanted spaces in which the caller has the right; None: all."""
        able = self.spaces(right)
        if able is None:
            return wanted
        return able if wanted is None else able.intersection(wanted)

    @property
    def is_admin(self) -> bool:
        """Whether the caller may do everything everywhere: the operator, and admins of the root."""
        return self.access is None or self.access.rights(self.subject, ROOT) >= ACTIONS

    @property
    def sees_everything(self) -> bool:
        """Whether the caller may read everything. Answers about all spaces at once are only for such callers."""
        return self.access is None or self.access.rights(self.subject, ROOT) >= BUILT_IN["reader"]


def ports_of(request: Request) -> Ports:
    """Return the service that this app belongs to."""
    ports = request.app.state.ports
    if not isinstance(ports, Ports):
        raise TypeError("the app was not made by create_app")
    return ports


def shown_token(request: Request) -> str | None:
    """Return the token in `Authorization`: Bearer, or the password of Basic, which terraform's backend sends."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip() or None
        case "basic":
            try:
                decoded = base64.b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return None
            return decoded.partition(":")[2] or None
        case _:
            return None


def unauthorized(detail: str, scheme: str = "Bearer") -> ApiError:
    """Return the error for a missing or wrong token."""
    headers = {"WWW-Authenticate": f'{scheme} realm="stationkeeper"'}
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", detail, headers=headers)


def authenticate(request: Request) -> Caller:
    """Return the caller; raise 401 without a valid token."""
    token = shown_token(request)
    if token is None:
        raise unauthorized("a token is needed: send it as 'Authorization: Bearer …'")
    ports = ports_of(request)
    caller = caller_of(ports, token)
    if caller is None:
        raise unauthorized("this token is not valid")
    keep_pace(ports, caller)
    return caller


def keep_pace(ports: Ports, caller: Caller) -> None:
    """Count a request of the caller; raise 429 where it comes too early."""
    if caller.access is not None and (wait := ports.pace.wait(caller.token or caller.person)):
        detail = "this token makes more requests than it may"
        headers = {"Retry-After": str(math.ceil(wait))}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", detail, headers=headers)


def caller_of(ports: Ports, token: str) -> Caller | None:
    """Return whose token this is; None if it is nobody's."""
    if secrets.compare_digest(token.encode(), ports.operator_token.encode()):
        return operator(ports)
    if "." in token:
        # Before the documents, in which a key names whom it trusts: it raises as long as neither is known.
        access = ports.access()
        foreign = ports.foreigners.holder(token, ports.documents(), ports.now())
        if foreign is not None:
            subject = Subject(SubjectKind.API_KEY, foreign[0])
            return Caller(str(subject), subject, access, ports.metrics, foreign[1]) if access.knows(subject) else None
    found = find_token(ports.store, token, ports.now())
    if found is None:
        return None
    note_use(ports.store, found, ports.now())
    return holder(ports, found)


def operator(ports: Ports) -> Caller:
    """Return the operator, who may do everything."""
    return Caller("operator", LOCAL_OPERATOR, None, ports.metrics)


def holder(ports: Ports, token: ApiToken) -> Caller | None:
    """Return whose token this is by the access rules of the moment; None if its document has left Git."""
    access, subject = ports.access(), replace(Subject.parse(token.subject), idp_groups=frozenset(token.idp_groups))
    if not access.knows(subject):
        return None
    return Caller(str(subject), subject, access, ports.metrics, token.expires_at, token.id)


DOCUMENTED = Depends(HTTPBearer(auto_error=False, description="The operator's token, or a token created for you."))
"""Makes OpenAPI say that a token is needed. `authenticate` checks it."""


async def _ports(request: Request) -> Ports:
    """Return what `ports_of` does, without a thread for it: the framework starts one for each plain function."""
    return ports_of(request)


CallerIn = Annotated[Caller, Depends(authenticate)]
PortsIn = Annotated[Ports, Depends(_ports)]
