"""Runs, their plans and logs, and what was said of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.shapes import Shape
from reconciler.web.api.schemas.stacks import WhyJson


class ChangeCountsJson(Shape):
    """How many resources a plan touches, by action, and how many outputs it changes.

    A resource that is imported or moved, and changed as well, counts for both.
    """

    create: int
    update: int
    delete: int
    replace: int
    forget: int
    import_: int = Field(alias="import")
    move: int
    outputs: int


class VerdictJson(Shape):
    """What one policy said of a run's plan. `error`: it could not be evaluated, and messages say why."""

    policy: str
    type: str
    enforcement: str
    result: str
    messages: list[str]
    warnings: list[str]
    error: bool


class ReviewJson(Shape):
    """What somebody thinks of a run that waits."""

    person: str
    approve: bool
    note: str
    at: datetime


class ReviewRequest(Shape):
    """A yes or a no to a run that waits."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    approve: bool
    note: str = Field("", max_length=2000)


class PolicySampleJson(Shape):
    """What the policies over a run are asked, as a file for `station policy test` holds it."""

    input: dict[str, Any]


class RunJson(Shape):
    """A run."""

    id: str
    stack: str
    kind: str
    status: str
    phase: str | None
    reason: str
    message: str
    revision: str
    person: str | None
    why: list[WhyJson]
    changes: ChangeCountsJson
    needs_confirmation: bool
    confirmed_by: str | None
    cancel_requested: bool
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FollowJson(Shape):
    """A stack that runs after a run, because the run's plan changes an output that it uses."""

    output: str
    action: str
    stack: str


class WholeRunJson(RunJson):
    """A run, with what its policies and persons said of it, and the stacks that follow it and the caller may read."""

    awaits_approval: bool
    policies: list[VerdictJson]
    reviews: list[ReviewJson]
    follows: list[FollowJson]


class ResourceChangeJson(Shape):
    """One planned change; what the tool marks sensitive is not in it."""

    address: str
    type: str
    provider: str
    action: str
    before: Any = None
    after: Any = None
    moved_from: str | None = None
    imported_id: str | None = None


class OutputChangeJson(Shape):
    """One output that a plan changes; sensitive values are masked, what is not known before the apply says so."""

    name: str
    action: str
    before: Any = None
    after: Any = None
    sensitive: bool


class PlanJson(Shape):
    """What a run's plan found; `hasChanges` may be true without `changes`, where a tool cannot name them."""

    run: str
    has_changes: bool
    changes: list[ResourceChangeJson]
    drifted: list[ResourceChangeJson]
    outputs: list[OutputChangeJson]


class LogJson(Shape):
    """A piece of a run's log. Ask again from `next` until `ended`. Offsets are in bytes."""

    text: str
    next: int
    ended: bool
