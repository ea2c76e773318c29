"""The holds about documents, while a commit is judged: what they keep as it was, and which documents do not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from rbac.admission.held import HeldChange, HoldKey
from spaces.catalog import Catalog
from spaces.documents.changes import Verb
from spaces.held_documents import HeldDocument
from spaces.in_force import Kept
from spaces.names import Kind, ResourceRef
from spaces.reading.resources import Resource
from spaces.settling import KeptBecause


@dataclass(slots=True)
class Holds:
    """The holds, by what they are about."""

    changes: dict[HoldKey, HeldChange]

    @classmethod
    def of(cls, changes: Iterable[HeldChange]) -> Self:
        """Gather them."""
        return cls({each.key: each for each in changes})

    def on(self, ref: ResourceRef) -> HeldChange | None:
        """Find the hold by which what is in force of a name stays as it was."""
        return self.changes.get(HoldKey(ref))

    def about(self, ref: ResourceRef, files: Iterable[str]) -> Iterator[HeldChange]:
        """List the holds about a name, and about what these files say of it."""
        keys = [HoldKey(ref), *(HoldKey(ref, file) for file in files)]
        return (self.changes[key] for key in keys if key in self.changes)

    def keep(self) -> dict[ResourceRef, KeptBecause]:
        """Give the names of which what is in force stays as it was."""
        return {key.ref: KeptBecause.HELD for key in self.changes if not key.file}

    def documents(self) -> frozenset[HeldDocument]:
        """Give the documents that do not count."""
        return frozenset(document for each in self.changes.values() for document in each.documents or ())

    def holding(self, documents: Iterable[HeldDocument]) -> HeldChange | None:
        """Find a hold about any of these documents."""
        wanted = frozenset(documents)
        return next((each for each in self.changes.values() if wanted.intersection(each.documents or ())), None)

    def put(self, change: HeldChange) -> bool:
        """Hold a change; say whether that is new. Documents that were held under the same key stay held."""
        old = self.changes.get(change.key)
        if old == change:
            return False
        left = [
            each for each in (old.documents or () if old is not None else ()) if each not in (change.documents or ())
        ]
        if change.file is not None:
            change = replace(change, documents=(*(change.documents or ()), *left))
            if old == change:
                return False
        self.changes[change.key] = change
        if change.file is None and old is not None:
            self._aside(replace(old, documents=tuple(left)))
        return True

    def end(self, ref: ResourceRef, taken: str | None) -> bool:
        """Let a name go on; what was written of it without the right is held by itself from now on.

        `taken` is the file that has the name. Say whether there was such a hold.
        """
        old = self.changes.pop(HoldKey(ref), None)
        if old is not None:
            self._aside(old, taken)
        return old is not None

    def release(self, change: HeldChange) -> None:
        """Let go of a hold and of its documents."""
        self.changes = {key: each for key, each in self.changes.items() if each != change}

    def next_copy(self, document: HeldDocument) -> HeldDocument:
        """Name one more document that says the same as those that are held of its file already."""
        held = {other for each in self.about(document.ref, [document.file]) for other in each.documents or ()}
        while document in held:
            document = document._replace(copy=document.copy + 1)
        return document

    def forget_copies(self, before: Catalog, after: Catalog, changed: Iterable[str]) -> None:
        """Of documents that are alike, some of them held, take those that leave for the held ones.

        One in whose place the file says something else of the same name does not leave, it changes.
        """
        for path in changed:
            old, new = before.files.get(path), after.files.get(path)
            if old is None or new is None:
                continue
            alike: dict[HeldDocument, list[HeldDocument]] = {}
            for document in before.held.by_file.get(path, ()):
                alike.setdefault(document._replace(copy=0), []).append(document)
            named = [_by_name(each.parsed.resources) if alike else {} for each in (old, new)]
            for first, copies in alike.items():
                was, now = (each.get((first.ref.kind, first.ref.name), []) for each in named)
                same = [sum(map(first.means, each)) for each in (was, now)]
                if same[0] > len(copies):
                    for document in copies[::-1][: max(0, min(len(was) - len(now), same[0] - same[1]))]:
                        self._forget(document)

    def _forget(self, document: HeldDocument) -> None:
        for each in list(self.about(document.ref, [document.file])):
            left = tuple(other for other in each.documents or () if other != document)
            if each.file is not None and not left:
                del self.changes[each.key]
            else:
                self.changes[each.key] = replace(each, documents=left)

    def tidy(self, proposed: Catalog) -> None:
        """Forget the documents that are not there any more, and the holds that were about them alone."""
        there = Counter(HeldDocument.of(placed) for ref in proposed.held_refs() for placed in proposed.held_at(ref))
        for document in sorted(self.documents()):
            alike = document._replace(copy=0)
            if there[alike]:
                there[alike] -= 1
            else:
                self._forget(document)

    def _aside(self, old: HeldChange, taken: str | None = None) -> None:
        """Hold the documents of a hold by themselves: it is the same change still."""
        for document in old.documents or ():
            told = f"{old.message}; {taken} has taken the name since" if taken is not None else old.message
            key = HoldKey(old.ref, document.file)
            name = old.id
            if any(each.id == name for each in self.about(old.ref, [document.file])):
                alone = HeldChange.of(old.ref, old.verb, old.person, old.missing, old.revision, "", file=document.file)
                name = alone.id
            there = self.changes.get(key) or replace(old, id=name, message=told, file=document.file, documents=())
            self.changes[key] = replace(there, documents=(*(there.documents or ()), document))


def _by_name(resources: Iterable[Resource]) -> dict[tuple[Kind, str], list[Resource]]:
    found: dict[tuple[Kind, str], list[Resource]] = {}
    for resource in resources:
        found.setdefault((resource.kind, resource.name), []).append(resource)
    return found


def with_documents(
    held: Iterable[HeldChange], proposed: Catalog, kept: Mapping[ResourceRef, Kept]
) -> Iterator[HeldChange]:
    """Find the documents of holds that an earlier version recorded without them: all but what is in force still."""
    for each in held:
        if each.documents is not None or each.pin is not None:
            yield each
            continue
        claimants, old = proposed.claimants(each.ref), kept.get(each.ref)
        wrong = [HeldDocument.of(placed) for placed in claimants if old is None or not placed.same(old.placed)]
        name: str | None = each.id
        if not wrong or (old is not None and len(wrong) == len(claimants)):
            yield replace(each, documents=tuple(wrong[:1]))
            name, wrong = None, wrong[1:]
        for file in sorted({document.file for document in wrong}):
            documents = tuple(document for document in wrong if document.file == file)
            alone = HeldChange.of(each.ref, each.verb, each.person, each.missing, each.revision, "", file=file)
            told = replace(each, id=name or alone.id, file=file, documents=documents)
            name = None
            yield told


def deletion(old: HeldChange) -> HeldChange:
    """Give what is left of a hold when what was written without the right is gone: what was there is gone too."""
    return replace(old, verb=Verb.DELETE, message=f"{old.message}; and that has left since", documents=())
