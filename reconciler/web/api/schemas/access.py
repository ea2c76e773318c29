"""The shapes about access: decisions, roles, tokens."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.shapes import Shape


class MeJson(Shape):
    """Whose token a request carries; `until` is null for a token that does not end."""

    person: str
    until: datetime | None


class DecisionJson(Shape):
    """Whether somebody may do something, and the reason."""

    allowed: bool
    because: str


class AccessSettingsJson(Shape):
    """What the service's settings say about whose a change is, and about what is admitted."""

    identity: str
    admins: list[str]
    """The first admins, as the settings name them: all of them, or only the caller."""
    admins_complete: bool
    """Whether `admins` are all of them. They are for whoever may read the bindings of the root."""
    identity_forges: list[str]
    destroy_budget: float


class HolderJson(Shape):
    """A subject that may do the action, and the reason."""

    subject: str
    because: str


class RoleHeldJson(Shape):
    """A role that somebody holds in a space and everything below it."""

    role: str
    space: str
    actions: str
    because: str
    expires: datetime | None


class TokenRequest(Shape):
    """The subject that a new token is for, and the seconds that it is valid."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    subject: str = Field(max_length=200)
    seconds: float = Field(gt=0, le=10 * 366 * 86400)
    name: str | None = Field(None, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")


class TokenJson(Shape):
    """A token of the API, without its secret text."""

    id: str
    subject: str
    name: str | None
    used_at: datetime | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    expired: bool


class NewTokenJson(TokenJson):
    """A token that was just created, with its text, which is shown only this once."""

    token: str


class LoginRequest(Shape):
    """What a program that wants to sign in calls itself; its person reads that."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    client: str = Field(min_length=1, max_length=100, pattern=r"^[\x20-\x7e]+$")


class LoginJson(Shape):
    """The code that somebody confirms at `path` of the page, and the secret by which the program collects its token."""

    secret: str
    code: str
    path: str
    interval: int
    expires_at: datetime


class CollectRequest(Shape):
    """The secret of a program that wants to sign in."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    secret: str = Field(max_length=100)


class LoginTokenJson(Shape):
    """The token of a program whose person said yes, shown only this once."""

    token: str
    id: str
    subject: str
    expires_at: datetime | None


class AccessChangeJson(Shape):
    """Actions that a subject would gain or lose in a space, and likewise in `below` spaces under it."""

    subject: str
    space: str
    verb: str
    actions: str
    because: str
    below: int
