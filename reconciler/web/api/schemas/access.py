"""Who may do what, and the tokens by which they do."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.shapes import Shape


class DecisionJson(Shape):
    """Whether somebody may do something, and what that rests on."""

    allowed: bool
    because: str


class HolderJson(Shape):
    """One who may do what was asked, and by what."""

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
    """For whom a token is to be made, and for how many seconds it is to open the API."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    subject: str = Field(max_length=200)
    seconds: float = Field(gt=0, le=10 * 366 * 86400)


class TokenJson(Shape):
    """A token of the API; the text to be shown at the door is never in it."""

    id: str
    subject: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    expired: bool


class NewTokenJson(TokenJson):
    """A token that was just made, with its text: this once, and never again."""

    token: str
