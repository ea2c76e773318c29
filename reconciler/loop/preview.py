"""What merging a revision would do: the same functions as the loop's, on a clone, without a service or credentials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from rbac.access.access import Access
from rbac.access.differences import GrantDifference, differences
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from rbac.admission.admit import Admission, Commit, Halted, admit
from rbac.admission.held import HeldChange
from reconciler.core.dependencies import ParentOutputs, linked
from reconciler.core.diff import explain
from reconciler.core.digest import SourceSnapshot, short_hash
from reconciler.core.pins import branch_mark, went_on
from reconciler.core.state import Component, Desired, StackProblem, Why
from reconciler.git.trees import Trees
from reconciler.loop.desired.files import attach_at
from reconciler.loop.desired.merging import Judging, Merge, admit_merge
from reconciler.loop.desired.sources import SourceIndex, snapshot
from reconciler.loop.desired.world import CONFIGURATION, desire
from reconciler.policies.checking import check_rego
from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.documents.changes import DocumentChange, Verb, changes, unfounded
from spaces.documents.documents import PlacedDocuments
from spaces.effective.stack import EffectiveStack
from spaces.effective.windows import Freeze, freezes
from spaces.in_force import InForce, affected, differing
from spaces.names import Kind, Revision, StackId
from spaces.rules.advice import advice
from spaces.rules.dependencies import ResolvedDependency, dependencies_of, descendants_of


def access_of(in_force: InForce, admins: Iterable[Subject], now: datetime) -> Access:
    """Compile the access rules of what is in force."""
    return Access.compile(AccessDocuments.of(in_force.documents), in_force.documents.tree, admins, now)


_NAMED = 5
"""How many files a warning names."""


class StackAction(StrEnum):
    """What a merge would mean for a stack."""

    CREATE = "create"
    UPDATE = "update"
    MOVE = "move"
    FOLLOW = "follow"
    """It does not change itself, and depends on one that runs."""
    RETAIN = "retain"
    """Its document leaves Git; what it applied stays as it is."""
    DESTROY = "destroy"
    """Its document leaves Git, and what it applied is destroyed."""


@dataclass(frozen=True, slots=True)
class StackPreview:
    """One stack that the merge concerns, and why. A move may have nothing to run, and then no reasons."""

    id: StackId
    action: StackAction
    why: tuple[Why, ...]
    ends_pin: bool = True
    """Whether the merge changes the stack itself, which ends a pin of it; what other documents say does not."""


@dataclass(frozen=True, slots=True)
class Preview:
    """All that merging would do."""

    base: Revision
    revision: Revision
    documents: tuple[DocumentChange, ...] = ()
    stacks: tuple[StackPreview, ...] = ()
    access: tuple[GrantDifference, ...] = ()
    held: tuple[HeldChange, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the merge would change nothing."""
        return not self.documents and not self.stacks and not self.held and not self.access


def preview(trees: Trees, base: Revision, revision: Revision, config_path: str, judging: Judging) -> Preview:
    """Work out what merging `revision` into `base` would do; `base` counts as in force, all of it.

    Sources in other repositories count as they are.
    """
    merged = trees.merged_tree(base, revision)
    if merged.revision is None:
        told = [
            error("merge-conflict", f"{path} conflicts with {base[:12]}", Position(path)) for path in merged.conflicts
        ]
        return Preview(base, revision, diagnostics=tuple(told))
    reading, tip = merged.trees, merged.revision
    files = dict(reading.files(base, config_path))
    first = admit(
        None, Commit(base, files, attach=attach_at(reading, base), check=check_rego), judging.rules, judging.now
    )
    assert isinstance(first, Admission)  # noqa: S101 - the first revision is never refused
    index = SourceIndex()
    every = list(first.in_force.documents.stacks())
    old = desire(first.in_force, every, lambda state, stack: _read(reading, state, stack, first), index)
    last = admit_merge(reading, first, Merge(base, revision, tip), config_path, index, judging)
    if isinstance(last, Halted):
        return Preview(base, revision, diagnostics=(error("branch-emptied", last.message),))
    about_base = _about_base(base, first.in_force)
    return _compare(reading, first, last, old, index, Preview(base, revision, diagnostics=about_base), judging.now)


