"""What somebody orders: an instance of a blueprint, for a commit that the service makes in their name.

The API fills in a `Wanted` once it knows that the caller may; `loop.desired.ordering` makes the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rbac.access.subjects import Subject
from spaces.names import SpaceName


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instance of a blueprint that somebody wants on a branch, and that works with what is in force."""

    subject: Subject
    because: str
    """What the right to it rests on."""
    space: SpaceName
    name: str
    blueprint: str
    """As `space/name`."""
    version: str
    document: Mapping[str, Any]
    file: str
    is_new: bool
    """False: an instance of this name is in force, in that file."""
    address: str | None
    """The person's own address, for the author line."""
