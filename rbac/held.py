"""Changes that wait for somebody who has the right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from rbac.actions import Action
from rbac.pinning import UNKNOWN, HeldFiles
from spaces.changes import Verb
from spaces.names import Kind, ResourceRef, Revision, SpaceName


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change that is not in force. `missing` is the right that its person lacks, and the space where.

    With `pin` it is about the files that a stack refers to: they stay as they were at that revision.
    """

    id: str
    ref: ResourceRef
    verb: Verb
    person: str
    missing: tuple[Action, SpaceName]
    revision: Revision
    message: str
    origin: ResourceRef | None = None
    """Where a move comes from."""
    pin: Revision | None = None
    files: HeldFiles = UNKNOWN
    """Of those files, the ones that were changed without the right."""

    @classmethod
    def of(  # noqa: PLR0917
        cls,
        ref: ResourceRef,
        verb: Verb,
        person: str,
        missing: tuple[Action, SpaceName],
        revision: Revision,
        message: str,
        origin: ResourceRef | None = None,
        pin: Revision | None = None,
        files: HeldFiles = UNKNOWN,
    ) -> HeldChange:
        """Make one; the same change gets the same id again."""
        words = (ref.kind, ref.space, ref.name, verb, revision, "files" if pin is not None else "document")
        name = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
        return cls(name, ref, verb, person, missing, revision, message, origin, pin, files)

    def to_json(self) -> dict[str, Any]:
        """Give it as it is printed."""
        return {
            "id": self.id,
            "kind": self.ref.kind.value,
            "space": self.ref.space,
            "name": self.ref.name,
            "verb": self.verb.value,
            "person": self.person,
            "missing": {"action": str(self.missing[0]), "space": self.missing[1]},
            "revision": self.revision,
            "message": self.message,
            "files": self.pin is not None,
        }

    def to_record(self) -> dict[str, Any]:
        """Give all of it, to be stored."""
        origin = [self.origin.kind.value, self.origin.space, self.origin.name] if self.origin else None
        files = {} if self.pin is None else {"rightful": self.files.to_record()}
        return self.to_json() | {"origin": origin, "pin": self.pin} | files

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> HeldChange:
        """Read back what `to_record` gave."""
        origin = record["origin"]
        return cls(
            record["id"],
            ResourceRef(Kind(record["kind"]), SpaceName(record["space"]), record["name"]),
            Verb(record["verb"]),
            record["person"],
            (Action.parse(record["missing"]["action"]), SpaceName(record["missing"]["space"])),
            Revision(record["revision"]),
            record["message"],
            ResourceRef(Kind(origin[0]), SpaceName(origin[1]), origin[2]) if origin else None,
            Revision(record["pin"]) if record["pin"] is not None else None,
            HeldFiles(record.get("rightful")),
        )
