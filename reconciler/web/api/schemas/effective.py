"""A stack's effective configuration, each value with its origin."""

from __future__ import annotations

from reconciler.web.api.schemas.shapes import Shape


class OriginJson(Shape):
    """The document that a value comes from; for a blueprint with its version, and the instance that used it."""

    kind: str
    space: str
    name: str
    version: str | None = None
    instance: str | None = None


class ValueJson(Shape):
    """An effective value, its origin, and the documents that set it too and lost (the strongest first).

    `value` is null if it cannot be shown as text. `source` is the place of a value that is not in the document itself,
    and `size` its length in bytes if that may be shown.
    """

    name: str
    value: str | None
    source: str | None
    size: int | None
    origin: OriginJson
    overrides: list[OriginJson]


class FileJson(ValueJson):
    """A mounted file. `name` is its path; one that begins with `~/` is in the run's home."""

    executable: bool


class HookJson(Shape):
    """A command around a phase; the commands of one phase run in this order."""

    when: str
    phase: str
    command: str
    origin: OriginJson


class SourceJson(Shape):
    """Where the stack's code lies; without a repository, in the configuration's own.

    With a repository, one of `branch`, `tag`, `revision` and `semver` says what is followed of it.
    """

    repository: str | None
    branch: str | None = None
    tag: str | None = None
    revision: str | None = None
    semver: str | None = None
    path: str
    include: list[str]


class UsedContextJson(Shape):
    """A context in use, and why: named, with its `priority`, or attached by `labels` (empty: to all stacks)."""

    space: str
    name: str
    how: str
    priority: int | None
    labels: dict[str, str] | None


class IntegrationJson(Shape):
    """A cloud integration in use: why, what its tokens say, and whom they open in the plan and in the apply."""

    provider: str
    how: str
    audience: str
    subject: str
    plan: str | None
    apply: str | None
    origin: OriginJson


class GuardrailJson(Shape):
    """A policy over a stack."""

    type: str
    enforcement: str
    origin: OriginJson


class GitCredentialJson(Shape):
    """A Repository to which Git may sign in during a run, and the document that names it."""

    repository: str
    origin: OriginJson


class EffectiveJson(Shape):
    """A stack's effective configuration, with the weakest of its contexts first."""

    stack: str
    tool: str
    source: SourceJson | None
    contexts: list[str]
    attached: list[UsedContextJson]
    integrations: list[IntegrationJson]
    env: list[ValueJson]
    files: list[FileJson]
    hooks: list[HookJson]
    git_credentials: list[GitCredentialJson]
    policies: list[GuardrailJson]