def _about_base(base: Revision, in_force: InForce) -> tuple[Diagnostic, ...]:
    """Return what cannot be told because `base` has errors: which versions a service keeps, its history alone says."""
    errors = [told for told in in_force.diagnostics if told.severity is Severity.ERROR]
    if not errors:
        return ()
    files = sorted({told.position.file for told in errors if told.position is not None})
    named = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
    summary = (
        f"{base[:12]}, which is merged into, has errors itself ({named}): which versions of these documents "
        "are in force is not known here, so what the merge means for them and what needs them cannot be told"
    )
    hint = "repair that branch first, or look at station status"
    return (Diagnostic(Severity.WARNING, "base-has-errors", summary, hint),)


def _compare(  # noqa: PLR0917
    trees: Trees,
    first: Admission,
    last: Admission,
    old: Mapping[StackId, Desired],
    index: SourceIndex,
    empty: Preview,
    now: datetime,
) -> Preview:
    before, after = first.in_force, last.in_force
    documents = changes(before.documents, after.documents, differing(before, after))
    moves = {_stack(change): change.origin for change in documents if change.verb is Verb.MOVE and change.origin}
    changed = trees.changed_paths(before.revision, after.revision)
    touched = affected(before, after) | index.users(CONFIGURATION, changed)
    present = sorted(stack for stack in touched if after.documents.placed(stack.ref) is not None)
    new = desire(after, present, lambda state, stack: _read(trees, state, stack, last), SourceIndex())
    stacks = []
    for stack, desired in new.items():
        origin = moves.get(stack)
        was = old.get(StackId(origin.space, origin.name)) if origin else old.get(stack)
        found = _stack_preview(trees, stack, was, desired, moved=origin is not None)
        if found is not None:
            stacks.append(found)
    stacks += _following(after.documents, stacks)
    gone = [_stack(change) for change in documents if change.verb is Verb.DELETE and change.ref.kind is Kind.STACK]
    stacks += [StackPreview(stack, _when_gone(old.get(stack)), ()) for stack in gone]
    return replace(
        empty,
        documents=documents,
        stacks=tuple(sorted(stacks, key=lambda each: each.id)),
        access=differences(first.access, last.access),
        held=last.held_changes,
        diagnostics=(
            *empty.diagnostics,
            *after.diagnostics,
            *_problems(new),
            *_frozen(after.documents, stacks, now),
            *_over(new, now),
            *(each.tell() for each in unfounded(before.documents, documents)),
            *advice(after.documents),
        ),
    )


def _frozen(documents: PlacedDocuments, stacks: Iterable[StackPreview], now: datetime) -> list[Diagnostic]:
    """Return a warning about each freeze window that would keep stacks waiting which the merge makes run."""
    held_up: Counter[tuple[Freeze, datetime]] = Counter()
    for stack in stacks:
        if stack.why or stack.action is StackAction.DESTROY:
            over = freezes(documents, stack.id.space)
            held_up.update((each, until) for each in over if (until := each.until(now)) is not None)
    return [
        Diagnostic(
            Severity.WARNING,
            "frozen",
            f"a freeze window of {window.space} is open until {until:%Y-%m-%d %H:%M} UTC: "
            f"{count} stack{'' if count == 1 else 's'} would be applied only after it",
            f"who holds the role {window.override} in {window.space} can let a run through"
            if window.override is not None
            else None,
        )
        for (window, until), count in sorted(held_up.items(), key=lambda item: item[0][1])
    ]


