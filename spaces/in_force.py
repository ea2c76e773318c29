"""What is in force: the newest version of every document that works, and the last one that did of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from spaces.blueprints.derived import evolve, remade
from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.directories import KeptDirectory, kept_directories, lost_directories, space_directories
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import moved_from
from spaces.effective.policies import guarded
from spaces.names import Kind, ResourceRef, Revision, SpaceName, StackId
from spaces.reading.resources import Resource
from spaces.rules.impact import impact
from spaces.settling import KeptBecause, Settled, Withheld, settle_documents

_NAMED = 5
"""How many documents a warning names."""

_NOTHING_HELD: Mapping[ResourceRef, KeptBecause] = {}


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that stays in force as it was at `revision`, although the newest one says otherwise.

    `waits_for` are the files whose repair may end it.
    """

    placed: Placed
    revision: Revision
    because: KeptBecause
    waits_for: tuple[str, ...] = ()

    @property
    def resource(self) -> Resource:
        """The version in force."""
        return self.placed.resource


@dataclass(frozen=True, slots=True, eq=False)
class InForce:
    """The documents that count, which always work together, and what is to be said about the others."""

    catalog: PlacedDocuments
    proposed: Catalog
    """The files of `revision`, with the directories whose space is kept; the next revision advances from it."""
    revision: Revision
    kept: Mapping[ResourceRef, Kept]
    pending: frozenset[ResourceRef]
    """Documents that Git has and that are not in force in any version. They have not left Git."""
    diagnostics: tuple[Diagnostic, ...]
    touched: frozenset[ResourceRef] = field(repr=False)
    """The documents that may differ from the state it was settled from."""
    _follows: PlacedDocuments | None = field(repr=False, default=None)

    def has_left(self, ref: ResourceRef) -> bool:
        """Say whether a document that was in force once really left Git: no broken file, no hold keeps it out."""
        return self.catalog.placed(ref) is None and ref not in self.pending


