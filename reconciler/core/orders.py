"""What somebody orders from a blueprint, and the record of the commit that the service made for it.

The API fills in a `Wanted` once it knows that the caller may; `loop.desired.ordering` makes the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rbac.access.subjects import Subject
from spaces.names import Revision, SpaceName


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


@dataclass(frozen=True, slots=True)
class Order:
    """An instance of a blueprint that somebody ordered, in a commit that lies on a branch of its own."""

    commit: Revision
    subject: str
    """Who ordered it, as `user:ada`: the commit counts as exactly theirs."""
    space: SpaceName
    name: str
    """The instance."""
    blueprint: str
    """As `space/name`."""
    version: str
    inputs: Mapping[str, Any]
    branch: str
    file: str
    at: datetime
    link: str | None = None
    """Where the Git server says that a merge request is opened."""
