"""Changes that are not in force, as people see them: listed, shown, approved.

`entries` makes one of each held document, and `sources` of each stack whose files are held. The store keeps them for
whoever asks; admission itself goes on from the entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import basename
from typing import Any

from rbac.access.actions import Action
from spaces.composition.holds import Because
from spaces.diagnostics import printable
from spaces.documents.changes import Verb
from spaces.names import Kind, ResourceRef, Revision, SpaceName

MOST_FILES = 1000
"""Paths that a held source remembers. Of more, only an approval or a revert of all of them lets go."""


@dataclass(frozen=True, slots=True)
class HeldFiles:
    """The files of a stack's source that were changed without the right.

    `rightful` says of each path what lay there last by somebody who had the right; None: too many to remember.
    """

    rightful: Mapping[str, str] | None = field(default_factory=dict)

    def with_held(self, changes: Mapping[str, tuple[str, str]]) -> HeldFiles:
        """Add changes without the right, each with what was there before and after; what is put back is not held."""
        if self.rightful is None:
            return self
        rightful = dict(self.rightful)
        for path, (before, after) in changes.items():
            was = rightful.setdefault(path, before)
            if was == after:
                del rightful[path]
        return HeldFiles(rightful if len(rightful) <= MOST_FILES else None)

    def without(self, changes: Mapping[str, tuple[str, str]]) -> HeldFiles:
        """Leave out what somebody with the right has changed since: its content is theirs now."""
        if self.rightful is None:
            return self
        return HeldFiles({path: was for path, was in self.rightful.items() if path not in changes})

    @property
    def none(self) -> bool:
        """Whether nothing is held any more."""
        return self.rightful is not None and not self.rightful


UNKNOWN_FILES = HeldFiles(None)


@dataclass(frozen=True, slots=True)
class HeldChange:
    """A change that is not in force. `missing` is the right that its person lacks, and the space where.

    With `file` it is about a document in that file, which stays as it was. With `pin` it is about the files that a
    stack refers to: they stay as they were at that revision.
    """

    id: str
    ref: ResourceRef
    verb: Verb
    person: str
    missing: tuple[Action, SpaceName] | None
    revision: Revision
    message: str
    because: Because = Because.NO_RIGHT
    file: str | None = None
    pin: Revision | None = None
    files: HeldFiles = UNKNOWN_FILES
    at: Revision | None = None
    """As of which commit the document is in force; None: not at all."""
    unreadable: bool = False
    """Whether it is a file, or a part of one, of which nobody can tell what documents it holds."""

    @property
    def kind(self) -> str:
        """The kind of the document, as it is shown."""
        return "File" if self.unreadable else self.ref.kind.value

    @property
    def name(self) -> str:
        """The name of the document, as it is shown; of a file its own, without its directory."""
        return basename(self.ref.name) if self.unreadable else self.ref.name

    @property
    def what(self) -> str:
        """What is held, in words."""
        return f"File {self.file}" if self.unreadable else str(self.ref)

    @classmethod
    def of_source(  # noqa: PLR0917
        cls,
        ref: ResourceRef,
        person: str,
        missing: tuple[Action, SpaceName],
        revision: Revision,
        message: str,
        pin: Revision,
        files: HeldFiles,
    ) -> HeldChange:
        """Return a stack's held source; the same change gets the same id again."""
        words = [ref.kind, ref.space, ref.name, Verb.UPDATE, revision, "files"]
        name = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
        return cls(name, ref, Verb.UPDATE, person, missing, revision, message, pin=pin, files=files, at=pin)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is printed."""
        return {
            "id": self.id,
            "kind": self.kind,
            "space": self.ref.space,
            "name": self.name,
            "verb": self.verb.value,
            "person": self.person,
            "missing": {"action": str(self.missing[0]), "space": self.missing[1]} if self.missing else None,
            "because": self.because.value,
            "revision": self.revision,
            "message": printable(self.message),
            "files": self.pin is not None,
            "file": printable(self.file) if self.file is not None else None,
        }

    def to_record(self) -> dict[str, Any]:
        """Return all of it, to be stored."""
        rightful = None if self.files.rightful is None else dict(self.files.rightful)
        return self.to_json() | {
            "kind": self.ref.kind.value,
            "name": self.ref.name,
            "unreadable": self.unreadable,
            "message": self.message,
            "file": self.file,
            "pin": self.pin,
            "rightful": rightful,
            "at": self.at,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> HeldChange:
        """Read back what `to_record` returned."""
        missing = record["missing"]
        revision = {key: Revision(record[key]) if record.get(key) is not None else None for key in ("pin", "at")}
        return cls(
            record["id"],
            ResourceRef(Kind(record["kind"]), SpaceName(record["space"]), record["name"]),
            Verb(record["verb"]),
            record["person"],
            (Action.parse(missing["action"]), SpaceName(missing["space"])) if missing else None,
            Revision(record["revision"]),
            record["message"],
            Because(record.get("because", Because.NO_RIGHT.value)),
            record.get("file"),
            revision["pin"],
            HeldFiles(record.get("rightful")),
            revision["at"],
            record.get("unreadable", False),
        )
