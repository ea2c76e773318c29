"""Runs, their plans and logs, verdicts and reviews."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from reconciler.web.api.schemas.shapes import ChangeCountsJson, Shape, Written
from reconciler.web.api.schemas.stacks import SourceCommitJson, WhyJson


class VerdictJson(Shape):
    """The verdict of one policy on a run's plan. `error`: the policy could not be evaluated, and messages say why."""

    policy: str
    type: str
    enforcement: str
    result: str
    messages: list[str]
    warnings: list[str]
    error: bool


class ReviewJson(Shape):
    """A person's review of a waiting run. `author`: the person is one of those who caused the run."""

    person: str
    approve: bool
    author: bool
    note: str
    at: datetime


class TaskRequest(Shape):
    """A command to run in a stack's directory and environment, by a shell that stops at the first failure."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    command: str = Field(min_length=1, max_length=10_000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")


class PlanRequest(Shape):
    """What is planned: `ref` is a branch or commit of the configuration, null: what is in force."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    ref: str | None = Field(None, min_length=1, max_length=300, pattern=r"^[^\x00-\x20\x7f]+$")


class ProposedRefJson(Shape):
    """A branch or commit of the configuration that nobody has merged, and the commit that it was then."""

    ref: str
    revision: str


class ReplanRequest(Shape):
    """The addresses of the resources that are planned anew, as the plan names them; a module's means all in it."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    targets: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(min_length=1, max_length=100)


class ReviewRequest(Shape):
    """An approval or a rejection of a waiting run."""

    model_config = ConfigDict(extra="forbid", **Shape.model_config)

    approve: bool
    note: str = Field("", max_length=2000)


class PolicySampleJson(Shape):
    """The input of the policies over a run, in the form of a file for `station policy test`."""

    input: dict[str, Any]


class RunJson(Shape):
    """A run. `retry`: which retry by itself it is after failures of its tool, from 1; 0: none.

    `targets`: the addresses of the resources that it plans; all of them where there are none.
    `proposes`: it plans what somebody has pushed and nobody has merged.
    `frozen`: it waits for the end of a freeze window, and for nobody. `through`: who lets it through such windows.
    `pool`: the worker pool that starts it, as `space/name`; `default` is the service's own machine.
    """

    id: str
    stack: Written
    kind: str
    status: str
    phase: str | None
    reason: str
    message: str
    revision: str
    person: str | None
    source: SourceCommitJson | None
    why: list[WhyJson]
    changes: ChangeCountsJson
    needs_confirmation: bool
    confirmed_by: str | None
    frozen: bool
    through: str | None
    cancel_requested: bool
    attempt: int
    retry: int
    targets: list[str]
    proposes: ProposedRefJson | None
    prioritized: bool
    refreshes: bool
    pool: str
    phase_seconds: dict[str, float]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class PlaceJson(RunJson):
    """A run at work or in the queue. `waits`: why it has not started yet.

    `service`: the id of the service that it runs on, for readers of everything.
    """

    at_work: bool
    service: str | None
    waits: str | None


class WorkersJson(Shape):
    """How many places for runs a service has in a pool: taken ones and free ones."""

    pool: str
    service: str
    busy: int
    idle: int


class ReviewEffectJson(Shape):
    """Whether an approval policy takes a review into account, and what comes of it."""

    counts: bool
    because: str


class ReviewedRunJson(RunJson):
    """A run that was reviewed just now; `review` is null where it cannot be told what the review does."""

    review: ReviewEffectJson | None


class FollowJson(Shape):
    """A stack that runs after a run, because the run's plan changes an output that the stack uses."""

    output: str
    action: str
    stack: str


class WholeRunJson(RunJson):
    """A run with its verdicts, its reviews, and the stacks that follow it, if the caller may read them."""

    awaits_approval: bool
    policies: list[VerdictJson]
    reviews: list[ReviewJson]
    follows: list[FollowJson]


class ResourceChangeJson(Shape):
    """One planned change, without values that the tool marks as sensitive."""

    address: str
    type: str
    provider: str
    action: str
    before: Any = None
    after: Any = None
    moved_from: str | None = None
    imported_id: str | None = None


class OutputChangeJson(Shape):
    """One output that a plan changes. Sensitive values are masked; a value that only the apply reveals says so."""

    name: str
    action: str
    before: Any = None
    after: Any = None
    sensitive: bool


class PlanJson(Shape):
    """The result of a run's plan. `hasChanges` may be true without `changes` if a tool cannot name them.

    `facts` is what hooks found out for the policies, by name.
    `toolVersion` is the version of the tool that made it.
    """

    run: str
    tool_version: str | None
    has_changes: bool
    changes: list[ResourceChangeJson]
    drifted: list[ResourceChangeJson]
    outputs: list[OutputChangeJson]
    facts: dict[str, Any]


class LogJson(Shape):
    """A piece of a run's log. Ask again from `next` until `ended`. Offsets are in bytes."""

    text: str
    next: int
    ended: bool


class RevisionJson(Shape):
    """How far a revision of the configuration got. Of each stack, its newest run for it counts.

    `stacks` is how many it made run; `applied`, `running`, `waiting` and `failed` are among them. `run` stands for it:
    one that failed, else one that has not ended, else the newest. `finishedAt` is null while a run has not ended.
    """

    revision: str
    summary: str | None
    people: list[str]
    stacks: int
    applied: int
    running: int
    waiting: int
    failed: int
    run: str
    started_at: datetime
    finished_at: datetime | None
