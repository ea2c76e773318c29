"""The state of the service, and its spaces."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.web.api.schemas.rollouts import RolloutJson
from reconciler.web.api.schemas.shapes import Shape


class SealingJson(Shape):
    """The public key to which values are sealed, and the path of the space that was asked for, if one may see it."""

    recipient: str
    path: str | None = None


class IssuerKeyJson(Shape):
    """The key that signs run tokens from now on."""

    key: str


class KeptJson(Shape):
    """A document of which an earlier version stays in force."""

    kind: str
    space: str
    name: str
    file: str
    revision: str
    because: str


class HaltJson(Shape):
    """Why admission is halted: nothing new comes into force."""

    reason: str
    message: str
    hint: str | None
    """What ends it, where that is known."""
    revision: str | None
    since: datetime


class PinnedJson(Shape):
    """A stack that is to stay at an earlier revision of itself: at which, who asked for that, and why."""

    stack: str
    revision: str
    person: str
    note: str
    until: datetime | None


class CountsJson(Shape):
    """The number of stacks by sync, of active runs by status, of documents in force by kind."""

    stacks: dict[str, int]
    runs: dict[str, int]
    documents: dict[str, int]


class FollowedJson(Shape):
    """A branch, tag, range of versions or commit of a source repository, and the revision of it in use.

    `ref` says in words which; `branch` and `tag` have its name. A range of versions has the tag that it led to.

    `verifiedFor`: the Repository that asks for signatures, where it is followed only as far as that accepts it.
    """

    url: str
    branch: str | None
    ref: str
    tag: str | None
    verified_for: str | None
    revision: str


class WindowJson(Shape):
    """A freeze window that is open: of which space, until when, and the role in it that lets runs through."""

    space: str
    until: datetime
    override: str | None


class ConfigurationJson(Shape):
    """How far the configuration was followed.

    Readers of everything see all diagnostics. Others see those of files in their spaces, and of their own held changes.
    """

    url: str | None
    branch: str | None
    generation: int
    attempted_revision: str | None
    admitted_revision: str | None
    changed_at: datetime | None
    halted: HaltJson | None
    diagnostics: list[dict[str, Any]]
    frozen: list[WindowJson]


class ServiceJson(Shape):
    """A service on this database. `leads`: it follows the configuration. `answers`: this is the one that was asked."""

    name: str
    host: str
    version: str
    leads: bool
    answers: bool
    seen_at: datetime


class StatusJson(ConfigurationJson):
    """The state of the service. Readers of everything see its sources and documents, and all services."""

    version: str
    ready: bool
    kept: list[KeptJson]
    sources: list[FollowedJson]
    counts: CountsJson
    pins: list[PinnedJson]
    rollouts: list[RolloutJson]
    services: list[ServiceJson]


class SpaceJson(Shape):
    """A space, and the number of stacks in it (not below it) by sync.

    `ready` and `stalled`: how many of those in Git have the condition.
    """

    name: str
    parent: str | None
    inherit: bool
    stacks: dict[str, int]
    ready: int
    stalled: int


class DocumentJson(Shape):
    """A document in force, without its content."""

    kind: str
    space: str
    name: str
    labels: dict[str, str]
    description: str | None
    file: str


class FetchJson(Shape):
    """When a look at the repositories was asked for."""

    asked: datetime
