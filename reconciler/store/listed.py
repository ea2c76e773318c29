"""What a list of resources is asked for, beside its filter."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from spaces.names import SpaceName


@dataclass(frozen=True, slots=True)
class SharedIn:
    """Among which spaces the same resource is looked for; None: all."""

    spaces: Collection[SpaceName] | None


class ResourceBy(StrEnum):
    """What resources are grouped by."""

    SPACE = "space"
    STACK = "stack"
    PROVIDER = "provider"
    TYPE = "type"


class ResourceGroup(NamedTuple):
    """Some resources with the same space, stack, provider or type: their number, and that of their stacks."""

    name: str
    resources: int
    stacks: int
    drifted: int
    """How many of the stacks have drifted."""
    unready: int
    """How many of the stacks are not Ready."""
