"""Which of the changed documents are to blame for what does not work, and what is to be told about it.

`step` asks after each trial. A changed document that breaks a rule by itself is to blame; only where there is none are
those that unchanged documents suffer from: the nearest that can be the cause. Nothing is taken back here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spaces.diagnostics import Diagnostic, Position, error
from spaces.documents.changes import DocumentChange, Verb
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import roots
from spaces.documents.references import NameKey, moved_from
from spaces.model.explain import did_you_mean
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.reading.flawed import Flawed
from spaces.rules.dependencies import Cycles
from spaces.rules.impact import impact
from spaces.rules.integrations import integrations_in_use
from spaces.rules.messages import name_position
from spaces.rules.rules import KINDS, RULES, Rule, Violation, contexts_in_use, violations
from spaces.rules.words import in_template, names_in_reach, tell, tell_made

SUGGESTIONS = 200
"""How many findings get a likely name to suggest: each search costs as much as there are names."""

Changes = Mapping[ResourceRef, DocumentChange]
Declared = Mapping[NameKey, Sequence[tuple[SpaceName | None, Position]]]
"""Documents by kind and bare name, each with its space and its place; the space is None where it is not known."""


@dataclass(slots=True)
class Blame:
    """Changed documents that cannot come into force as they are. `users` are those that suffer from it, if not they."""

    culprits: frozenset[ResourceRef]
    told: list[Diagnostic] = field(default_factory=list)
    users: set[ResourceRef] = field(default_factory=set)
    names: set[tuple[Kind, str]] = field(default_factory=set)
    """The documents by kind and bare name whose change may mend it."""


def blames(before: PlacedDocuments, after: PlacedDocuments, found: Changes, *, words: Wording) -> list[Blame]:
    """Return who is to blame for every rule that is broken after the changes `found`; nothing where all works."""
    dirty = {ref for change in found.values() for ref in (change.ref, change.origin) if ref is not None}
    cold = not any(True for _ in before.refs())
    reach: Iterable[ResourceRef] = after.refs() if cold else impact(dirty, before, after)
    cycles = Cycles(after)
    # What an instance makes is checked with the instance.
    written = dict.fromkeys(roots(after, reach)) if after.expansions else dict.fromkeys(reach)
    broken = []
    for ref in written:
        placed = after.placed(ref)
        here = (
            [each for each in violations(after, placed, cycles) if _counts(each, found.get(ref), cold)]
            if placed
            else []
        )
        if placed is not None and here:
            broken.append((placed, here))
    broken.sort(key=lambda pair: pair[0].ref)
    own = [(placed, here) for placed, here in broken if placed.ref in dirty]
    if own:
        return [_on_itself(placed, here, after, words) for placed, here in own]
    return _for_others(before, after, _new(before, broken), dirty, words)


def _new(
    before: PlacedDocuments, broken: Iterable[tuple[Placed, list[Violation]]]
) -> Iterator[tuple[Placed, list[Violation]]]:
    """Leave out what did not work before either: a stricter version of this program blames nobody's change for it."""
    for placed, here in broken:
        old = before.placed(placed.ref)
        known = {(each.rule, each.path, each.name) for each in violations(before, old)} if old is not None else set()
        if new := [each for each in here if (each.rule, each.path, each.name) not in known]:
            yield placed, new


def _counts(violation: Violation, change: DocumentChange | None, cold: bool) -> bool:  # noqa: FBT001
    """Whether a violation is one: a stack may say for ever where it came from, and its old name be used again."""
    if violation.rule is not Rule.MOVED_FROM_EXISTS:
        return True
    if cold or change is None or change.after is None or change.verb is Verb.MOVE:
        return False
    said_before = change.before is not None and moved_from(change.before.resource) == moved_from(change.after.resource)
    return not said_before


@dataclass(slots=True)
class Wording:
    """Puts violations into words; with a bound on the costly search for names to suggest.

    `declared` are documents that are not in force, and no secret; `unread` the files that may hold more of them.
    """

    documents: PlacedDocuments
    declared: Declared = field(default_factory=dict)
    unread: Sequence[str] = ()
    _left: int = SUGGESTIONS

    def tell(self, violation: Violation, placed: Placed, among: PlacedDocuments) -> Diagnostic:
        """Return the diagnostic: who names a document that is declared and held is not told that there is none."""
        if violation.inner is not None:
            made, broken = violation.inner
            return tell_made(placed, self.tell(broken, made, among))
        self._left -= 1
        told = tell(violation, placed, among, suggest=self._left >= 0)
        kind = KINDS.get(violation.rule)
        if kind is None:
            return told
        at = self._place(kind, violation.name, placed.ref.space, among)
        if at is not None:
            summary = f"{placed.ref} needs {kind} {violation.name}, which has an error"
            return error("needs-broken", summary, told.position, f"repair it at {at.file}:{at.line}:{at.column}")
        if self.unread:
            more = len(self.unread) - 1
            others = f", or in {more} other file{'s' * (more > 1)} that cannot be read either" if more else ""
            summary = (
                f"{placed.ref} needs {kind} {violation.name}, which does not exist; "
                f"it may be in {self.unread[0]}, which cannot be read{others}"
            )
            return error(told.code, summary, told.position, told.hint)
        return told

    def tell_flawed(self, flawed: Flawed, space: SpaceName) -> Iterator[Diagnostic]:
        """Yield what a document with errors of its own names besides, and is declared nowhere."""
        if self.unread or not self.documents.tree.exists(space):
            return
        for kind, name, position in flawed.needs:
            known = self.documents.lookup(kind, name, space) or self._place(kind, name, space, self.documents)
            if known is not None:
                continue
            self._left -= 1
            near = names_in_reach(kind, space, self.documents, qualified="/" in name) if self._left >= 0 else []
            summary = f"there is no {kind} {name} for {flawed.kind} {space}/{flawed.name}"
            yield error(RULES[kind].value, summary, position, did_you_mean(name, near))

    def _place(self, kind: Kind, name: str, user: SpaceName, among: PlacedDocuments) -> Position | None:
        where, _, bare = name.rpartition("/")
        for space, position in self.declared.get((kind, bare), ()):
            if kind is Kind.SPACE or (kind is Kind.ROLE and space == ROOT) or space is None:
                return position
            if where in ("", space) and among.tree.flows(space, user):
                return position
        return None


