"""Rules across documents: whether each one can work among the others, and the words for it when it cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from posixpath import dirname
from typing import NamedTuple, assert_never

from spaces.diagnostics import Diagnostic, Position, error
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import Finding, Spot
from spaces.documents.references import Path, moved_from, names, references, role_of, secrets_in, shared_with
from spaces.documents.tree import TreeFault
from spaces.model.configuration import ContextSpec, plain_path
from spaces.model.explain import did_you_mean
from spaces.model.role import BUILT_IN_ROLES, ROOT_ONLY
from spaces.model.sealed import SealedPlace, sealed_for
from spaces.model.stack import StackSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId
from spaces.rules.dependencies import Cycles, dependencies_of


class Rule(StrEnum):
    """Every rule across documents; the value is the diagnostic's code."""

    UNKNOWN_SPACE = "unknown-space"
    SPACE_CYCLE = "space-cycle"
    UNKNOWN_CONTEXT = "unknown-context"
    UNKNOWN_REPOSITORY = "unknown-repository"
    UNKNOWN_ROLE = "unknown-role"
    UNKNOWN_BLUEPRINT = "unknown-blueprint"
    MAKES = "instance"
    """What an instance makes does not work: the finding, or the rule that it breaks, has the code."""
    MADE_ALREADY = "made-by-instance"
    UNKNOWN_STACK = "unknown-stack"
    DEPENDS_ON_ITSELF = "depends-on-itself"
    DEPENDENCY_TWICE = "duplicate-dependency"
    DEPENDENCY_CYCLE = "dependency-cycle"
    NOT_IN_ROOT = "not-in-root"
    CONTEXT_TWICE = "duplicate-context"
    CONTEXT_TIE = "context-tie"
    FILE_BELOW_FILE = "file-below-file"
    MOVED_FROM_EXISTS = "moved-from-exists"
    MOVED_FROM_TWICE = "moved-from-twice"
    SEALED_ELSEWHERE = "sealed-elsewhere"


KINDS = {
    Rule.UNKNOWN_SPACE: Kind.SPACE,
    Rule.UNKNOWN_CONTEXT: Kind.CONTEXT,
    Rule.UNKNOWN_REPOSITORY: Kind.REPOSITORY,
    Rule.UNKNOWN_ROLE: Kind.ROLE,
    Rule.UNKNOWN_STACK: Kind.STACK,
    Rule.UNKNOWN_BLUEPRINT: Kind.BLUEPRINT,
}
"""The kind of document that each rule misses."""

RULES = {kind: rule for rule, kind in KINDS.items()}
"""The rule that misses each kind of document."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One document against one rule. `name` is as written; `others` are the documents that it clashes with.

    An instance breaks a rule by what it makes: `finding` says how, or `inner`, a made document and its own violation.
    """

    rule: Rule
    path: Path
    name: str
    others: tuple[ResourceRef, ...] = ()
    finding: Finding | None = None
    inner: tuple[Placed, Violation] | None = None


class ContextInUse(NamedTuple):
    """A context that a stack uses; `place` is where it stands in the stack's list, None where it attached itself."""

    placed: Placed
    spec: ContextSpec
    priority: int
    place: int | None

    @property
    def ref(self) -> ResourceRef:
        """The context."""
        return self.placed.ref


_PRIORITY = attrgetter("priority")


def contexts_in_use(documents: PlacedDocuments, stack: Placed) -> list[ContextInUse]:
    """Find the contexts of a stack, weakest first.

    Those that attach themselves come first, from far above to near and then by name; then those that it names, by
    priority, as listed among equals. One that is both counts as named. Unknown ones are left out.
    """
    spec = stack.resource.spec
    named = []
    for index, use in enumerate(spec.contexts if isinstance(spec, StackSpec) else ()):
        placed = documents.find(Kind.CONTEXT, use.name, stack.ref.space)
        if placed is not None and isinstance(placed.resource.spec, ContextSpec):
            named.append(ContextInUse(placed, placed.resource.spec, use.priority, index))
    named.sort(key=_PRIORITY)
    attaching = documents.attaching(stack)
    if not attaching:
        return named
    seen = {use.placed for use in named}
    attached = [
        ContextInUse(placed, placed.resource.spec, 0, None)
        for placed in attaching
        if placed not in seen and isinstance(placed.resource.spec, ContextSpec)
    ]
    return attached + named


