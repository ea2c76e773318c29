"""How far a change reaches: the documents that may mean something else because others changed."""

from __future__ import annotations

from collections.abc import Iterable

from spaces.documents.documents import PlacedDocuments
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.rules.dependencies import may_mean

_FLOWING = frozenset({Kind.CONTEXT, Kind.CLOUD_INTEGRATION, Kind.WORKER_POOL, Kind.REPOSITORY})
"""What means nothing to those it does not flow to. Where a tree changes, those whose place is another are in anyway."""

_ATTACHING = frozenset({Kind.CONTEXT, Kind.CLOUD_INTEGRATION})


def impact(refs: Iterable[ResourceRef], before: PlacedDocuments, after: PlacedDocuments) -> set[ResourceRef]:
    """Return the changed documents and all that may mean them by name, lie below them, or are attached to them.

    Never too few, sometimes too many: whoever mentions a bare name is in, if the document flows there, whatever else
    the name means there.
    What attaches itself reaches its stacks, by its old version among the old documents and by its new one
    among the new: a stack that changes its labels is in by itself, and one whose space moves by its space.
    A space matters to what is below it only by its place: where it hangs, and whether it inherits.
    """
    reached: set[ResourceRef] = set()
    spaces: set[SpaceName] = set()
    for ref in refs:
        reached.add(ref)
        if ref.kind is Kind.SPACE:
            if _place(before, ref.space) != _place(after, ref.space):
                spaces.add(ref.space)
                reached |= before.mentioning(ref.kind, ref.name)
                reached |= after.mentioning(ref.kind, ref.name)
        elif ref.kind is Kind.STACK:
            # Many spaces have a stack of the same name, and many stacks that depend on it.
            for documents in (before, after):
                named = documents.mentioning(ref.kind, ref.name)
                reached.update(user for user in named if may_mean(documents, user, ref))
        else:
            users = {*_users(before, ref), *_users(after, ref)}
            reached |= users
            for context in (ref, *users):
                if context.kind in _ATTACHING:
                    reached |= _stacks_of(context, before, after)
    for documents in (before, after):
        for space in documents.tree.subtrees(spaces):
            reached |= before.in_space(space)
            reached |= after.in_space(space)
    return reached


def _stacks_of(context: ResourceRef, before: PlacedDocuments, after: PlacedDocuments) -> set[ResourceRef]:
    """Return the stacks of a context: what it names may be another repository, say."""
    found: set[ResourceRef] = set()
    for documents in (before, after):
        found.update(_users(documents, context), documents.attached_to(context))
    return found


def _users(documents: PlacedDocuments, ref: ResourceRef) -> Iterable[ResourceRef]:
    mentioning = documents.mentioning(ref.kind, ref.name)
    if ref.kind not in _FLOWING:
        return mentioning
    reach = frozenset(documents.tree.inheriting(ref.space)) if mentioning else frozenset()
    if sum(len(documents.in_space(space)) for space in reach) < len(mentioning):
        # Many spaces have a good of the same name, and many documents that use theirs.
        return (user for space in reach for user in documents.in_space(space) if user in mentioning)
    return (user for user in mentioning if user.space in reach)


def _place(documents: PlacedDocuments, space: SpaceName) -> object:
    return documents.tree.nodes.get(space), documents.tree.faults.get(space)
