"""The state of stacks, and what their last successful run left behind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.web.api.schemas.shapes import Shape


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


class StackJson(Shape):
    """A stack. `retained`: its document has left Git."""

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
    retained: bool


class DependencyJson(Shape):
    """A stack at the other end of a dependency. `outputs`: each output in use, with the variable that receives it."""

    stack: str
    outputs: dict[str, str]


class StackDetailJson(StackJson):
    """A stack with its dependencies and dependents, as far as the caller may read them."""

    dependencies: list[DependencyJson]
    dependents: list[DependencyJson]


class ResourceJson(Shape):
    """One resource that a stack left behind."""

    address: str
    type: str
    provider: str
    attributes: dict[str, Any]


class PlacedResourceJson(ResourceJson):
    """A resource with the stack that it belongs to."""

    stack: str


class OutputJson(Shape):
    """One output; the value of a sensitive one is always null."""

    name: str
    value: Any
    sensitive: bool
