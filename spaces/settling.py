"""The search for what can be in force: as much of what is proposed as works together, and of the old what it takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from spaces.absent import Absent
from spaces.blueprints.derived import evolve, remade
from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic, error
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import roots
from spaces.documents.references import moved_from
from spaces.held_documents import HeldDocument
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.rules.dependencies import Cycles
from spaces.rules.impact import impact
from spaces.rules.rules import KINDS, Rule, Violation, contexts_in_use, in_template, tell, violations

_SUGGESTIONS = 200
"""How many findings get a likely name to suggest: each search costs as much as there are names."""


class KeptBecause(StrEnum):
    """Why a document's newest version is not the one in force."""

    HELD = "held"
    """Its author had not the right."""
    BROKEN = "broken"
    """It cannot be read, or does not work among the others."""
    IN_USE = "in-use"
    """Others need it as it was."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A document whose proposed version does not come into force; `waits_for` are the files that would end it."""

    because: KeptBecause
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """Documents that work together; what is withheld, and what is to be told about it."""

    documents: PlacedDocuments
    withheld: Mapping[ResourceRef, Withheld]
    given_up: frozenset[ResourceRef]
    """Documents that were in force and contradict each other: what was in force did not work together."""
    diagnostics: tuple[Diagnostic, ...]


def settle_documents(  # noqa: PLR0917
    old: PlacedDocuments,
    proposed: Catalog,
    touched: Collection[ResourceRef],
    withheld: Mapping[ResourceRef, Withheld],
    newly_held: Collection[HeldDocument] = (),
    stuck: Collection[ResourceRef] = (),
) -> Settled:
    """Take the proposed versions of the touched documents, and go back on those that do not work.

    `newly_held` are the documents that are held from now on: what leaves for one of them stays. `stuck` are those
    that stayed for one that is held already; nothing else can stay for it any more.

    A changed document that breaks a rule goes back to its old version, or stays out. An unchanged one that breaks
    a rule now is right: what changed around it goes back. Every step goes back on more, so it ends; at the latest
    with all that was in force before.
    """
    search = _Search(old, proposed, dict(withheld), frozenset(newly_held), frozenset(stuck))
    search.start(touched)
    search.run()
    return Settled(search.documents, search.withheld, frozenset(search.given_up), tuple(search.tell_all()))


_Violating = list[tuple[Placed, list[Violation]]]
"""Documents with the rules that each one breaks."""


@dataclass(slots=True)
class _Blame:
    """A changed document that had to go back for others: the first of them, and how many there are."""

    user: Placed
    violation: Violation
    words: Diagnostic
    gone: bool
    users: set[ResourceRef] = field(default_factory=set)