def violations(documents: PlacedDocuments, placed: Placed, cycles: Cycles | None = None) -> Iterator[Violation]:
    """Check one of the documents among all of them. `cycles` is shared by those who check many."""
    tree, ref = documents.tree, placed.ref
    if ref.kind is Kind.SPACE:
        yield from _misplacement(documents, placed)
        return
    if not tree.exists(ref.space):
        yield Violation(Rule.UNKNOWN_SPACE, ("metadata", "space"), ref.space)
        yield from _unknown_anywhere(documents, placed)
        return
    if ref.kind in ROOT_ONLY and ref.space != ROOT:
        yield Violation(Rule.NOT_IN_ROOT, ("metadata", "space"), ref.space)
        return
    role = role_of(placed.resource)
    if role is not None and documents.placed(role) is None:
        yield Violation(Rule.UNKNOWN_ROLE, ("spec", "role"), role.name)
    if not all(documents.find(kind, name, ref.space) for kind, name in names(placed.resource)):
        for reference in references(placed.resource):
            if documents.find(reference.kind, reference.name, ref.space) is None:
                yield Violation(RULES[reference.kind], reference.path, reference.name)
    yield from _sealed_elsewhere(placed)
    if ref.kind is Kind.STACK:
        yield from _context_clashes(documents, placed)
        yield from _move_clashes(documents, placed)
        yield from _dependency_clashes(documents, placed, cycles or Cycles(documents))
    if documents.expansions and placed.resource.made is None:
        yield from _making(documents, ref, cycles)


def _misplacement(documents: PlacedDocuments, space: Placed) -> Iterator[Violation]:
    fault = documents.tree.faults.get(space.ref.space)
    if fault is TreeFault.CYCLE:
        yield Violation(Rule.SPACE_CYCLE, ("spec", "parent"), " -> ".join(documents.tree.cycle(space.ref.space)))
    elif fault is not None:
        yield Violation(Rule.UNKNOWN_SPACE, ("spec", "parent"), space.parent or "")


def _making(documents: PlacedDocuments, ref: ResourceRef, cycles: Cycles | None) -> Iterator[Violation]:
    """Check a written document against what instances make, and what it makes itself, for an instance."""
    if ref in documents.makers:
        name = f"{ref.space}/{ref.name}"
        yield Violation(Rule.MADE_ALREADY, ("metadata", "name"), name, documents.makers[ref])
    if ref not in documents.expansions:
        return
    expansion = documents.expansions[ref]
    instance = expansion.instance
    for finding in expansion.findings:
        yield Violation(Rule.MAKES, finding.path, finding.code, finding.others, finding)
    for made in expansion.documents:
        others = [each for each in documents.makers[made.ref] if each != instance.ref]
        if documents.written(made.ref) is not None or others:
            clash = f"makes {made.ref}, which " + (f"{others[0]} makes too" if others else "is there already")
            summary = f"{instance.ref} {clash}"
            place = Spot(made.resource, ("metadata", "name"))
            found = Finding("duplicate-name", summary, hint="give one of them another name", place=place)
            yield Violation(Rule.MAKES, found.path, found.code, (made.ref, *others), found)
        yield from (
            Violation(Rule.MAKES, ("spec", "blueprint"), broken.name, broken.others, inner=(made, broken))
            for broken in violations(documents, made, cycles)
        )


def _unknown_anywhere(documents: PlacedDocuments, placed: Placed) -> Iterator[Violation]:
    """Find what a document without a space needs and no space has: the others cannot be judged."""
    for reference in references(placed.resource):
        if not any(each.ref.name == reference.key[1] for each in documents.of_kind(reference.kind)):
            yield Violation(RULES[reference.kind], reference.path, reference.name)


def _sealed_elsewhere(placed: Placed) -> Iterator[Violation]:
    for path, key, secret in secrets_in(placed.resource):
        if secret.sealed is not None and not sealed_for(secret.sealed, SealedPlace(placed.ref, key)):
            yield Violation(Rule.SEALED_ELSEWHERE, (*path, "sealed"), key)


