"""One commit's changes, judged until what comes into force is only what its person may do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from rbac.access.actions import Action, on_document
from rbac.admission.elsewhere import elsewhere, held_here, unplaced
from rbac.admission.held import HeldChange
from rbac.admission.holding import Holding, Wrong
from rbac.admission.holds import Holds, deletion
from rbac.admission.judge import Missing
from rbac.admission.judged import Judged
from rbac.admission.leaving import leaves_elsewhere, leaves_own_file, lost
from rbac.admission.redeclaring import added, redeclared, same, same_claims
from rbac.admission.settings import Rules
from spaces.catalog import Catalog
from spaces.documents.changes import DocumentChange, Verb, changes
from spaces.documents.documents import Placed
from spaces.documents.references import moved_from
from spaces.held_documents import HeldDocument
from spaces.in_force import InForce, differing, settle
from spaces.names import ROOT, Kind, ResourceRef, Revision, SpaceName
from spaces.settling import KeptBecause


@dataclass(slots=True)
class Step:
    """The search for what of a commit may come into force. `holds` starts with what is held already."""

    before: InForce
    proposed: Catalog
    changed: Collection[str]
    revision: Revision
    judged: Judged
    holds: Holds
    versions: dict[ResourceRef, tuple[Placed, ...]] = field(default_factory=dict)
    """The names whose documents the commit changes, each with what it has of them that counts, as judged last."""
    origins: set[ResourceRef] = field(default_factory=set)
    """The old places of stacks that this commit moves."""
    admitted_moves: set[ResourceRef] = field(default_factory=set)
    """Those of them that may be moved away from."""
    let_go: set[ResourceRef] = field(default_factory=set)
    """Names that may leave, although they stayed so far for a move that is held."""
    moved: set[HeldDocument] = field(default_factory=set)
    """What was held before, and lies elsewhere by this commit: nothing leaves for it."""
    approved: frozenset[ResourceRef] = frozenset()
    """The held document that somebody approved."""
    whole: Missing | None = None
    """Why all of the commit is held."""

    @property
    def holding(self) -> Holding:
        """Holds what is found to be without the right."""
        return Holding(self.before, self.revision, self.judged, self.holds)

    def run(self, rules: Rules) -> InForce:
        """Find what is in force after the commit; afterwards `holds` is what is held then."""
        self.holds.forget_copies(self.before.proposed, self.proposed, self.changed)
        after = self._declare(self.proposed)
        while self.judged.judging and (
            self._judge_leaving(after)
            | self._judge_homeless(after)
            | self._judge_made(after)
            | self._judge_unmade(after)
        ):
            after = self._declare(after.proposed)
        leaving = self._leaving(after)
        stacks = self.before.catalog.counts().get(Kind.STACK, 0)
        if len(leaving) > rules.may_leave(stacks):
            self._hold_whole(after, len(leaving), stacks)
            after = self._settle()
        was, now = self.before.proposed, after.proposed
        if now.held is not was.held or any(now.files.get(each) is not was.files.get(each) for each in now.held.by_file):
            self.holds.tidy(now)
        return replace(after, proposed=now.hold(self.holds.documents()))

    def _declare(self, here: Catalog) -> InForce:
        self._judge_declared(here.hold(self.holds.documents()))
        after = self._settle()
        while self._judge_declared(after.proposed):
            after = self._settle()
        return after

    def _settle(self) -> InForce:
        proposed, before = self.proposed.hold(self.holds.documents()), self.before
        if self.moved:
            before = replace(before, proposed=before.proposed.hold(before.proposed.held.every | self.moved))
        free = self.let_go | self.admitted_moves
        return settle(before, proposed, self.changed, self.revision, self.holds.keep(), free=free)

    # What the commit says

    def _judge_declared(self, here: Catalog) -> bool:
        """Judge every document that the commit declares otherwise; say whether what is held is another now.

        Spaces come first: where other documents lie may hang on what is held of them.
        """
        declared = redeclared(self.before.proposed, here, self.changed)
        for ref in declared:
            moves = (self._change(ref, (placed,)) for placed in here.claimants(ref) if ref.kind is Kind.STACK)
            self.origins.update(move.origin for move in moves if move is not None and move.origin is not None)
        # What was judged before is looked at again: a directory that stays with its space may have brought it back.
        every = sorted({*declared, *self.versions})
        spaces = [ref for ref in every if ref.kind is Kind.SPACE]
        return (
            self._judge_each([ref for ref in spaces if here.declares(ref)], here)
            or self._judge_each([ref for ref in spaces if not here.declares(ref)], here)
            or self._judge_second(here)
            or self._judge_said(here)
            or self._judge_unplaced(here)
            or self._judge_elsewhere(here)
            or self._judge_each([ref for ref in every if ref.kind is not Kind.SPACE], here)
        )

    def _judge_each(self, refs: Iterable[ResourceRef], here: Catalog) -> bool:
        again = False
        for ref in refs:
            claims = here.claimants(ref)
            first = ref not in self.versions
            if first or not same_claims(self.versions[ref], claims):
                again |= self._judge_name(ref, claims, here, first=first)
        return again

    def _judge_name(self, ref: ResourceRef, claims: tuple[Placed, ...], here: Catalog, *, first: bool) -> bool:
        """Judge each document that is new under a name, and then what becomes of the name without the wrong ones."""
        before = self.before.proposed.claimants(ref)
        new = added(before, claims)
        wrong = [each for placed in new if (each := self._judge_new(placed, claims, here)) is not None]
        left = {each.placed for each in wrong}
        rest = tuple(placed for placed in claims if placed not in left)
        self.versions[ref] = rest
        if same_claims(rest, before):
            gone = lost(ref, self.before, here, self.holds)
            if gone is None and first and not wrong:
                return self._let_go(ref, rest, here)
            if gone is None:
                comes_back = self._comes_back(ref, wrong)
                return self.holding.stay(ref, wrong) if comes_back else self.holding.aside(ref, wrong, rest)
            return self.holding.stay(ref, wrong) if wrong else first and self._judge_loss(gone, rest, here)
        if wrong and not rest:
            return self.holding.stay(ref, wrong)
        again = self._judge_rest(ref, rest, here, judged=len(rest) == 1 and rest[0] in new, first=first)
        return self.holding.aside(ref, wrong, rest) | again

    def _judge_new(self, placed: Placed, claims: Collection[Placed], here: Catalog) -> Wrong | None:
        if not self.judged.judging:
            return None
        ref, old = placed.ref, self.before.catalog.written(placed.ref)
        change = self._change(ref, (placed,))
        if change is None:
            # Only as what it was, where it was, it takes the name from nobody.
            file, content = placed.resource.file, placed.resource.content
            twins = [each for each in claims if each.resource.file == file and each.resource.content == content]
            if old is not None and file == old.resource.file and len(twins) == 1:
                return None
            change = DocumentChange(ref, Verb.UPDATE, old, placed)
        missing = self._judge(change, here)
        return Wrong(change, placed, missing) if missing is not None else None

    def _judge_rest(
        self, ref: ResourceRef, rest: tuple[Placed, ...], here: Catalog, *, judged: bool = False, first: bool = True
    ) -> bool:
        change = self._change(ref, rest)
        # What leaves for a stack's new place is judged with that.
        moved = change is not None and change.verb is Verb.DELETE and ref in self.origins
        if change is not None and self.judged.judging and not judged and not moved:
            missing = self._judge(change, here)
            if missing is not None:
                return self.holds.put(self.holding.as_held(change, missing))
        return first and self.holds.end(ref, rest[0].resource.file if rest else None)

    def _comes_back(self, ref: ResourceRef, wrong: Iterable[Wrong]) -> bool:
        """Say whether a name's own file, whose loss is held, says something of the name again."""
        standing, old = self.holds.on(ref), self.before.catalog.written(ref)
        if standing is None or standing.documents or old is None:
            return False
        return any(each.file == old.resource.file for each in wrong)

    def _judge_loss(self, gone: HeldChange, rest: tuple[Placed, ...], here: Catalog) -> bool:
        """Judge the end of what was written without the right: where the name's own file goes, the name does."""
        if leaves_elsewhere(gone, self.before, here):
            return self.holds.put(deletion(gone))
        again = self._judge_rest(gone.ref, rest, here)
        if gone.ref not in self.origins and self.holds.on(gone.ref) is None:
            self.let_go.add(gone.ref)
        return again

    def _let_go(self, ref: ResourceRef, rest: tuple[Placed, ...], here: Catalog) -> bool:
        """Let a name that stays for a held move leave, where somebody with the right takes it out of its own file."""
        kept = self.before.kept.get(ref)
        stuck = kept is not None and kept.because is KeptBecause.HELD and self.holds.on(ref) is None
        if not stuck or rest or ref in self.origins or not leaves_own_file(ref, self.before, here):
            return False
        change = self._change(ref, rest)
        if change is None or self._judge(change, here) is not None:
            return False
        self.let_go.add(ref)
        return True

    def _judge_second(self, here: Catalog) -> bool:
        """Hold the spaces that would have a directory if the one that has it left: who takes that out means none."""
        again = False
        for placed, known in self._written(here, "second") if self.judged.judging else ():
            if placed.ref not in known:
                change = self._change(placed.ref, (placed,))
                missing = self._judge(change, here) if change is not None else None
                if change is not None and missing is not None:
                    again |= self.holding.aside(
                        placed.ref, [Wrong(change, placed, missing)], here.claimants(placed.ref)
                    )
        return again

    def _judge_said(self, here: Catalog) -> bool:
        """Hold what its author means for a space whose document is held: it must not end up in another one."""
        again = False
        for placed, known in self._written(here, "placed") if here.held.every and self.judged.judging else ():
            space = here.space_said(placed.resource)
            if space is None or placed.ref in known or not self._holds_space(space, here):
                continue
            kind = placed.ref.kind
            ref = placed.ref if kind is Kind.SPACE else ResourceRef(kind, space, placed.ref.name)
            meant = Placed(ref, placed.resource, space if kind is Kind.SPACE else None)
            old = self.before.catalog.written(ref)
            change = DocumentChange(ref, Verb.CREATE if old is None else Verb.UPDATE, old, meant)
            why = f"the space {space}, which its directory would belong to, is not in force: it is held"
            missing = Missing(on_document(kind, change.verb), space, why)
            again |= self.holding.aside(ref, [Wrong(change, meant, missing)], here.claimants(ref))
        return again

    def _judge_unplaced(self, here: Catalog) -> bool:
        """Hold what has no known space and its author may not put into the one above: who repairs does not mean it."""
        again = False
        for path in self.changed if self.judged.judging else ():
            was = self.before.proposed.files.get(path)
            known = {(each.kind, each.name, each.content) for each in was.parsed.resources} if was is not None else ()
            for placed in unplaced(here, path):
                resource = placed.resource
                change = self._change(placed.ref, (placed,))
                if change is None or (resource.kind, resource.name, resource.content) in known:
                    continue
                missing = self._judge(change, here)
                if missing is not None:
                    again |= self.holding.aside(
                        placed.ref, [Wrong(change, placed, missing)], here.claimants(placed.ref)
                    )
        return again

    def _judge_elsewhere(self, here: Catalog) -> bool:
        """Keep held what lies elsewhere now: who moves a directory does not mean what others have put there."""
        again = False
        for placed, document in elsewhere(here) if self.judged.judging else ():
            change = self._change(placed.ref, (placed,))
            hold = self.holds.holding([document])
            if change is not None and hold is not None and hold.person != self.judged.name:
                found = self.holds.next_copy(HeldDocument.of(placed))
                self.moved.add(found)
                again |= self.holds.put(held_here(hold, change, found, self.revision))
        return again

    def _written(
        self, here: Catalog, which: Literal["placed", "second"]
    ) -> Iterator[tuple[Placed, Collection[ResourceRef]]]:
        """List documents of the changed files, each with the references that its file declared before."""
        for path in self.changed:
            file, was = here.files.get(path), self.before.proposed.files.get(path)
            known = {placed.ref for placed in was.placed} if was is not None else set()
            for placed in getattr(file, which) if file is not None else ():
                yield placed, known

    def _holds_space(self, space: SpaceName, here: Catalog) -> bool:
        ref = ResourceRef(Kind.SPACE, space, space)
        about = self.holds.about(ref, {placed.resource.file for placed in here.held_at(ref)})
        return any(each.documents and each.person == self.judged.name for each in about)

    def lacking(self, ref: ResourceRef) -> Missing | None:
        """Say which right is missing for a document to become what is proposed."""
        here = self.proposed.hold(self.holds.documents())
        change = self._change(ref, here.claimants(ref))
        return self._judge(change, here) if change is not None else None

    def _judge(self, change: DocumentChange, here: Catalog) -> Missing | None:
        missing = self.judged.judge(here, self.before.catalog.makers.keys()).change(change)
        if missing is None and change.origin is not None:
            self.admitted_moves.add(change.origin)
        return missing

    def _change(self, ref: ResourceRef, claims: tuple[Placed, ...]) -> DocumentChange | None:
        """Compare what is in force of a name with the documents that claim it; None when it is the same."""
        old, new = self.before.catalog.written(ref), claims[0] if len(claims) == 1 else None
        if same(old, new) and (new is not None or not claims):
            return None
        if old is None:
            origin = moved_from(new.resource) if new is not None and ref.kind is Kind.STACK else None
            left = self.before.catalog.placed(origin) if origin is not None else None
            if left is not None:
                return DocumentChange(ref, Verb.MOVE, left, new, origin)
            return DocumentChange(ref, Verb.CREATE, None, new)
        # What several documents claim may be anything.
        return DocumentChange(ref, Verb.UPDATE if claims else Verb.DELETE, old, new)

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
                again |= self._hold(left, missing, after.proposed)
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
            for ref in set(self._behind(instances, after)) - self.holds.keep().keys():
                old, new = self.before.catalog.written(ref), after.catalog.written(ref)
                verb = Verb.CREATE if old is None else Verb.UPDATE if new is not None else Verb.DELETE
                why = f"it would {change.verb} {change.ref}, and {missing.message}"
                told = Missing(missing.action, missing.space, why)
                again |= self._hold(DocumentChange(ref, verb, old, new), told, after.proposed)
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
        return not same(self.before.catalog.written(ref), after.catalog.written(ref))

    def _judge_unmade(self, after: InForce) -> bool:
        """Hold an instance that cannot be worked out yet, unless its author may make whatever it will be.

        Else what it makes would come into force by somebody else's commit, without its author's rights being asked.
        """
        again = False
        for ref in self.versions.keys() - self.holds.keep().keys():
            change = self._change(ref, after.proposed.claimants(ref))
            missing = self.unmade(ref, after)
            if change is not None and missing is not None:
                again |= self._hold(change, missing, after.proposed)
        return again

    def unmade(self, ref: ResourceRef, after: InForce) -> Missing | None:
        """Say which right is missing for an instance that is not in force as proposed: what it makes is not known."""
        version = after.proposed.placed(ref)
        if ref.kind is not Kind.BLUEPRINT_INSTANCE or version is None or same(after.catalog.written(ref), version):
            return None
        return self.judged.judge(after.proposed).anything(ref.space)

    def _judge_homeless(self, after: InForce) -> bool:
        """Hold what lies in a space that is not in force: whoever makes that space would decide where it ends up."""
        again = False
        for ref, claims in list(self.versions.items()):
            there = ref.kind is Kind.SPACE or after.catalog.tree.exists(ref.space)
            if len(claims) != 1 or there or self.holds.on(ref) is not None:
                continue
            change = self._change(ref, claims)
            if change is not None:
                action = on_document(ref.kind, change.verb)
                why = f"the space {ref.space} is not in force"
                again |= self._hold(change, Missing(action, ref.space, why), after.proposed)
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
            change = self._change(ref, after.proposed.claimants(ref))
            if change is not None:
                told.setdefault(ref, change)
        for change in told.values():
            if any(each is not None and each.resource.made is None for each in (change.before, change.after)):
                self._hold(change, missing, after.proposed)
            if change.origin is not None:
                left = DocumentChange(change.origin, Verb.DELETE, change.before, None)
                self._hold(left, missing, after.proposed)

    # Holding

    def _hold(self, change: DocumentChange, missing: Missing, here: Catalog) -> bool:
        """Hold a change, and the documents that the commit puts under the name."""
        ref = change.ref
        before, claims = self.before.proposed.claimants(ref), here.claimants(ref)
        new = added(before, claims)
        if not new:
            return self.holds.put(self.holding.as_held(change, missing))
        rest = self.versions[ref] = tuple(placed for placed in claims if placed not in new)
        wrong = [Wrong(change, placed, missing) for placed in new]
        return self.holding.aside(ref, wrong, rest) if same_claims(rest, before) else self.holding.stay(ref, wrong)