@dataclass(slots=True)
class _Search:
    old: PlacedDocuments
    proposed: Catalog
    withheld: dict[ResourceRef, Withheld]
    newly_held: frozenset[HeldDocument]
    stuck: frozenset[ResourceRef]
    documents: PlacedDocuments = field(init=False)
    open: set[ResourceRef] = field(default_factory=set)
    """Changed documents at their proposed version."""
    leaving: dict[tuple[Kind, str], set[ResourceRef]] = field(default_factory=dict)
    """Documents that would leave, by kind and file, and by kind and name."""
    dirty: dict[ResourceRef, None] = field(default_factory=dict)
    """Documents to check, in the order in which they were read: a processor goes through them twice as fast so."""
    told: list[tuple[Placed, Violation, PlacedDocuments]] = field(default_factory=list)
    """What to tell, each with the documents among which it was found."""
    blamed: dict[ResourceRef, _Blame] = field(default_factory=dict)
    given_up: set[ResourceRef] = field(default_factory=set)

    def start(self, touched: Iterable[ResourceRef]) -> None:
        delta: dict[ResourceRef, Placed | None] = {}
        for ref in touched:
            if ref in self.withheld:
                continue
            before, after = self.old.written(ref), self.proposed.placed(ref)
            if after is not before:
                delta[ref] = after
            if not (after.same(before) if after else before is None):
                self.open.add(ref)
            if before is not None and after is None:
                self.leaving.setdefault((ref.kind, before.resource.file), set()).add(ref)
                self.leaving.setdefault((ref.kind, ref.name), set()).add(ref)
        self.documents = evolve(self.old, delta)
        cold = not any(True for _ in self.old.refs())
        self.dirty = dict.fromkeys(self.documents.refs() if cold else self._impact(self.open, self.old))
        self._go_back({**self._origins_of_held(), **self._origins(self.withheld)})

    def run(self) -> None:
        while violating := self._check():
            changed = [(placed, found) for placed, found in violating if placed.ref in self.open]
            # First what is wrong by itself: its users have nothing to complain about once it has gone back.
            self.dirty = dict.fromkeys(placed.ref for placed, _ in violating)
            back = self._back_on_itself(changed) if changed else self._back_for_others(violating)
            self._go_back({**self._origins(back), **back})

    def _back_on_itself(self, violating: _Violating) -> dict[ResourceRef, Withheld]:
        for placed, found in violating:
            self.told.extend((placed, violation, self.documents) for violation in found)
        return {placed.ref: Withheld(KeptBecause.BROKEN, (placed.resource.file,)) for placed, _ in violating}

    def _back_for_others(self, violating: _Violating) -> dict[ResourceRef, Withheld]:
        back: dict[ResourceRef, Withheld] = {}
        blameless: _Violating = []
        for placed, found in violating:
            culprits = {culprit for violation in found for culprit in self._blame(placed, violation)}
            back.update(dict.fromkeys(culprits, Withheld(KeptBecause.IN_USE)))
            if not culprits:
                blameless.append((placed, found))
        for placed, found in blameless:
            self.told.extend((placed, violation, self.documents) for violation in found)
        self._take_out({placed.ref for placed, _ in blameless})
        return back

    def _check(self) -> _Violating:
        """Check what is to be checked; in order, so that the same input always tells the same story."""
        cycles = Cycles(self.documents)
        # What an instance makes is checked with the instance.
        written = dict.fromkeys(roots(self.documents, self.dirty)) if self.documents.expansions else self.dirty
        present = (placed for ref in written if (placed := self.documents.placed(ref)))
        violating = ((placed, list(violations(self.documents, placed, cycles))) for placed in present)
        return sorted((pair for pair in violating if pair[1]), key=lambda pair: pair[0].ref)

    def tell_all(self) -> Iterator[Diagnostic]:
        # File by file: finding places means reading the file again, and only the last one read is remembered.
        self.told.sort(key=lambda found: (found[0].resource.file, found[0].resource.index))
        refs = {ref for ref, why in self.withheld.items() if why.because is KeptBecause.HELD}
        held = frozenset((ref.kind, ref.name) for ref in refs.union(self.proposed.held_refs()))
        absent = Absent(self.proposed, self.documents, held)
        for count, (placed, violation, documents) in enumerate(self.told):
            yield absent.tell(violation, placed, documents, suggest=count < _SUGGESTIONS)
        yield from absent.tell_flawed(_SUGGESTIONS - len(self.told))
        for culprit, blame in self.blamed.items():
            others = len(blame.users) - 1
            user = f"{blame.user.ref}" + (f" and {others} more" if others else "")
            position = blame.words.position
            if blame.gone:
                need = "need it" if others else "needs it"
                hint = f"change {blame.user.ref} first"
                yield error("still-in-use", f"{culprit} cannot leave: {user} still {need}", position, hint)
            elif self.old.written(culprit) is not None:
                summary = f"{culprit} stays as it was, for {user}: with the change, {blame.words.summary}"
                yield error("still-in-use", summary, position, blame.words.hint)
            else:
                new = self.proposed.placed(culprit)
                at = new.resource.position(("metadata", "name")) if new else position
                summary = f"{culprit} does not come into force, for {user}: with it, {blame.words.summary}"
                yield error(blame.words.code, summary, at, blame.words.hint)

    def _go_back(self, back: Mapping[ResourceRef, Withheld]) -> None:
        if not back:
            return
        before = self.documents
        self.open -= back.keys()
        self.withheld.update(back)
        self.documents = evolve(before, {ref: self.old.written(ref) for ref in back})
        self.dirty.update(dict.fromkeys(self._impact(back, before)))

    def _take_out(self, refs: Collection[ResourceRef]) -> None:
        """Give up on documents that contradict each other without any change to go back on."""
        self.given_up |= set(refs)
        before = self.documents
        self.documents = evolve(before, dict.fromkeys(refs))
        self.dirty.update(dict.fromkeys(self._impact(refs, before)))

    def _impact(self, refs: Iterable[ResourceRef], before: PlacedDocuments) -> set[ResourceRef]:
        """Find how far a change of written documents reaches, by what instances make of it too."""
        return impact({*refs, *remade(before, self.documents)}, before, self.documents)

    def _origins(self, back: Mapping[ResourceRef, Withheld]) -> dict[ResourceRef, Withheld]:
        """Find the documents that leave for another place or name which is withheld: they stay as they are.

        One that says where it moved from is known; else the one that leaves the same file, or has the same name.
        """
        stay: dict[ResourceRef, Withheld] = {}
        for ref, why in sorted(back.items(), key=lambda item: item[0]):
            for claimant in self.proposed.claimants(ref):
                left = self._left_for(claimant)
                if ref in self.documents.expansions:
                    # Written before, and made now by an instance that does not work.
                    left |= {made.ref for made in self.documents.expansions[ref].documents}
                self._stay(left, claimant, why.because, stay)
        return stay

    def _origins_of_held(self) -> dict[ResourceRef, Withheld]:
        """Find the documents that leave for one that is held: they stay as they are."""
        stay: dict[ResourceRef, Withheld] = {}
        new = {each._replace(copy=0) for each in self.newly_held}
        for ref in sorted(self.proposed.held_refs()) if self.leaving else ():
            for placed in self.proposed.held_at(ref):
                left = self._left_for(placed)
                here = left if left and HeldDocument.of(placed) in new else left & self.stuck
                self._stay(here, placed, KeptBecause.HELD, stay)
        return stay

    def _left_for(self, placed: Placed) -> set[ResourceRef]:
        origin = moved_from(placed.resource)
        left = {origin} if origin is not None else set()
        if self.old.written(placed.ref) is None:
            left |= self.leaving.get((placed.ref.kind, placed.resource.file), set())
            left |= self.leaving.get((placed.ref.kind, placed.ref.name), set())
        return left

    def _stay(
        self, left: set[ResourceRef], claimant: Placed, because: KeptBecause, stay: dict[ResourceRef, Withheld]
    ) -> None:
        for each in left & self.open:
            if self.documents.written(each) is None:
                before = stay.get(each, Withheld(because))
                waits_for = tuple(sorted({*before.waits_for, claimant.resource.file}))
                stay[each] = Withheld(before.because, waits_for)

    def _blame(self, user: Placed, violation: Violation) -> set[ResourceRef]:
        """Find the changes to go back on so that an unchanged document works again: the nearest that can be it."""
        for tier in self._suspects(user, violation):
            if found := self.open.intersection(self._behind(tier)):
                for culprit in found:
                    self._accuse(culprit, user, violation)
                return found
        return set()

    def _accuse(self, culprit: ResourceRef, user: Placed, violation: Violation) -> None:
        blame = self.blamed.get(culprit)
        if blame is None:
            words = tell(violation, user, self.documents)
            if culprit.kind is Kind.BLUEPRINT and (at := in_template(violation)) is not None:
                words = replace(words, position=at)
            blame = _Blame(user, violation, words, self.documents.written(culprit) is None)
            self.blamed[culprit] = blame
        blame.users.add(user.ref)

    def _suspects(self, user: Placed, violation: Violation) -> Iterator[Iterable[ResourceRef]]:
        space = user.ref.space
        match violation.rule:
            case Rule.UNKNOWN_CONTEXT | Rule.UNKNOWN_REPOSITORY | Rule.UNKNOWN_STACK | Rule.UNKNOWN_BLUEPRINT:
                target = self.old.lookup(KINDS[violation.rule], violation.name, space)
                yield [target] if target else []
            case Rule.MAKES | Rule.MADE_ALREADY:
                makers = violation.others if violation.rule is Rule.MADE_ALREADY else (user.ref,)
                yield [found.ref for each in makers for found in self._blueprints(each)]
                yield violation.others
                if violation.inner is not None:
                    made, broken = violation.inner
                    yield from self._suspects(made, broken)
            case Rule.UNKNOWN_ROLE:
                yield [ResourceRef(Kind.ROLE, ROOT, violation.name)]
            case Rule.CONTEXT_TIE | Rule.CONTEXT_TWICE | Rule.FILE_BELOW_FILE:
                yield violation.others
                yield [use.ref for use in contexts_in_use(self.old, user)]
            case Rule.MOVED_FROM_EXISTS | Rule.MOVED_FROM_TWICE | Rule.DEPENDENCY_CYCLE | Rule.DEPENDENCY_TWICE:
                yield violation.others
            case Rule.UNKNOWN_SPACE if violation.path[:2] == ("spec", "shareOutputs"):
                name = SpaceName(violation.name)
                yield [ResourceRef(Kind.SPACE, name, name)]
            case Rule.UNKNOWN_SPACE | Rule.SPACE_CYCLE | Rule.NOT_IN_ROOT | Rule.DEPENDS_ON_ITSELF:
                pass
        trees = (self.old.tree, self.documents.tree)
        above = {name for tree in trees for name in (*tree.lineage(space), *tree.cycle(space))}
        yield [ResourceRef(Kind.SPACE, name, name) for name in above]
        yield self.open

    def _behind(self, suspects: Iterable[ResourceRef]) -> Iterator[ResourceRef]:
        """Give the suspects; for one that was made, who made it and from what."""
        for ref in suspects:
            yield ref
            for maker in self.old.makers.get(ref, ()):
                yield maker
                yield from (found.ref for found in self._blueprints(maker))

    def _blueprints(self, instance: ResourceRef) -> Iterator[Placed]:
        """List what an instance looks up, before and now."""
        for documents in (self.old, self.documents):
            expansion = documents.expansions.get(instance)
            yield from (found for found in (expansion.uses.values() if expansion else ()) if found is not None)
