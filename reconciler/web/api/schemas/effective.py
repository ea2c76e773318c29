"""A stack's effective configuration, each value with where it comes from."""

from __future__ import annotations

from reconciler.web.api.schemas.shapes import Shape


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
