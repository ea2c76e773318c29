"""What a tool reports, the same shape for every tool: changes it plans, resources and outputs it leaves behind.

The run's own process imports this module, so it stays on the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

JsonValue = Any
"""Anything that JSON can say."""


class Action(StrEnum):
    """What a plan means to do to one resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    REPLACE = "replace"
    READ = "read"
    FORGET = "forget"
    """The tool stops looking after the resource, which stays as it is."""
    IMPORT = "import"
    """The tool takes over a resource that is there, and changes nothing else about it."""
    MOVE = "move"
    """The resource gets another address, and nothing else about it changes."""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One planned change. `before` and `after` hold plain values; whatever the tool marks sensitive is already gone."""

    address: str
    type: str
    provider: str
    action: Action
    before: JsonValue = None
    after: JsonValue = None
    moved_from: str | None = None
    """The address that the resource had, where the plan gives it another one, whatever else happens to it."""
    imported_id: str | None = None
    """The id under which the tool takes the resource over, whatever else happens to it."""


@dataclass(frozen=True, slots=True)
class OutputChange:
    """One output that a plan changes. Sensitive values are masked, unknown ones say so; None: there is no value."""

    name: str
    action: Action
    before: JsonValue = None
    after: JsonValue = None
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that exists after a run. `attributes` is what may be shown, without sensitive values."""

    address: str
    type: str
    provider: str
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Output:
    """One output value; a sensitive one is encrypted at rest and shown only as a mask."""

    name: str
    value: JsonValue
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class MadeBy:
    """The binary that made a plan, by its absolute path, and the version that it says it has."""

    binary: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan found. `has_changes` may be true without any `changes`, where a tool cannot name them."""

    has_changes: bool
    changes: tuple[ResourceChange, ...] = ()
    drifted: tuple[ResourceChange, ...] = ()
    """What the real world changed by itself since the last apply, where the tool can tell."""
    outputs: tuple[OutputChange, ...] = ()
    """The outputs that change, where the tool can tell before it applies."""
    present: tuple[Output, ...] = field(default=(), repr=False)
    """The outputs that are there, in clear, where nothing changes and the tool can tell. Never in a stored plan."""
    there: tuple[Resource, ...] | None = field(default=None, repr=False)
    """The resources that are there, where nothing changes and the tool can tell. Never in a stored plan."""
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    """What hooks found out for the policies, by name."""
    made_by: MadeBy | None = None
    """What made the plan, and alone may apply it; None where the tool has no binary of its own."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply left behind. `resources` is None where the tool cannot list them."""

    resources: tuple[Resource, ...] | None = None
    outputs: tuple[Output, ...] = ()
    by_plan: bool = False
    """Whether the resources are those that were there before, changed as the plan says; `resources` is None then."""


@dataclass(frozen=True, slots=True)
class ChangeCounts:
    """How many resources a plan touches, by action, and how many outputs it changes.

    A resource that is imported or moved, and changed as well, counts for both.
    """

    create: int = 0
    update: int = 0
    delete: int = 0
    replace: int = 0
    forget: int = 0
    import_: int = 0
    move: int = 0
    outputs: int = 0

    @classmethod
    def of(cls, planned: Planned) -> ChangeCounts:
        """Count a plan's changes; reads count as nothing."""
        actions = [change.action for change in planned.changes]
        return cls(
            actions.count(Action.CREATE),
            actions.count(Action.UPDATE),
            actions.count(Action.DELETE),
            actions.count(Action.REPLACE),
            actions.count(Action.FORGET),
            sum(change.action is Action.IMPORT or change.imported_id is not None for change in planned.changes),
            sum(change.action is Action.MOVE or change.moved_from is not None for change in planned.changes),
            len(planned.outputs),
        )

    def named(self) -> dict[str, int]:
        """Return the counts by the names that API, policies and tables use."""
        return {
            "create": self.create,
            "update": self.update,
            "delete": self.delete,
            "replace": self.replace,
            "forget": self.forget,
            "import": self.import_,
            "move": self.move,
            "outputs": self.outputs,
        }