def _context_clashes(documents: PlacedDocuments, stack: Placed) -> Iterator[Violation]:
    used = contexts_in_use(documents, stack)
    if len(used) > 1:
        yield from _ties(used)
    if any(use.spec.files for use in used):
        yield from _files_below_files(used, stack)


def _ties(used: Collection[ContextInUse]) -> Iterator[Violation]:
    priorities = [use.priority for use in used if use.place is not None]
    seen: set[Placed] = set()
    setters: dict[tuple[int, str, str], ContextInUse] = {}
    for use in used:
        if use.place is None:
            continue
        path: Path = ("spec", "contexts", use.place, "name")
        if use.placed in seen:
            yield Violation(Rule.CONTEXT_TWICE, path, f"{use.ref.space}/{use.ref.name}", (use.ref,))
            continue
        seen.add(use.placed)
        if priorities.count(use.priority) == 1:
            continue
        keys = [("env", key, key) for key in use.spec.env]
        keys += [("files", plain_path(key), key) for key in use.spec.files]
        for section, key, written in keys:
            other = setters.setdefault((use.priority, section, key), use)
            if other is not use:
                yield Violation(Rule.CONTEXT_TIE, path, f"{section} {written}", (other.ref, use.ref))


def _files_below_files(used: Iterable[ContextInUse], stack: Placed) -> Iterator[Violation]:
    """Find the files of one document that would lie below a file of another, as `a/b` does below `a`."""
    setters: dict[str, tuple[ResourceRef, Path]] = {}
    for use in used:
        path: Path = ("metadata", "name") if use.place is None else ("spec", "contexts", use.place, "name")
        setters.update((plain_path(name), (use.ref, path)) for name in use.spec.files)
    spec = stack.resource.spec
    own = spec.files if isinstance(spec, StackSpec) else {}
    setters.update((plain_path(name), (stack.ref, ("spec", "files", name))) for name in own)
    for name, (ref, path) in setters.items():
        above = dirname(name)
        while above:
            other = setters.get(above)
            if other is not None:
                at = path if ref == stack.ref or other[0] != stack.ref else other[1]
                yield Violation(Rule.FILE_BELOW_FILE, at, f"{name} below {above}", (ref, other[0]))
            above = dirname(above)


def _dependency_clashes(documents: PlacedDocuments, stack: Placed, cycles: Cycles) -> Iterator[Violation]:
    for index, space in enumerate(shared_with(stack.resource)):
        if not documents.tree.exists(space):
            yield Violation(Rule.UNKNOWN_SPACE, ("spec", "shareOutputs", index), space)
    found = list(dependencies_of(documents, stack))
    if not found:
        return
    itself = StackId(stack.ref.space, stack.ref.name)
    seen: set[StackId] = set()
    for each in found:
        path = ("spec", "dependsOn", each.index, "stack")
        if each.parent == itself:
            yield Violation(Rule.DEPENDS_ON_ITSELF, path, str(itself))
        elif each.parent in seen:
            yield Violation(Rule.DEPENDENCY_TWICE, path, str(each.parent), (each.parent.ref,))
        seen.add(each.parent)
    cycle = cycles.through(itself)
    if cycle is not None:
        others = tuple(each.ref for each in cycle.members)
        path = ("spec", "dependsOn", cycle.index, "stack")
        yield Violation(Rule.DEPENDENCY_CYCLE, path, " -> ".join(cycle.path), others)


def _move_clashes(documents: PlacedDocuments, stack: Placed) -> Iterator[Violation]:
    origin = moved_from(stack.resource)
    if origin is None:
        return
    path = ("metadata", "movedFrom")
    if documents.placed(origin) is not None:
        yield Violation(Rule.MOVED_FROM_EXISTS, path, f"{origin.space}/{origin.name}", (origin,))
    rivals = [
        other
        for ref in documents.mentioning(Kind.STACK, origin.name)
        if ref != stack.ref and (other := documents.placed(ref)) and moved_from(other.resource) == origin
    ]
    if rivals:
        others = tuple(sorted(rival.ref for rival in rivals))
        yield Violation(Rule.MOVED_FROM_TWICE, path, f"{origin.space}/{origin.name}", others)


