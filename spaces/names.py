"""The names that cross function borders: kinds, spaces, documents, stacks, digests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, NewType

NAME_PATTERN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(NAME_PATTERN)

API_VERSION = "stationkeeper/v1"

SpaceName = NewType("SpaceName", str)
"""The name of a space, unique in an installation."""

SpacePath = NewType("SpacePath", str)
"""The names of a space and of those above it, without the root's: `platform/production`. The root's own is `root`."""

Digest = NewType("Digest", str)
"""A lower-case hexadecimal hash."""

Revision = NewType("Revision", str)
"""A Git commit id: 40 lower-case hexadecimal digits."""

ROOT = SpaceName("root")
"""The space at the top of the tree, which always exists."""


class Kind(StrEnum):
    """The kinds of documents that the configuration repository may hold."""

    SPACE = "Space"
    ROLE = "Role"
    ROLE_BINDING = "RoleBinding"
    USER = "User"
    GROUP = "Group"
    API_KEY = "ApiKey"
    REPOSITORY = "Repository"
    STACK = "Stack"
    CONTEXT = "Context"
    BLUEPRINT = "Blueprint"
    BLUEPRINT_INSTANCE = "BlueprintInstance"
    POLICY = "Policy"
    CLOUD_INTEGRATION = "CloudIntegration"
    WORKER_POOL = "WorkerPool"
    NOTIFIER = "Notifier"


KINDS: frozenset[str] = frozenset(Kind)


def space_path(lineage: Sequence[SpaceName]) -> SpacePath:
    """Return the path of the first of some spaces, each of which is below the next, up to the root."""
    return SpacePath("/".join(reversed(lineage[:-1])) or ROOT)


def is_name(text: str) -> bool:
    """Whether `text` may name a document. A trailing newline is refused too."""
    return _NAME.fullmatch(text) is not None


class ResourceRef(NamedTuple):
    """One document by kind, space and name.

    The space of a Space is itself, so that its identity survives a change of parent.
    """

    kind: Kind
    space: SpaceName
    name: str

    def __str__(self) -> str:
        """Return `Kind space/name`, or `Space name` for a space."""
        return f"{self.kind} {self.name}" if self.kind is Kind.SPACE else f"{self.kind} {self.space}/{self.name}"


class StackId(NamedTuple):
    """A stack, written `space/name` wherever a person or a database row needs one string."""

    space: SpaceName
    name: str

    def __str__(self) -> str:
        """Return `space/name`."""
        return f"{self.space}/{self.name}"

    @property
    def ref(self) -> ResourceRef:
        """The reference to the stack's document."""
        return ResourceRef(Kind.STACK, self.space, self.name)

    @classmethod
    def parse(cls, text: str) -> StackId:
        """Parse `space/name`; raise ValueError with the reason for any other text."""
        space, slash, name = text.partition("/")
        if not slash or not is_name(space) or not is_name(name):
            raise ValueError(f"{text!r} is not a stack: write it as space/name")
        return cls(SpaceName(space), name)
