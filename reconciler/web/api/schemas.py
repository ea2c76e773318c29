"""The shapes that the API speaks, and nothing else speaks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")


class Shape(BaseModel):
    """Keys are camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True, frozen=True)


class Page(Shape, Generic[Item]):
    """One page of a list. `next` is the cursor of the next one; null: this is the last."""

    items: list[Item]
    next: str | None = None


class WhyJson(Shape):
    """One reason for a run."""

    component: str
    summary: str


class ConditionJson(Shape):
    """One answer about a stack: `True`, `False` or `Unknown`, why, and since when."""

    status: str
    reason: str
    message: str
    since: datetime


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
    last_run: LastRunJson | None
    autodeploy: bool
    suspended: bool
    retained: bool


class DependencyJson(Shape):
    """A stack at the other end of a dependency. `outputs`: each output in use, with the variable it is given in."""

    stack: str
    outputs: dict[str, str]


class StackDetailJson(StackJson):
    """A stack with those that it depends on, and those that depend on it, as far as the caller may read them."""

    dependencies: list[DependencyJson]
    dependents: list[DependencyJson]


class ChangeCountsJson(Shape):
    """How many resources a plan touches."""

    create: int
    update: int
    delete: int
    replace: int


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


class ResourceJson(Shape):
    """One thing that a stack left behind."""

    address: str
    type: str
    provider: str
    attributes: dict[str, Any]


class OutputJson(Shape):
    """One output; the value of a sensitive one is always null."""

    name: str
    value: Any
    sensitive: bool


class SealingJson(Shape):
    """The public key that values are sealed to."""

    recipient: str


class OriginJson(Shape):
    """The document that a value comes from; for a blueprint with its version, and the instance that it came by."""

    kind: str
    space: str
    name: str
    version: str | None = None
    instance: str | None = None


class ValueJson(Shape):
    """A value in effect, where it comes from, and who set it too and lost (the strongest first).

    `value` is null where it cannot be shown as text; `source` says where a value is kept that does not stand in the
    document, `size` is its length in bytes where that may be told.
    """

    name: str
    value: str | None
    source: str | None
    size: int | None
    origin: OriginJson
    overrides: list[OriginJson]


class HookJson(Shape):
    """A command around a phase; those of one phase run in this order."""

    when: str
    phase: str
    command: str
    origin: OriginJson


class SourceJson(Shape):
    """Where the stack's code is; no repository: the configuration's own."""

    repository: str | None
    branch: str | None
    path: str
    include: list[str]


class UsedContextJson(Shape):
    """A context in use, and how it came in: named, with its `priority`, or attached by `labels` (none: to all)."""

    space: str
    name: str
    how: str
    priority: int | None
    labels: dict[str, str] | None


class GuardrailJson(Shape):
    """A policy over a stack."""

    type: str
    enforcement: str
    origin: OriginJson


class EffectiveJson(Shape):
    """A stack's effective configuration; of the contexts in use the weakest comes first."""

    stack: str
    tool: str
    source: SourceJson | None
    contexts: list[str]
    attached: list[UsedContextJson]
    env: list[ValueJson]
    files: list[ValueJson]
    hooks: list[HookJson]
    policies: list[GuardrailJson]


class KeptJson(Shape):
    """A document of which an earlier version stays in force."""

    kind: str
    space: str
    name: str
    file: str
    revision: str
    because: str


class HaltJson(Shape):
    """Why nothing new comes into force."""

    reason: str
    message: str
    revision: str | None
    since: datetime


class CountsJson(Shape):
    """How much there is: stacks by sync, active runs by status, documents in force by kind."""

    stacks: dict[str, int]
    runs: dict[str, int]
    documents: dict[str, int]


class StatusJson(Shape):
    """How the service stands."""

    version: str
    ready: bool
    url: str | None
    branch: str | None
    generation: int
    attempted_revision: str | None
    admitted_revision: str | None
    changed_at: datetime | None
    halted: HaltJson | None
    kept: list[KeptJson]
    diagnostics: list[dict[str, Any]]
    counts: CountsJson


class SpaceJson(Shape):
    """A space, and how many stacks are in it (not below it) by sync."""

    name: str
    parent: str | None
    inherit: bool
    stacks: dict[str, int]


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


class MissingJson(Shape):
    """The right that somebody lacks, and where."""

    action: str
    space: str


class HeldJson(Shape):
    """A change that waits for somebody who has the right. `files`: it is about files that a stack refers to.

    With `file`, it is about what that file says alone, which does not count; what others say of the document does.
    `approvedBy` has given their word, and admission has not judged it yet.
    """

    id: str
    kind: str
    space: str
    name: str
    verb: str
    person: str
    missing: MissingJson
    revision: str
    message: str
    files: bool
    file: str | None = None
    approved_by: str | None


class AuditJson(Shape):
    """One row of the audit. `hash` is over `previous`, the hash of the row before, and the rest."""

    number: int
    event: str
    at: datetime
    person: str | None
    details: dict[str, Any]
    previous: str
    hash: str


class AuditCheckJson(Shape):
    """Whether the audit is whole; `fault` says what is wrong with the first row that is not."""

    whole: bool
    fault: str | None


class BlueprintJson(Shape):
    """One version of a blueprint."""

    space: str
    name: str
    version: str
    description: str | None


class BlueprintInputJson(Shape):
    """One input of a blueprint."""

    name: str
    type: str
    required: bool
    default: Any = None
    pattern: str | None
    min: float | None
    max: float | None
    options: list[str]
    description: str | None


class BlueprintDetailJson(BlueprintJson):
    """A blueprint's version with its inputs; `versions` are all that it has, the oldest first."""

    versions: list[str]
    inputs: list[BlueprintInputJson]


class RenderIn(Shape):
    """An instance to try out: by default in the blueprint's own space."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=64)
    inputs: dict[str, Any] = Field(default_factory=dict)
    space: str | None = Field(None, max_length=63)
    name: str = Field("example", max_length=63)


class DiagnosticJson(Shape):
    """One finding; file, line and column are null where no file is to blame."""

    severity: str
    code: str
    summary: str
    hint: str | None
    file: str | None
    line: int | None
    column: int | None


class RenderedJson(Shape):
    """The documents that an instance makes, secrets as references, and what is wrong with them."""

    documents: list[dict[str, Any]]
    diagnostics: list[DiagnosticJson]