def tell(violation: Violation, placed: Placed, documents: PlacedDocuments, *, suggest: bool = True) -> Diagnostic:
    """Put a violation into words, at its place in the document; looking for a likely name to suggest costs time."""
    if violation.inner is not None:
        made, broken = violation.inner
        return tell_made(placed, tell(broken, made, documents, suggest=suggest))
    if violation.finding is not None:
        return _tell_finding(violation.finding, placed)
    summary, hint = _words(violation, placed, documents, suggest=suggest)
    if violation.rule is Rule.UNKNOWN_BLUEPRINT and _versions(violation.name, placed.ref.space, documents):
        return error("unknown-version", summary, placed.resource.position(("spec", "version")), hint)
    written = placed.resource.space is not None or violation.path != ("metadata", "space")
    path = violation.path if written else ("metadata", "name")
    return error(violation.rule.value, summary, placed.resource.position(path), hint)


def tell_made(instance: Placed, told: Diagnostic) -> Diagnostic:
    """Tell of a made document at the instance that somebody wrote; the template's place is in the hint."""
    at = told.position
    where = f"made at {at.file}:{at.line}:{at.column}" if at is not None else None
    hint = "; ".join(part for part in (told.hint, where) if part)
    return error(told.code, f"{instance.ref}: {told.summary}", instance.resource.position(("spec", "blueprint")), hint)


def _tell_finding(finding: Finding, instance: Placed) -> Diagnostic:
    summary = finding.summary if str(instance.ref) in finding.summary else f"{instance.ref}: {finding.summary}"
    at = finding.place.position() if finding.place is not None else None
    where = f"in the template at {at.file}:{at.line}:{at.column}" if at is not None else None
    hint = "; ".join(part for part in (finding.hint, where) if part)
    return error(finding.code, summary, instance.resource.position(finding.path), hint or None)


def in_template(violation: Violation) -> Position | None:
    """Give the place in the template that an instance breaks a rule by; None where there is none."""
    if violation.inner is not None:
        made, broken = violation.inner
        return made.resource.position(broken.path)
    place = violation.finding.place if violation.finding is not None else None
    return place.position() if place is not None else None


def _versions(name: str, space: SpaceName, documents: PlacedDocuments) -> list[str]:
    """List the versions that a blueprint, named with one that it does not have, has in a space."""
    where, _, bare = name.rpartition("/")
    found = (ref for ref in documents.visible(Kind.BLUEPRINT, space) if where in ("", ref.space))
    return [ref.name.partition("@")[2] for ref in found if ref.name.partition("@")[0] == bare.partition("@")[0]]