def _over(wanted: Mapping[StackId, Desired], now: datetime) -> Iterator[Diagnostic]:
    """Yield a warning about each stack that the merge changes and whose end has passed."""
    for stack, desired in sorted(wanted.items()):
        if desired.destroy_at is not None and desired.destroy_at <= now:
            what = "is protected, and nothing runs for it" if desired.protected else "is destroyed, or never made"
            summary = f"the time of {stack} was over at {desired.destroy_at:%Y-%m-%d %H:%M} UTC: what it makes {what}"
            yield Diagnostic(Severity.WARNING, "ends-in-the-past", summary, "change spec.destroyAt, or take it out")


def _when_gone(was: Desired | None) -> StackAction:
    destroys = was is not None and was.destroy_after and not was.protected
    return StackAction.DESTROY if destroys else StackAction.RETAIN


def _stack_preview(
    trees: Trees, stack: StackId, was: Desired | None, desired: Desired, *, moved: bool
) -> StackPreview | None:
    desired, was = _linked(desired, stack), _linked(was, stack) if was is not None else None
    same = was is not None and was.digest == desired.digest
    why = () if same else explain(desired.fingerprint, was.fingerprint if was else None, trees.count_changes)
    if was is None:
        return StackPreview(stack, StackAction.CREATE, why)
    if moved:
        return StackPreview(stack, StackAction.MOVE, why)
    ends_pin = went_on(branch_mark(was), branch_mark(desired))
    return StackPreview(stack, StackAction.UPDATE, why, ends_pin) if why else None


def _linked(desired: Desired, stack: StackId) -> Desired:
    """Return what is desired with the outputs that it uses, whose values nobody knows here: they count as they are."""
    unknown = {need.parent: ParentOutputs(dict.fromkeys(need.outputs, "?"), in_sync=False) for need in desired.needs}
    return linked(desired, stack, unknown)


def _following(documents: PlacedDocuments, changed: Iterable[StackPreview]) -> Iterator[StackPreview]:
    """List the stacks that depend on those that run, at any distance, and do not change themselves."""
    listed = {each.id for each in changed}
    runs = {each.id for each in changed if each.why}
    following = descendants_of(documents, runs)
    for stack in following - listed:
        placed = documents.placed(stack.ref)
        found = dependencies_of(documents, placed) if placed is not None else ()
        above = [each for each in found if each.parent in runs or each.parent in following]
        why = tuple(_after(each, surely=each.parent in runs) for each in above)
        yield StackPreview(stack, StackAction.FOLLOW, why, ends_pin=False)


def _after(dependency: ResolvedDependency, *, surely: bool) -> Why:
    first = f"{dependency.parent} {'runs' if surely else 'may run'} before it"
    outputs = sorted(dependency.outputs)
    if dependency.always:
        return Why(Component.DEPENDENCIES, f"{first}; it runs after each apply of it")
    if not outputs:
        return Why(Component.DEPENDENCIES, f"{first}; it uses no output of it")
    which = f"output {outputs[0]} changes" if len(outputs) == 1 else f"one of the outputs {', '.join(outputs)} changes"
    return Why(Component.DEPENDENCIES, f"{first}; it runs after if {which}")


def _read(
    trees: Trees, in_force: InForce, stack: EffectiveStack, admission: Admission
) -> tuple[str, SourceSnapshot | StackProblem]:
    source = stack.source
    if source is None or source.repository is None:
        return CONFIGURATION, snapshot(stack, trees, admission.pins.get(stack.id, in_force.revision))
    # Nobody fetches for a preview: the other repository counts as it is, and only what is asked of it can change.
    asked = {
        f"{source.repository} ref": short_hash(source.ref),
        f"{source.repository} include": short_hash(list(source.include)),
    }
    return str(source.repository), SourceSnapshot(in_force.revision, asked)


def _problems(desired: Mapping[StackId, Desired]) -> list[Diagnostic]:
    return [
        Diagnostic(Severity.ERROR, "stack-cannot-run", f"{stack}: {each.problem.message}")
        for stack, each in desired.items()
        if each.problem is not None
    ]


def _stack(change: DocumentChange) -> StackId:
    return StackId(change.ref.space, change.ref.name)
