"""Brings changed freeze windows to the stacks that left Git and are still to be destroyed: no document has them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from reconciler.core.conditions import assess
from reconciler.core.runs import leading
from reconciler.store.protocol import Transaction
from reconciler.store.stored import StackFilter
from spaces.documents.documents import PlacedDocuments
from spaces.effective.windows import freezes
from spaces.names import SpaceName

_PAGE = 1000


def refreeze(
    transaction: Transaction, documents: PlacedDocuments, spaces: Collection[SpaceName], now: datetime
) -> None:
    """Put the present windows over the stacks of these spaces that left. One whose space left too keeps what it had."""
    there = {space for space in spaces if documents.tree.exists(space)}
    after: str | None = None
    while there and (page := transaction.list_stacks(StackFilter(spaces=there, in_git=True), after, _PAGE)):
        left = [state for state in page if state.desired is not None and state.desired.leaving]
        active = leading(transaction.active_runs([state.id for state in left])) if left else {}
        changed = []
        for state in left:
            windows = freezes(documents, state.id.space)
            if state.desired is not None and state.desired.freezes != windows:
                fresh = state.evolve(desired=replace(state.desired, freezes=windows))
                changed.append(assess(fresh, active.get(state.id), state.why, now))
        transaction.put_stacks(changed)
        after = str(page[-1].id)