def _words(  # noqa: C901, PLR0912 - a case for each rule
    violation: Violation, placed: Placed, documents: PlacedDocuments, *, suggest: bool
) -> tuple[str, str | None]:
    name, space = violation.name, placed.ref.space
    others = " and ".join(str(other) for other in violation.others)
    told: tuple[str, str | None]
    match violation.rule:
        case Rule.UNKNOWN_SPACE:
            hint = did_you_mean(name, list(documents.tree.spaces())) if suggest else None
            told = f"{placed.ref}: there is no space {name} in force", hint
        case Rule.SPACE_CYCLE:
            told = f"{placed.ref} is its own ancestor: {name}", "give one of them another parent"
        case Rule.UNKNOWN_CONTEXT | Rule.UNKNOWN_REPOSITORY | Rule.UNKNOWN_STACK as rule:
            known = names_in_reach(KINDS[rule], space, documents, qualified="/" in name) if suggest else []
            told = (
                f"there is no {KINDS[rule]} {name} for {placed.ref}",
                did_you_mean(name, known) or _reach(rule, space),
            )
        case Rule.UNKNOWN_BLUEPRINT:
            told = _blueprint_words(name, placed, documents, suggest=suggest)
        case Rule.MADE_ALREADY:
            told = f"{placed.ref} is already made by {others}", "rename it, or change the inputs of the instance"
        case Rule.MAKES:
            told = f"{placed.ref} makes documents with errors", None
        case Rule.UNKNOWN_ROLE:
            known = [*BUILT_IN_ROLES, *(each.ref.name for each in documents.of_kind(Kind.ROLE))]
            hint = did_you_mean(name, known) if suggest else None
            told = (
                f"there is no Role {name} for {placed.ref}",
                hint or f"the built-in roles are {', '.join(BUILT_IN_ROLES)}",
            )
        case Rule.NOT_IN_ROOT:
            hint = "write metadata.space: root, or move the file to a directory of the root space"
            told = f"{placed.ref} must be in the space root", hint
        case Rule.CONTEXT_TWICE | Rule.CONTEXT_TIE | Rule.FILE_BELOW_FILE:
            told = _clash_words(violation, placed)
        case Rule.DEPENDS_ON_ITSELF | Rule.DEPENDENCY_TWICE | Rule.DEPENDENCY_CYCLE as rule:
            told = _dependency_words(rule, placed, name, others)
        case Rule.MOVED_FROM_EXISTS:
            told = (
                f"{placed.ref} cannot move from {name}: that stack still exists",
                "remove the old document in the same commit",
            )
        case Rule.MOVED_FROM_TWICE:
            told = f"{placed.ref} and {others} all have movedFrom {name}", "keep movedFrom in one of them"
        case Rule.SEALED_ELSEWHERE:
            where = f"--space {space} --kind {placed.ref.kind} --name {placed.ref.name} --key {name}"
            told = f"{name} of {placed.ref} was sealed for another place", f"seal it again: station seal {where}"
        case _:
            assert_never(violation.rule)
    return told


def _clash_words(violation: Violation, placed: Placed) -> tuple[str, str]:
    """Word what contexts do to each other, or to the stack."""
    name, others = violation.name, " and ".join(map(str, violation.others))
    if violation.rule is Rule.CONTEXT_TWICE:
        return f"{others} is named twice by {placed.ref}", "name it once"
    if violation.rule is Rule.CONTEXT_TIE:
        return f"{others} both set {name} for {placed.ref}", "give one of them a higher priority"
    below, _, above = name.partition(" below ")
    of, by = violation.others
    summary = f"{placed.ref} gets {below} from {of} inside {above}, which is a file from {by}"
    return summary, "change one of the paths, or use only one of the two"


def _reach(rule: Rule, space: SpaceName) -> str:
    reach = f"it must be in {space}, or in a space that {space} inherits from"
    return f"{reach}, or name {space} in its spec.shareOutputs" if rule is Rule.UNKNOWN_STACK else reach


def _dependency_words(rule: Rule, placed: Placed, name: str, others: str) -> tuple[str, str]:
    if rule is Rule.DEPENDENCY_TWICE:
        return f"{placed.ref} names {others} twice", "name it once"
    if rule is Rule.DEPENDS_ON_ITSELF:
        return f"{placed.ref} depends on itself", "remove this dependency"
    return f"{placed.ref} depends on itself: {name}", "remove one of these dependencies"


def _blueprint_words(name: str, placed: Placed, documents: PlacedDocuments, *, suggest: bool) -> tuple[str, str | None]:
    blueprint, _, version = name.partition("@")
    space = placed.ref.space
    if versions := _versions(name, space, documents):
        summary = f"there is no version {version} of Blueprint {blueprint} for {placed.ref}"
        return summary, did_you_mean(version, versions) or f"it has {', '.join(versions[:10])}"
    known = names_in_reach(Kind.BLUEPRINT, space, documents, qualified="/" in name) if suggest else []
    hint = did_you_mean(blueprint, [each.partition("@")[0] for each in known])
    return f"there is no Blueprint {blueprint} for {placed.ref}", hint or _reach(Rule.UNKNOWN_BLUEPRINT, space)


def names_in_reach(kind: Kind, space: SpaceName, documents: PlacedDocuments, *, qualified: bool) -> list[str]:
    """Name the documents of a kind that can be used in a space, bare or as space/name, for suggestions."""
    return [f"{ref.space}/{ref.name}" if qualified else ref.name for ref in documents.visible(kind, space)]
