"""One commit's changes, judged until what comes into force is only what its person may do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from rbac.access import Access
from rbac.actions import Action, on_document
from rbac.held import HeldChange
from rbac.identity import Person, Stranger
from rbac.judging import Judge, Missing
from rbac.pinning import FileChanges, HeldFiles, Uses
from rbac.rules import Rules
from spaces.catalog import Catalog
from spaces.changes import DocumentChange, Verb, changes
from spaces.effective import effective
from spaces.in_force import InForce, differing, settle
from spaces.names import ROOT, Kind, ResourceRef, Revision, StackId
from spaces.placed import Placed
from spaces.references import moved_from
from spaces.settling import KeptBecause


@dataclass(frozen=True, slots=True)
class Judged:
    """Whose change it is, and the rules by which it is judged; `judging` False admits it."""

    person: Person | Stranger
    access: Access
    judging: bool

    def judge(self, proposed: Catalog, made: Collection[ResourceRef] = ()) -> Judge:
        """Give the judge over what is proposed, beside what instances made."""
        return Judge(self.access, self.person, proposed, made)

    @property
    def name(self) -> str:
        """Name the person, for people."""
        return str(self.person.subject) if isinstance(self.person, Person) else f"unverified ({self.person.reason})"


@dataclass(slots=True)
class Step:
    """The search for what of a commit may come into force. `held` starts with what is held already."""

    before: InForce
    proposed: Catalog
    changed: Collection[str]
    revision: Revision
    judged: Judged
    held: dict[ResourceRef, HeldChange]
    versions: dict[ResourceRef, Placed | None] = field(default_factory=dict)
    """The documents that the commit changes, and the version of each that was judged last."""
    origins: set[ResourceRef] = field(default_factory=set)
    """The old places of stacks that this commit moves."""
    admitted_moves: set[ResourceRef] = field(default_factory=set)
    """Those of them that may be moved away from."""
    approved: frozenset[ResourceRef] = frozenset()
    """The held document that somebody approved."""
    whole: Missing | None = None
    """Why all of the commit is held."""

    def run(self, rules: Rules) -> InForce:
        """Find what is in force after the commit; afterwards `held` is what is held then."""
        self._judge_declared(self.proposed)
        after = self._settle()
        while self.judged.judging and (
            self._judge_declared(after.proposed)
            | self._judge_leaving(after)
            | self._judge_homeless(after)
            | self._judge_made(after)
            | self._judge_unmade(after)
        ):
            after = self._settle()
        leaving = self._leaving(after)
        stacks = self.before.catalog.counts().get(Kind.STACK, 0)
        if len(leaving) > rules.may_leave(stacks):
            self._hold_whole(after, len(leaving), stacks)
            after = self._settle()
        return after

    def _settle(self) -> InForce:
        keep = dict.fromkeys(self.held, KeptBecause.HELD)
        return settle(self.before, self.proposed, self.changed, self.revision, keep)

    # What the commit says

    def _judge_declared(self, here: Catalog) -> bool:
        """Judge every document that the commit declares otherwise; say whether what is held is another now."""
        again = False
        declared = redeclared(self.before.proposed, here, self.changed)
        moves = (self._change(ref, here) for ref in declared if ref.kind is Kind.STACK)
        self.origins.update(move.origin for move in moves if move is not None and move.origin is not None)
        # What was judged before is looked at again: a directory that stays with its space may have brought it back.
        for ref in sorted({*declared, *self.versions}):
            version = here.placed(ref)
            if ref in self.versions and _same(self.versions[ref], version):
                continue
            first = ref not in self.versions
            self.versions[ref] = version
            found = self._held(ref, here)
            if found is not None:
                again |= self._hold(found)
            elif first and self.held.pop(ref, None) is not None:
                again = True
        return again

    def _held(self, ref: ResourceRef, here: Catalog) -> HeldChange | None:
        change = self._change(ref, here)
        if change is None or not self.judged.judging:
            return None
        if change.verb is Verb.DELETE and ref in self.origins:
            # Judged with the stack's new place.
            return None
        missing = self._judge(change, here)
        return self._as_held(change, missing) if missing is not None else None

    def lacking(self, ref: ResourceRef) -> Missing | None:
        """Say which right is missing for a document to become what is proposed."""
        change = self._change(ref, self.proposed)
        return self._judge(change, self.proposed) if change is not None else None

    def _judge(self, change: DocumentChange, here: Catalog) -> Missing | None:
        missing = self.judged.judge(here, self.before.catalog.makers.keys()).change(change)
        if missing is None and change.origin is not None:
            self.admitted_moves.add(change.origin)
        return missing

    def _change(self, ref: ResourceRef, here: Catalog) -> DocumentChange | None:
        """Compare what is in force of a document with what is proposed; None when it is the same."""
        old, new = self.before.catalog.written(ref), here.placed(ref)
        if _same(old, new) and (new is not None or not here.declares(ref)):
            return None
        if old is None:
            origin = moved_from(new.resource) if new is not None and ref.kind is Kind.STACK else None
            left = self.before.catalog.placed(origin) if origin is not None else None
            if left is not None:
                return DocumentChange(ref, Verb.MOVE, left, new, origin)
            return DocumentChange(ref, Verb.CREATE, None, new)
        # What several documents claim, or a broken file hides, may be anything.
        verb = Verb.UPDATE if new is not None or here.declares(ref) else Verb.DELETE
        return DocumentChange(ref, verb, old, new)

    # What comes of it

    def _judge_leaving(self, after: InForce) -> bool:
        """Judge what leaves although this commit does not say so: a broken file or a held change kept it so far."""
        again = False
        for change in changes(self.before.catalog, after.catalog, differing(self.before, after)):
            ref = change.origin if change.verb is Verb.MOVE and change.origin is not None else change.ref
            if change.verb not in (Verb.DELETE, Verb.MOVE) or ref in self.admitted_moves:
                continue
            if self.before.catalog.written(ref) is None:
                continue  # judged with the instance that made it
            if ref in self.versions and ref not in self.origins:
                continue
            kept = self.before.kept.get(ref)
            if kept is not None and kept.because is not KeptBecause.HELD and not {*kept.waits_for} & {*self.changed}:
                continue
            left = DocumentChange(ref, Verb.DELETE, self.before.catalog.placed(ref), None)
            missing = self.judged.judge(after.proposed).change(left)
            if missing is not None:
                again |= self._hold(self._as_held(left, missing))
        return again

    def _judge_made(self, after: InForce) -> bool:
        """Judge what changes of what instances make, as if it had been written by hand.

        Where the right is missing, what brings the change is held: the instance, or the blueprint that it follows.
        """
        again = False
        for change in changes(self.before.catalog, after.catalog, differing(self.before, after)):
            made = [each.resource.made for each in (change.before, change.after) if each is not None]
            instances = {each.root for each in made if each is not None}
            if not instances:
                continue
            judge = self.judged.judge(after.proposed, self.before.catalog.makers.keys())
            missing = judge.change(change)
            if missing is None and self._comes_late(instances, after):
                missing = judge.beyond_that(change)
            if missing is None:
                continue
            # Held once: what is held changes nothing any more.
            for ref in set(self._behind(instances, after)) - self.held.keys():
                old, new = self.before.catalog.written(ref), after.catalog.written(ref)
                verb = Verb.CREATE if old is None else Verb.UPDATE if new is not None else Verb.DELETE
                why = f"it would {change.verb} {change.ref}, and {missing.message}"
                told = Missing(missing.action, missing.space, why)
                again |= self._hold(self._as_held(DocumentChange(ref, verb, old, new), told))
        return again

    def _comes_late(self, instances: Collection[ResourceRef], after: InForce) -> bool:
        """Say whether an instance comes into force by somebody else's change: it could not be worked out before."""
        asked = self.versions.keys() | self.approved
        return any(ref not in asked and self._differs(ref, after) for ref in instances)

    def _behind(self, instances: Collection[ResourceRef], after: InForce) -> Collection[ResourceRef]:
        """Find what changes that which instances make: they themselves, else their blueprints, else anything."""
        own = [ref for ref in instances if self._differs(ref, after)]
        if own:
            return own
        expansions = [it.catalog.expansions.get(ref) for ref in instances for it in (self.before, after)]
        used = {found.ref for each in expansions if each for found in each.uses.values() if found is not None}
        blueprints = [ref for ref in used if self._differs(ref, after)]
        return sorted(blueprints) or sorted(instances)

    def _differs(self, ref: ResourceRef, after: InForce) -> bool:
        return not _same(self.before.catalog.written(ref), after.catalog.written(ref))

    def _judge_unmade(self, after: InForce) -> bool:
        """Hold an instance that cannot be worked out yet, unless its author may make whatever it will be.

        Else what it makes would come into force by somebody else's commit, without its author's rights being asked.
        """
        again = False
        for ref in self.versions.keys() - self.held.keys():
            change = self._change(ref, after.proposed)
            missing = self.unmade(ref, after)
            if change is not None and missing is not None:
                again |= self._hold(self._as_held(change, missing))
        return again

    def unmade(self, ref: ResourceRef, after: InForce) -> Missing | None:
        """Say which right is missing for an instance that is not in force as proposed: what it makes is not known."""
        version = after.proposed.placed(ref)
        if ref.kind is not Kind.BLUEPRINT_INSTANCE or version is None or _same(after.catalog.written(ref), version):
            return None
        return self.judged.judge(after.proposed).anything(ref.space)

    def _judge_homeless(self, after: InForce) -> bool:
        """Hold what lies in a space that is not in force: whoever makes that space would decide where it ends up."""
        again = False
        for ref, version in self.versions.items():
            if version is None or ref in self.held or ref.kind is Kind.SPACE or after.catalog.tree.exists(ref.space):
                continue
            change = self._change(ref, after.proposed)
            if change is not None:
                action = on_document(ref.kind, change.verb)
                why = f"the space {ref.space} is not in force"
                again |= self._hold(self._as_held(change, Missing(action, ref.space, why)))
        return again

    # Too much at once

    def _leaving(self, after: InForce) -> list[ResourceRef]:
        found = changes(self.before.catalog, after.catalog, differing(self.before, after))
        gone = [change.ref for change in found if change.verb is Verb.DELETE and change.ref.kind is Kind.STACK]
        return [ref for ref in gone if after.has_left(ref)]

    def _hold_whole(self, after: InForce, leaving: int, stacks: int) -> None:
        why = (
            f"by this commit {leaving} of {stacks} stacks would leave Git, more than the destruction budget allows: "
            "nothing of it is in force until it is approved"
        )
        missing = self.whole = Missing(Action("stack", "delete"), ROOT, why)
        told = {
            change.ref: change for change in changes(self.before.catalog, after.catalog, differing(self.before, after))
        }
        for ref in self.versions:
            change = self._change(ref, after.proposed)
            if change is not None:
                told.setdefault(ref, change)
        for change in told.values():
            if any(each is not None and each.resource.made is None for each in (change.before, change.after)):
                self._hold(self._as_held(change, missing))
            if change.origin is not None:
                left = DocumentChange(change.origin, Verb.DELETE, change.before, None)
                self._hold(self._as_held(left, missing))

    # The files that stacks refer to

    def pin(
        self,
        pinned: Mapping[StackId, HeldChange],
        touched: Mapping[StackId, FileChanges],
        restored: Collection[StackId],
        after: InForce,
        uses: Uses,
    ) -> dict[StackId, HeldChange]:
        """Say which stacks' files stay as they were: those with a change in them that had not the right.

        All files of a stack come into force together: what somebody with the right changes beside it waits, too.
        """
        found = {}
        places = self._places(after)
        judge = self.judged.judge(after.proposed)
        for stack in {*pinned, *touched}:
            here = places.get(stack, stack)
            old, files = pinned.get(stack), touched.get(stack)
            if after.catalog.placed(here.ref) is None or (old is not None and stack in restored):
                continue
            missing = self.whole or (judge.files(stack) if self.judged.judging else None)
            if files is not None and missing is not None:
                held = self._pin(here, old, missing, files)
            elif old is not None and not (files is not None and not self.judged.judging):
                held = self._keep_pin(stack, here, old, files, after, uses)
            else:
                continue
            if not held.files.none:
                found[here] = held
        return found

    def _pin(self, here: StackId, old: HeldChange | None, missing: Missing, files: FileChanges) -> HeldChange:
        pin = old.pin if old is not None and old.pin is not None else self.before.revision
        held = (old.files if old is not None else HeldFiles()).with_held(files)
        message = f"{self.judged.name} changed files of {here}: {missing.message}"
        right = (missing.action, missing.space)
        return HeldChange.of(here.ref, Verb.UPDATE, self.judged.name, right, self.revision, message, None, pin, held)

    def _keep_pin(  # noqa: PLR0917
        self, stack: StackId, here: StackId, old: HeldChange, files: FileChanges | None, after: InForce, uses: Uses
    ) -> HeldChange:
        """Give what is held still after a change by somebody with the right."""
        differs = self._source(self.before, stack) != self._source(after, here)
        kept = replace(old, ref=here.ref, files=old.files.without(files or {}))
        if files is None and not differs:
            return kept
        rest, pin = kept.files.rightful, kept.pin or self.before.revision
        if rest is not None and not uses(effective(after.catalog, here), pin, rest.keys()):
            return replace(kept, files=HeldFiles())
        added = f"; {self.judged.name} changed other files of it since, and all stay as they were at {pin[:12]}"
        message = kept.message if added in kept.message else kept.message + added
        return replace(kept, message=message) if files is not None else kept

    def renew(self, before: Mapping[ResourceRef, HeldChange], refs: Collection[ResourceRef]) -> None:
        """Hold again what is held still and has other files now: an approval of what it was before counts no more."""
        for ref in refs:
            old = self.held.get(ref)
            if old is not None and old is before.get(ref):
                message = f"{old.message}; its files were changed by {self.judged.name} since"
                self.held[ref] = HeldChange.of(
                    ref, old.verb, old.person, old.missing, self.revision, message, old.origin, old.pin, old.files
                )

    def _places(self, after: InForce) -> dict[StackId, StackId]:
        found = changes(self.before.catalog, after.catalog, differing(self.before, after))
        return {
            StackId(change.origin.space, change.origin.name): StackId(change.ref.space, change.ref.name)
            for change in found
            if change.verb is Verb.MOVE and change.origin is not None
        }

    @staticmethod
    def _source(in_force: InForce, stack: StackId) -> object:
        configured = effective(in_force.catalog, stack)
        return configured.source, configured.spec.tool

    # Holding

    def _hold(self, change: HeldChange) -> bool:
        if self.held.get(change.ref) == change:
            return False
        self.held[change.ref] = change
        return True

    def _as_held(self, change: DocumentChange, missing: Missing) -> HeldChange:
        right = (missing.action, missing.space)
        message = f"{self.judged.name} may not {change.verb} {change.ref}: {missing.message}"
        return HeldChange.of(change.ref, change.verb, self.judged.name, right, self.revision, message, change.origin)


def redeclared(before: Catalog, after: Catalog, changed: Collection[str]) -> list[ResourceRef]:
    """List the documents that two catalogs declare otherwise; `changed` are the files that differ."""
    moved = after.moved_directories(before)
    paths = {*changed, *before.below(moved), *after.below(moved)}
    refs: set[ResourceRef] = set()
    for catalog in (before, after):
        for path in paths & catalog.files.keys():
            refs.update(placed.ref for placed in catalog.files[path].placed)
    return sorted(ref for ref in refs if not _same_claims(before.claimants(ref), after.claimants(ref)))


def _same_claims(one: tuple[Placed, ...], other: tuple[Placed, ...]) -> bool:
    return len(one) == len(other) and all(map(_same, one, other))


def _same(one: Placed | None, other: Placed | None) -> bool:
    return one is other or (one is not None and one.same(other))
