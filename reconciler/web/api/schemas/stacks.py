"""The state of stacks, and what their last successful run left behind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from reconciler.web.api.schemas.overview import WindowJson
from reconciler.web.api.schemas.shapes import ChangeCountsJson, Shape
from reconciler.web.api.schemas.tfstates import TfstateJson
from spaces.model.durations import LONG, parse_duration


class WhyJson(Shape):
    """One reason for a run."""

    component: str
    summary: str


class ConditionJson(Shape):
    """One condition of a stack: `True`, `False` or `Unknown`, the reason, and since when."""

    status: str
    reason: str
    message: str
    since: datetime


class SourceCommitJson(Shape):
    """The commit that made a source what it is; `repository` is null for the configuration repository."""

    repository: str | None
    revision: str
    author: str | None


class LastRunJson(Shape):
    """A stack's newest run, in short."""

    id: str
    kind: str
    status: str


class StackLockJson(Shape):
    """Who keeps a stack to themselves and why; `until` is null where somebody has to end it."""

    person: str
    note: str
    since: datetime
    until: datetime | None


class StackPinJson(Shape):
    """The earlier revision that a stack stays at, who asked for that and why; `in_force`: the service took it in."""

    revision: str
    source: SourceCommitJson | None
    person: str
    note: str
    since: datetime
    until: datetime | None
    in_force: bool = True


class LockRequest(Shape):
    """Why a stack is locked, and for how long, as 30m, 4h or 2d; null: until somebody ends it."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    note: str = Field(max_length=500)
    duration: str | None = Field(None, max_length=30, alias="for")

    @field_validator("note")
    @classmethod
    def _one_line(cls, note: str) -> str:
        note = note.strip()
        if not note or any(ord(letter) < ord(" ") for letter in note):
            raise ValueError("say why in one line")
        return note

    @field_validator("duration")
    @classmethod
    def _known(cls, duration: str | None) -> str | None:
        if duration is not None:
            parse_duration(duration, LONG)
        return duration


class PinRequest(LockRequest):
    """Which revision or run a stack stays at, why, and for how long; null: until somebody or a commit ends it."""

    at: str = Field(min_length=1, max_length=100)


class StackJson(Shape):
    """A stack. `retained`: its document has left Git.

    `pool`: the worker pool of its runs, as `space/name` or `default`; null for a stack that has left Git.
    """

    id: str
    space: str
    name: str
    tool: str | None
    labels: dict[str, str]
    sync: str
    reason: str
    why: list[WhyJson]
    conditions: dict[str, ConditionJson]
    desired_revision: str | None
    attempted_revision: str | None
    applied_revision: str | None
    applied_at: datetime | None
    source: SourceCommitJson | None
    applied_source: SourceCommitJson | None
    last_run: LastRunJson | None
    autodeploy: bool
    suspended: bool
    lock: StackLockJson | None
    pin: StackPinJson | None
    pool: str | None
    retained: bool


class DependencyJson(Shape):
    """A stack at the other end of a dependency. `outputs`: each output in use, with the variable or file it goes to."""

    stack: str
    outputs: dict[str, str]
    always: bool


class FrozenJson(Shape):
    """Until when nothing is applied, and the freeze windows that are open over the stack."""

    until: datetime
    windows: list[WindowJson]


class NextJson(Shape):
    """What comes by the clock, and when: the kind of the run, and the command of a task."""

    kind: str
    at: datetime
    command: str | None


class InterruptedJson(Shape):
    """What is known of an apply that was interrupted; `said`: the same in sentences."""

    run: str
    at: datetime | None
    planned: ChangeCountsJson
    tfstate: TfstateJson
    said: list[str]


class StackDetailJson(StackJson):
    """A stack with its dependencies and dependents, as far as the caller may read them, and what comes by the clock.

    `waits`: why its newest run has not started yet, while that is queued.
    """

    dependencies: list[DependencyJson]
    dependents: list[DependencyJson]
    next: list[NextJson]
    frozen: FrozenJson | None
    interrupted: InterruptedJson | None
    waits: str | None


class ResourceJson(Shape):
    """One resource that a stack left behind."""

    address: str
    type: str
    provider: str
    attributes: dict[str, Any]


class OutputJson(Shape):
    """One output; the value of a sensitive one is always null."""

    name: str
    value: Any
    sensitive: bool