def _on_itself(placed: Placed, broken: Iterable[Violation], after: PlacedDocuments, words: Wording) -> Blame:
    blame = Blame(frozenset({placed.ref}))
    for violation in broken:
        blame.told.append(words.tell(violation, placed, after))
        blame.names.update(_names(violation))
    return blame


def _for_others(
    before: PlacedDocuments,
    after: PlacedDocuments,
    broken: Iterable[tuple[Placed, list[Violation]]],
    dirty: Collection[ResourceRef],
    words: Wording,
) -> list[Blame]:
    found: dict[frozenset[ResourceRef], Blame] = {}
    first: dict[frozenset[ResourceRef], tuple[Placed, Violation]] = {}
    for placed, here in broken:
        for violation in here:
            tiers = (
                frozenset(dirty).intersection(_behind(before, after, tier))
                for tier in _suspects(before, after, placed, violation)
            )
            culprits = next(filter(None, tiers), frozenset(dirty))
            blame = found.setdefault(culprits, Blame(culprits))
            first.setdefault(culprits, (placed, violation))
            blame.users.add(placed.ref)
            blame.names |= {*_names(violation), (placed.ref.kind, placed.ref.name)}
    for culprits, blame in found.items():
        blame.told = list(_tell(culprits, blame, *first[culprits], before, after, words))
    return list(found.values())


def _tell(  # noqa: PLR0917
    culprits: Iterable[ResourceRef],
    blame: Blame,
    user: Placed,
    violation: Violation,
    before: PlacedDocuments,
    after: PlacedDocuments,
    words: Wording,
) -> Iterator[Diagnostic]:
    others = len(blame.users) - 1
    named = f"{user.ref}" + (f" and {others} more" if others else "")
    why = words.tell(violation, user, after)
    for culprit in sorted(culprits):
        position = (in_template(violation) if culprit.kind is Kind.BLUEPRINT else None) or why.position
        new = after.written(culprit)
        if new is None:
            need = "need it" if others else "needs it"
            hint = f"change {user.ref} first"
            yield error("still-in-use", f"{culprit} cannot leave: {named} still {need}", position, hint)
        elif before.written(culprit) is not None:
            summary = f"{culprit} stays as it was, for {named}: with the change, {why.summary}"
            yield error("still-in-use", summary, position, why.hint)
        else:
            summary = f"{culprit} does not come into force, for {named}: with it, {why.summary}"
            yield replace(why, summary=summary, position=name_position(new.resource))


def _names(violation: Violation) -> Iterator[tuple[Kind, str]]:
    """Yield by kind and bare name whose change may mend a violation."""
    kind = KINDS.get(violation.rule)
    if kind is not None:
        yield kind, violation.name.rpartition("/")[2]
    for ref in violation.others:
        yield ref.kind, ref.name
    if violation.inner is not None:
        yield from _names(violation.inner[1])


def _suspects(
    before: PlacedDocuments, after: PlacedDocuments, user: Placed, violation: Violation
) -> Iterator[Iterable[ResourceRef]]:
    """Yield what may be the cause, the nearest first."""
    space, kind = user.ref.space, KINDS.get(violation.rule)
    if violation.rule in (Rule.MAKES, Rule.MADE_ALREADY):
        makers = violation.others if violation.rule is Rule.MADE_ALREADY else (user.ref,)
        yield [found for each in makers for found in _blueprints(before, after, each)]
        yield violation.others
        if violation.inner is not None:
            yield from _suspects(before, after, *violation.inner)
    elif kind is Kind.ROLE:
        yield [ResourceRef(Kind.ROLE, ROOT, violation.name)]
    elif kind is Kind.SPACE:
        if violation.path[:2] == ("spec", "shareOutputs"):
            yield [ResourceRef(Kind.SPACE, SpaceName(violation.name), violation.name)]
    elif kind is not None:
        target = before.lookup(kind, violation.name, space)
        yield [target] if target else []
    else:
        yield violation.others
        contexts, integrations = contexts_in_use(before, user), integrations_in_use(before, user)
        yield [*(use.ref for use in contexts), *(use.ref for use in integrations)]
    above = {name for tree in (before.tree, after.tree) for name in (*tree.lineage(space), *tree.cycle(space))}
    yield [ResourceRef(Kind.SPACE, name, name) for name in above]


def _behind(before: PlacedDocuments, after: PlacedDocuments, refs: Iterable[ResourceRef]) -> Iterator[ResourceRef]:
    """Yield the suspects; for one that was made, who made it and from what."""
    for ref in refs:
        yield ref
        for maker in before.makers.get(ref, ()):
            yield maker
            yield from _blueprints(before, after, maker)


def _blueprints(before: PlacedDocuments, after: PlacedDocuments, instance: ResourceRef) -> Iterator[ResourceRef]:
    for documents in (before, after):
        expansion = documents.expansions.get(instance)
        yield from (found.ref for found in (expansion.uses.values() if expansion else ()) if found is not None)
