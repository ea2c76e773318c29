"""What is in force at a revision: the documents of one consistent tree of files, and how two such states differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic, in_order
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.effective.policies import guarded
from spaces.effective.windows import refrozen
from spaces.names import Kind, ResourceRef, Revision, StackId
from spaces.rules.impact import impact


@dataclass(frozen=True, slots=True, eq=False)
class InForce:
    """The documents that count. They always work together."""

    revision: Revision
    """The commit that was looked at last."""
    tree: Catalog
    diagnostics: tuple[Diagnostic, ...] = ()
    """What is to be told of the tree's files, and of the documents that stay as they were."""
    touched: frozenset[ResourceRef] = field(repr=False, default=frozenset())
    """The documents that may differ from the state that it follows."""
    _follows: PlacedDocuments | None = field(repr=False, default=None)

    @property
    def documents(self) -> PlacedDocuments:
        """The documents."""
        return self.tree.documents

    @classmethod
    def after(
        cls,
        before: InForce,
        revision: Revision,
        tree: Catalog,
        diagnostics: Iterable[Diagnostic],
        touched: Iterable[ResourceRef],
    ) -> InForce:
        """Return the state that follows another one."""
        return cls(revision, tree, in_order(diagnostics), frozenset(touched), before.documents)


def differing(before: InForce | None, after: InForce) -> frozenset[ResourceRef]:
    """Return the documents that came, left, or mean something else; quickly when `after` follows `before`."""
    if before is None:
        return frozenset(after.documents.refs())
    if before.documents is after.documents:
        return frozenset()
    if after._follows is before.documents:  # noqa: SLF001
        candidates: Iterable[ResourceRef] = after.touched
    else:
        candidates = {*before.documents.refs(), *after.documents.refs()}
    return frozenset(ref for ref in candidates if _differs(before.documents.placed(ref), after.documents.placed(ref)))


def affected(before: InForce | None, after: InForce) -> frozenset[StackId]:
    """Return the stacks in force whose effective configuration may be another one now; never too few."""
    if before is None:
        return frozenset(after.documents.stacks())
    changed = differing(before, after)
    reached = {
        StackId(ref.space, ref.name)
        for ref in impact(changed, before.documents, after.documents)
        if ref.kind is Kind.STACK
    } | guarded(changed, before.documents, after.documents)
    reached |= refrozen(changed, before.documents, after.documents)[1]
    return frozenset(stack for stack in reached if after.documents.placed(stack.ref))


def left(before: InForce, after: InForce) -> frozenset[StackId]:
    """Return the stacks that are in force no more."""
    gone = (ref for ref in differing(before, after) if ref.kind is Kind.STACK and after.documents.placed(ref) is None)
    return frozenset(StackId(ref.space, ref.name) for ref in gone)


def _differs(before: Placed | None, after: Placed | None) -> bool:
    return before is not after and not (before is not None and before.same(after))
