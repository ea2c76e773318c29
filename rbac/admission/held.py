"""Changes that wait for somebody who has the right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from rbac.access.actions import Action
from rbac.admission.pinning import UNKNOWN, HeldFiles
from spaces.documents.changes import Verb
from spaces.held_documents import HeldDocument
from spaces.names import Kind, ResourceRef, Revision, SpaceName


class HoldKey(NamedTuple):
    """What a hold is about: a name, or one file's documents of that name."""

    ref: ResourceRef
    file: str = ""


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change that is not in force. `missing` is the right that its person lacks, and the space where.

    What is in force of `ref` stays as it was. With `file` it is about what that file says of it alone, which does not
    count; what others say of it does. With `pin` it is about the files that a stack refers to: they stay as they were
    at that revision.
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
    file: str | None = None
    documents: tuple[HeldDocument, ...] | None = ()
    """The documents that were put there without the right; None: a record of an earlier version does not say."""

    @property
    def key(self) -> HoldKey:
        """What it is about: there is one hold about each."""
        return HoldKey(self.ref, self.file or "")

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
        file: str | None = None,
        documents: tuple[HeldDocument, ...] = (),
    ) -> HeldChange:
        """Make one; the same change gets the same id again."""
        words = [ref.kind, ref.space, ref.name, verb, revision, "files" if pin is not None else "document"]
        if file is not None:
            words.append(file)
        name = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
        return cls(name, ref, verb, person, missing, revision, message, origin, pin, files, file, documents)

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
            "file": self.file,
        }

    def to_record(self) -> dict[str, Any]:
        """Give all of it, to be stored."""
        origin = [self.origin.kind.value, self.origin.space, self.origin.name] if self.origin else None
        files = {} if self.pin is None else {"rightful": self.files.to_record()}
        documents = None if self.documents is None else [list(each[1:]) for each in self.documents]
        return self.to_json() | {"origin": origin, "pin": self.pin, "documents": documents} | files

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> HeldChange:
        """Read back what `to_record` gave."""
        origin, documents = record["origin"], record.get("documents")
        ref = ResourceRef(Kind(record["kind"]), SpaceName(record["space"]), record["name"])
        return cls(
            record["id"],
            ref,
            Verb(record["verb"]),
            record["person"],
            (Action.parse(record["missing"]["action"]), SpaceName(record["missing"]["space"])),
            Revision(record["revision"]),
            record["message"],
            ResourceRef(Kind(origin[0]), SpaceName(origin[1]), origin[2]) if origin else None,
            Revision(record["pin"]) if record["pin"] is not None else None,
            HeldFiles(record.get("rightful")),
            record.get("file"),
            None if documents is None else tuple(HeldDocument(ref, *each) for each in documents),
        )
