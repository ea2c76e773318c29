"""A commit that the service made because somebody ordered it: the record by which it counts as theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spaces.names import Revision, SpaceName


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
