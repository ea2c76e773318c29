"""The notifiers that hear of a stack: those of its space and of every space above."""

from __future__ import annotations

from collections.abc import Iterator

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.effective.policies import added_up
from spaces.model.notifier import NotifierEvent, NotifierSpec
from spaces.names import Kind, SpaceName


def notifiers(documents: PlacedDocuments, space: SpaceName, event: NotifierEvent) -> Iterator[Placed]:
    """Yield the notifiers that hear of an event in a space, those of the farthest spaces first, then by name.

    Roles hold in a whole subtree, so that whoever may write a notifier may also read there what it tells.
    """
    by_space = documents.by_space(Kind.NOTIFIER)
    if not by_space:
        return
    labels: frozenset[tuple[str, str]] | None = None
    for above in documents.tree.lineage(space)[::-1]:
        for placed in by_space.get(above, ()):
            spec = placed.resource.spec
            if not isinstance(spec, NotifierSpec) or event not in spec.events:
                continue
            # A halt is about no space, so that nobody can leave it out by labels.
            if spec.spaces is not None and event is not NotifierEvent.HALTED:
                labels = added_up(documents, space) if labels is None else labels
                if not spec.spaces.match_labels.items() <= labels:
                    continue
            yield placed