def settle(
    before: InForce | None,
    proposed: Catalog,
    changed: Collection[str],
    revision: Revision,
    keep: Mapping[ResourceRef, KeptBecause] = _NOTHING_HELD,
    *,
    free: Collection[ResourceRef] = (),
) -> InForce:
    """Find what is in force with a new revision, from what was.

    `changed` are the files by which `proposed` differs from `before.proposed`; it may hold other documents, too.
    `keep` is every document whose change is held: it stays as it was in `before`, or stays out. What needs a document
    that leaves keeps it. `free` may leave for good, although they stayed so far for a document that is held.
    """
    start = before or _nothing(revision)
    newly_held = proposed.held.every - start.proposed.held.every
    stuck = {ref for ref, kept in start.kept.items() if kept.because is KeptBecause.HELD}.difference(free)
    directories = space_directories(start.catalog, changed, (*start.kept, *keep)) | start.proposed.overrides.keys()
    stay = kept_directories(start.catalog, start.proposed, proposed, directories, keep.keys())
    about_rivals: set[Diagnostic] = set()
    while True:
        here = proposed.override({kept.directory: kept.space for kept in stay.values()})
        touched = _touched(start, here, changed, keep)
        withheld = _withheld(start, here, changed, keep, touched, stay)
        settled = settle_documents(start.catalog, here, touched, withheld, newly_held, stuck)
        lost = lost_directories(start.catalog, start.proposed, here, settled.documents)
        if not lost:
            break
        stay.update(lost)
        about_rivals.update(_about_rivals(lost, here, settled))
    told = {
        *here.diagnostics,
        *settled.diagnostics,
        *about_rivals,
        *_tell_directories(stay),
        *_tell_waiting(start, here, settled),
        *_tell_unreadable(start, here, settled),
        *_tell_left(start, here, settled, changed),
    }
    kept = {
        ref: Kept(placed, start.kept[ref].revision if ref in start.kept else start.revision, why.because, why.waits_for)
        for ref, why in settled.withheld.items()
        if (placed := settled.documents.written(ref)) is not None
    }
    pending = {ref for ref in touched if settled.documents.written(ref) is None and _wanted(ref, start, here, settled)}
    # What an instance made has not left Git either while the instance has not.
    pending.update(
        made.ref
        for ref in pending & start.catalog.expansions.keys()
        for made in start.catalog.expansions[ref].documents
        if settled.documents.placed(made.ref) is None
    )
    return InForce(
        settled.documents,
        here,
        revision,
        kept,
        frozenset(pending),
        tuple(sorted(told, key=lambda d: (d.sort_key, d.summary))),
        frozenset(touched) | remade(start.catalog, settled.documents),
        start.catalog,
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """What of an InForce the files of its revision do not say: to be remembered with that revision."""

    kept: Mapping[ResourceRef, Kept] = field(default_factory=dict)
    pending: frozenset[ResourceRef] = frozenset()
    directories: Mapping[str, SpaceName] = field(default_factory=dict)
    """The directories that stay with a space that their files do not name, or name no more."""

    @classmethod
    def of(cls, in_force: InForce) -> Self:
        """Take out of an InForce what is to be remembered."""
        return cls(in_force.kept, in_force.pending, in_force.proposed.overrides)


def restore(
    proposed: Catalog,
    recorded: Recorded,
    revision: Revision,
    keep: Mapping[ResourceRef, KeptBecause] = _NOTHING_HELD,
) -> InForce:
    """Find again what was in force when `revision` was settled, from its files and what was recorded.

    `proposed` is read anew from that very revision, and holds what was held then; `keep` are the documents whose
    change was. From there, `settle` goes on with newer revisions.
    """
    kept, pending = recorded.kept, recorded.pending
    here = proposed.override(recorded.directories)
    old = evolve(PlacedDocuments.empty(), {ref: each.placed for ref, each in kept.items()})
    left_out = {*pending, *keep} - kept.keys()
    touched = [ref for ref in dict.fromkeys((*here.refs(), *kept)) if ref not in left_out]
    withheld = {ref: Withheld(each.because, each.waits_for) for ref, each in kept.items()}
    settled = settle_documents(old, here, touched, withheld)
    outside = frozenset(ref for ref in here.refs() if settled.documents.written(ref) is None)
    base = InForce(settled.documents, here, revision, kept, outside.union(pending), (), frozenset())
    again = settle(base, proposed, (), revision, keep)
    return replace(again, touched=frozenset(again.catalog.refs()), _follows=None)


def differing(before: InForce | None, after: InForce) -> frozenset[ResourceRef]:
    """Give the documents that came, left, or mean something else; quickly when `after` was settled from `before`."""
    if before is None:
        return frozenset(after.catalog.refs())
    if before.catalog is after.catalog:
        return frozenset()
    if after._follows is before.catalog:  # noqa: SLF001
        candidates: Iterable[ResourceRef] = after.touched
    else:
        candidates = {*before.catalog.refs(), *after.catalog.refs()}
    return frozenset(ref for ref in candidates if _differs(before.catalog.placed(ref), after.catalog.placed(ref)))


def affected(before: InForce | None, after: InForce) -> frozenset[StackId]:
    """Give the stacks in force whose effective configuration may be another one now; never too few."""
    if before is None:
        return frozenset(after.catalog.stacks())
    changed = differing(before, after)
    reached = {
        StackId(ref.space, ref.name) for ref in impact(changed, before.catalog, after.catalog) if ref.kind is Kind.STACK
    } | guarded(changed, before.catalog, after.catalog)
    return frozenset(stack for stack in reached if after.catalog.placed(stack.ref))


def _nothing(revision: Revision) -> InForce:
    return InForce(PlacedDocuments.empty(), Catalog.empty(), revision, {}, frozenset(), (), frozenset())


def _differs(before: Placed | None, after: Placed | None) -> bool:
    return before is not after and not (before is not None and before.same(after))


def _wanted(ref: ResourceRef, start: InForce, proposed: Catalog, settled: Settled) -> bool:
    """Say whether a document that is not in force may still be in Git."""
    return proposed.declares(ref) or ref in settled.given_up or (ref in start.pending and bool(proposed.broken))


def _touched(
    start: InForce, proposed: Catalog, changed: Collection[str], keep: Mapping[ResourceRef, KeptBecause]
) -> set[ResourceRef]:
    """List the documents that may differ from what was in force."""
    touched = {*start.kept, *start.pending, *keep}
    paths = {*changed, *proposed.moved_files(start.proposed)}
    for catalog in (start.proposed, proposed):
        for path in paths & catalog.files.keys():
            touched.update(placed.ref for placed in catalog.files[path].placed)
    return touched


def _withheld(  # noqa: PLR0917
    start: InForce,
    proposed: Catalog,
    changed: Collection[str],
    keep: Mapping[ResourceRef, KeptBecause],
    touched: Collection[ResourceRef],
    stay: Mapping[str, KeptDirectory],
) -> dict[ResourceRef, Withheld]:
    """Find the documents that cannot take their proposed version, whatever the others do."""
    withheld = {ref: Withheld(because) for ref, because in keep.items()}
    in_order = sorted(stay.values(), key=lambda kept: (kept.because, kept.directory), reverse=True)
    spaces = {kept.ref: kept for kept in in_order}
    for kept in stay.values():
        if kept.rival is not None:
            # It did not work by itself, and must not do so only because the space that it drives out has stayed.
            files = tuple(sorted({each.resource.file for each in proposed.claimants(kept.rival)}))
            withheld.setdefault(kept.rival, Withheld(KeptBecause.BROKEN, files))
    hiding = tuple(sorted(path for path in changed if path in proposed.broken))
    origins = {moved_from(p.resource) for ref in touched if (p := proposed.placed(ref))} if hiding else set()
    waits: tuple[str, ...]
    for ref in touched:
        old = start.catalog.written(ref)
        if ref in withheld or (old is None and not proposed.declares(ref)):
            continue
        claimants = proposed.claimants(ref)
        if len(claimants) > 1:
            withheld[ref] = Withheld(KeptBecause.BROKEN, tuple(sorted({p.resource.file for p in claimants})))
        elif old is None or claimants:
            continue
        elif ref in spaces:
            kept = spaces[ref]
            waits = (old.resource.file,) if kept.because is KeptBecause.BROKEN else ()
            withheld[ref] = Withheld(kept.because, waits)
        elif waits := _hidden_in(start, proposed, old, () if ref in origins else hiding):
            withheld[ref] = Withheld(KeptBecause.BROKEN, waits)
    return withheld


def _hidden_in(start: InForce, proposed: Catalog, old: Placed, hiding: tuple[str, ...]) -> tuple[str, ...]:
    """List the broken files that a missing document may be in: its own, or one that changed as it went missing."""
    if old.resource.file in proposed.broken or old.resource.file in proposed.unreadable:
        return (old.resource.file,)
    kept = start.kept.get(old.ref)
    still = (path for path in (kept.waits_for if kept else ()) if path in proposed.broken)
    return tuple(sorted({*still, *hiding}))


def _about_rivals(lost: Mapping[str, KeptDirectory], proposed: Catalog, settled: Settled) -> Iterable[Diagnostic]:
    """Pick what was told about the spaces that would have had the lost directories."""
    rivals = [each for kept in lost.values() if kept.rival for each in proposed.claimants(kept.rival)]
    files = {each.resource.file for each in rivals}
    return (told for told in settled.diagnostics if told.position and told.position.file in files)


def _tell_directories(stay: Mapping[str, KeptDirectory]) -> Iterable[Diagnostic]:
    for kept in stay.values():
        if kept.users:
            count = len(kept.users)
            take = "still takes" if count == 1 else "still take"
            named = ", ".join(f"{user.kind} {user.name}" for user in kept.users[:_NAMED])
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            yield error(
                "still-in-use",
                f"{kept.ref} cannot leave: {named}{more} {take} it from its directory",
                kept.users[0].position(("metadata", "name")),
                "say metadata.space (with movedFrom, for a stack), or move the file",
            )


def _tell_unreadable(start: InForce, proposed: Catalog, settled: Settled) -> Iterable[Diagnostic]:
    """Say which files that held documents in force cannot be read any more, and why."""
    counts: Counter[str] = Counter()
    for ref, why in settled.withheld.items():
        old = start.catalog.written(ref)
        if old is not None and why.because is KeptBecause.BROKEN and not proposed.declares(ref):
            counts[old.resource.file] += 1
    for file, count in counts.items():
        why_not = proposed.unreadable.get(file)
        if why_not is not None:
            documents = "its document stays as it was" if count == 1 else f"its {count} documents stay as they were"
            summary = f"{file} cannot be read as YAML any more ({why_not.summary}); {documents}"
            yield error("unreadable-file", summary, why_not.position, "repair it, or delete the file")


def _tell_left(start: InForce, proposed: Catalog, settled: Settled, changed: Collection[str]) -> Iterable[Diagnostic]:
    """Say which documents leave because their file, which is still there, holds nothing of ours any more."""
    moved: set[ResourceRef | None] | None = None
    for path in sorted(proposed.others.intersection(changed)):
        was = start.proposed.files.get(path)
        left = sorted(
            placed.ref
            for placed in (was.placed if was else ())
            if start.catalog.placed(placed.ref) is not None
            and settled.documents.placed(placed.ref) is None
            and not proposed.declares(placed.ref)
        )
        if left and moved is None:
            moved = {moved_from(p.resource) for each in proposed.refs() for p in proposed.claimants(each)}
        gone = [str(ref) for ref in left if ref not in (moved or ())]
        if gone:
            more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
            summary = f"{path} holds no document any more, so these leave: {', '.join(gone[:_NAMED])}{more}"
            hint = "delete the file if that is meant; else see that each document begins with its apiVersion"
            yield Diagnostic(Severity.WARNING, "documents-left", summary, hint, Position(path))


def _tell_waiting(start: InForce, proposed: Catalog, settled: Settled) -> Iterable[Diagnostic]:
    """Say which documents are kept for another file than the one they were in."""
    for ref, why in settled.withheld.items():
        old = start.catalog.written(ref)
        if old is None or proposed.declares(ref) or why.because is not KeptBecause.BROKEN:
            continue
        if why.waits_for and old.resource.file not in why.waits_for:
            summary = f"{ref} left its file; it stays in force until {', '.join(why.waits_for)} is in order"
            yield Diagnostic(Severity.WARNING, "kept-in-force", summary, None, Position(why.waits_for[0]))
