"""Who calls, which spaces they see and what they may do: decided here and nowhere else.

Whoever shows the operator's token is the operator, who sees and may do everything.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from reconciler.web.api.errors import Problem, not_found
from reconciler.web.ports import Ports
from spaces.names import SpaceName


class Right(StrEnum):
    """What the routes ask for, as `<kind>:<verb>`."""

    SPACE_READ = "space:read"
    STACK_READ = "stack:read"
    STACK_SUSPEND = "stack:suspend"
    STACK_RESUME = "stack:resume"
    RUN_READ = "run:read"
    RUN_TRIGGER = "run:trigger"
    RUN_CONFIRM = "run:confirm"
    RUN_DISCARD = "run:discard"
    RUN_CANCEL = "run:cancel"
    RUN_RETRY = "run:retry"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `spaces` are those that are visible; None: every one."""

    person: str
    spaces: frozenset[SpaceName] | None = None

    def allows(self, right: Right, space: SpaceName) -> bool:
        """Say whether the caller has this right in that space."""
        return bool(right) and (self.spaces is None or space in self.spaces)

    def require(self, right: Right, space: SpaceName, what: str) -> None:
        """Refuse as if it did not exist where the right is missing; `what` names it."""
        if not self.allows(right, space):
            raise not_found(what)

    def narrow(self, wanted: Collection[SpaceName] | None) -> Collection[SpaceName] | None:
        """Cut a choice of spaces down to the visible ones; None: every one."""
        if self.spaces is None:
            return wanted
        return self.spaces if wanted is None else self.spaces.intersection(wanted)


def ports_of(request: Request) -> Ports:
    """Give the service that this app speaks for."""
    ports = request.app.state.ports
    if not isinstance(ports, Ports):
        raise TypeError("the app was not made by create_app")
    return ports


def shown_token(request: Request) -> str | None:
    """Read the token from `Authorization`: as Bearer, or as the password of Basic, which terraform's backend sends."""
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


def unauthorized(detail: str, scheme: str = "Bearer") -> Problem:
    """Give the answer for a missing or wrong token."""
    headers = {"WWW-Authenticate": f'{scheme} realm="stationkeeper"'}
    return Problem(HTTPStatus.UNAUTHORIZED, "Unauthorized", detail, headers=headers)


async def authenticate(request: Request) -> Caller:
    """Find out who calls; 401 for everybody without a valid token."""
    token = shown_token(request)
    if token is None:
        raise unauthorized("a token is needed: send it as 'Authorization: Bearer …'")
    if not secrets.compare_digest(token.encode(), ports_of(request).operator_token.encode()):
        raise unauthorized("this token is not valid")
    return Caller("operator")


DOCUMENTED = Depends(HTTPBearer(auto_error=False, description="The operator's token."))
"""Has OpenAPI say that a token is needed; `authenticate` is what checks it."""

CallerIn = Annotated[Caller, Depends(authenticate)]
PortsIn = Annotated[Ports, Depends(ports_of)]
