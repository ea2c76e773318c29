"""How one commit's changes are held, once they are found to be without the right."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rbac.admission.held import HeldChange, HoldKey
from rbac.admission.holds import Holds
from rbac.admission.judge import Missing
from rbac.admission.judged import Judged
from spaces.documents.changes import DocumentChange
from spaces.documents.documents import Placed
from spaces.held_documents import HeldDocument
from spaces.in_force import InForce
from spaces.names import ResourceRef, Revision


@dataclass(frozen=True, slots=True)
class Wrong:
    """A document that was put under a name without the right, and the change of the name that it would be."""

    change: DocumentChange
    placed: Placed
    missing: Missing

    @property
    def file(self) -> str:
        """The file that it is in."""
        return self.placed.resource.file


@dataclass(frozen=True, slots=True)
class Holding:
    """Puts changes of a commit after `before` among the holds."""

    before: InForce
    revision: Revision
    judged: Judged
    holds: Holds

    def renew(self, before: Mapping[HoldKey, HeldChange], names: Collection[str]) -> None:
        """Hold again what is held still and has other files now: an approval of what it was before counts no more."""
        for key, old in list(self.holds.changes.items()):
            if old.id in names and old is before.get(key):
                message = f"{old.message}; its files were changed by {self.judged.name} since"
                name = HeldChange.of(old.ref, old.verb, old.person, old.missing, self.revision, "", file=old.file).id
                self.holds.changes[key] = replace(old, id=name, revision=self.revision, message=message)

    def stay(self, ref: ResourceRef, wrong: Sequence[Wrong]) -> bool:
        """Let a name stay as it was, for documents that took its place without the right."""
        old = self.before.catalog.written(ref)
        first = next((each for each in wrong if old and each.file == old.resource.file), wrong[0])
        again = self.holds.put(self.as_held(first.change, first.missing, document=self._name(first)))
        others = [each for each in wrong if each is not first]
        return self.aside(ref, others, (first.placed,)) | again

    def aside(self, ref: ResourceRef, wrong: Iterable[Wrong], rest: Sequence[Placed]) -> bool:
        """Hold documents by themselves: whatever else becomes of their name."""
        again = False
        old = self.before.catalog.written(ref)
        taken = rest[0].resource.file if rest else old.resource.file if old is not None else None
        for each in wrong:
            again |= self.holds.put(self.as_held(each.change, each.missing, taken, self._name(each), alone=True))
        return again

    def _name(self, wrong: Wrong) -> HeldDocument:
        return self.holds.next_copy(HeldDocument.of(wrong.placed))

    def as_held(
        self,
        change: DocumentChange,
        missing: Missing,
        taken: str | None = None,
        document: HeldDocument | None = None,
        *,
        alone: bool = False,
    ) -> HeldChange:
        """Make the hold of a change; `alone` of its document by itself, where the name is `taken` by another file."""
        who, right = self.judged.name, (missing.action, missing.space)
        message = f"{who} may not {change.verb} {change.ref}: {missing.message}"
        if taken is not None:
            message = f"{message}; {taken} has the name already"
        file = document.file if document is not None and alone else None
        documents = (document,) if document is not None else ()
        return HeldChange.of(
            change.ref, change.verb, who, right, self.revision, message, change.origin, file=file, documents=documents
        )
