"""Rules across documents: whether each one can work among the others. `words` says it to people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from posixpath import dirname
from typing import NamedTuple

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import ExpansionProblem, Spot
from spaces.documents.references import Path, moved_from, names, references, roles_of, secrets_in, shared_with
from spaces.documents.tree import TreeFault
from spaces.model.configuration import ContextSpec, plain_path
from spaces.model.integration import MAX_SUBJECT_BYTES, CloudIntegrationSpec, Provider
from spaces.model.pool import DEFAULT_POOL, WorkerPoolSpec
from spaces.model.role import ROOT_ONLY
from spaces.model.sealed import SealedPlace, sealed_for
from spaces.model.stack import StackSpec
from spaces.names import ROOT, Kind, ResourceRef, StackId
from spaces.rules.dependencies import Cycles, dependencies_of
from spaces.rules.integrations import IntegrationInUse, integrations_in_use


class Rule(StrEnum):
    """Every rule across documents; the value is the diagnostic's code."""

    UNKNOWN_SPACE = "unknown-space"
    SPACE_CYCLE = "space-cycle"
    UNKNOWN_CONTEXT = "unknown-context"
    UNKNOWN_REPOSITORY = "unknown-repository"
    UNKNOWN_INTEGRATION = "unknown-integration"
    UNKNOWN_POOL = "unknown-pool"
    POOL_LACKS_TOOL = "pool-lacks-tool"
    INTEGRATION_TWICE = "duplicate-integration"
    INTEGRATION_CLASH = "integration-clash"
    """Two integrations of one cloud."""
    INTEGRATION_REFUSED = "integration-not-allowed"
    """It is only for stacks with labels that this one lacks."""
    SUBJECT_TOO_LONG = "subject-too-long"
    NO_VAULT = "no-vault"
    """It has a secret in Vault, and no integration by which its runs could read it."""
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
    Rule.UNKNOWN_INTEGRATION: Kind.CLOUD_INTEGRATION,
    Rule.UNKNOWN_POOL: Kind.WORKER_POOL,
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
    finding: ExpansionProblem | None = None
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
        yield from _unknown_roles(documents, placed)
        return
    if not tree.exists(ref.space):
        yield Violation(Rule.UNKNOWN_SPACE, ("metadata", "space"), ref.space)
        yield from _unknown_anywhere(documents, placed)
        return
    if ref.kind in ROOT_ONLY and ref.space != ROOT:
        yield Violation(Rule.NOT_IN_ROOT, ("metadata", "space"), ref.space)
        return
    yield from _unknown_roles(documents, placed)
    if not all(documents.find(kind, name, ref.space) for kind, name in names(placed.resource)):
        for reference in references(placed.resource):
            if documents.find(reference.kind, reference.name, ref.space) is None:
                yield Violation(RULES[reference.kind], reference.path, reference.name)
    yield from _sealed_elsewhere(documents, placed)
    if ref.kind is Kind.STACK:
        used = contexts_in_use(documents, placed)
        yield from _context_clashes(used, placed)
        yield from _pool_lacks_tool(documents, placed)
        yield from _integration_clashes(documents, placed, used)
        yield from _move_clashes(documents, placed)
        yield from _dependency_clashes(documents, placed, cycles or Cycles(documents))
    if documents.expansions and placed.resource.made is None:
        yield from _making(documents, ref, cycles)


def _unknown_roles(documents: PlacedDocuments, placed: Placed) -> Iterator[Violation]:
    for path, role in roles_of(placed.resource):
        if documents.placed(role) is None:
            yield Violation(Rule.UNKNOWN_ROLE, path, role.name)


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
            found = ExpansionProblem("duplicate-name", summary, hint="give one of them another name", place=place)
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


def _sealed_elsewhere(documents: PlacedDocuments, placed: Placed) -> Iterator[Violation]:
    for path, key, secret in secrets_in(placed.resource):
        if secret.sealed is not None and not sealed_for(
            secret.sealed, SealedPlace(placed.ref, key, documents.tree.path(placed.ref.space))
        ):
            yield Violation(Rule.SEALED_ELSEWHERE, (*path, "sealed"), key)


def _context_clashes(used: list[ContextInUse], stack: Placed) -> Iterator[Violation]:
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


def _pool_lacks_tool(documents: PlacedDocuments, stack: Placed) -> Iterator[Violation]:
    """Find a pool that says which tools it has, and not that of a stack which names it."""
    spec = stack.resource.spec
    if not isinstance(spec, StackSpec) or spec.worker_pool == DEFAULT_POOL:
        return
    pool = documents.find(Kind.WORKER_POOL, spec.worker_pool, stack.ref.space)
    has = pool.resource.spec.tools if pool is not None and isinstance(pool.resource.spec, WorkerPoolSpec) else None
    if pool is not None and has is not None and spec.tool not in has:
        yield Violation(Rule.POOL_LACKS_TOOL, ("spec", "workerPool"), spec.tool, (pool.ref,))


def _integration_clashes(
    documents: PlacedDocuments, stack: Placed, contexts: Iterable[ContextInUse]
) -> Iterator[Violation]:
    used = integrations_in_use(documents, stack)
    if not any(use.spec.provider is Provider.VAULT for use in used):
        yield from _vaultless(stack, contexts)
    if not used:
        return
    yield from _named_twice(documents, stack)
    clouds: dict[str, IntegrationInUse] = {}
    space, name = stack.ref.space, stack.ref.name
    path_of_space = "/".join(documents.tree.lineage(space)[::-1])
    for use in used:
        path: Path = ("metadata", "name") if use.place is None else ("spec", "integrations", use.place)
        if not use.spec.allows(stack.resource.metadata.labels):
            yield Violation(Rule.INTEGRATION_REFUSED, path, _labels(use.spec), (use.ref,))
        other = clouds.setdefault(use.spec.place, use)
        if other is not use:
            yield Violation(Rule.INTEGRATION_CLASH, path, use.spec.place, (other.ref, use.ref))
        length = use.spec.longest_subject(space, path_of_space, name)
        if length > MAX_SUBJECT_BYTES:
            yield Violation(Rule.SUBJECT_TOO_LONG, path, str(length), (use.ref,))


def _vaultless(stack: Placed, contexts: Iterable[ContextInUse]) -> Iterator[Violation]:
    """Find the secrets in Vault that a stack has, itself or through contexts."""
    yield from (
        Violation(Rule.NO_VAULT, (*path, "vault"), secret.vault)
        for path, _, secret in secrets_in(stack.resource)
        if secret.vault is not None
    )
    for use in contexts:
        found = [secret.vault for _, _, secret in secrets_in(use.placed.resource) if secret.vault is not None]
        if found:
            path: Path = ("metadata", "name") if use.place is None else ("spec", "contexts", use.place, "name")
            yield Violation(Rule.NO_VAULT, path, found[0], (use.ref,))


def _named_twice(documents: PlacedDocuments, stack: Placed) -> Iterator[Violation]:
    spec, seen = stack.resource.spec, set()
    for index, name in enumerate(spec.integrations if isinstance(spec, StackSpec) else ()):
        ref = documents.lookup(Kind.CLOUD_INTEGRATION, name, stack.ref.space)
        if ref is not None and ref in seen:
            yield Violation(Rule.INTEGRATION_TWICE, ("spec", "integrations", index), name, (ref,))
        seen.add(ref)


def _labels(spec: CloudIntegrationSpec) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(spec.stacks.match_labels.items())) if spec.stacks else ""


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
