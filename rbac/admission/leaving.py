"""What was held of a name, and is not there any more."""

from __future__ import annotations

from rbac.admission.held import HeldChange
from rbac.admission.holds import Holds
from spaces.catalog import Catalog
from spaces.held_documents import HeldDocument
from spaces.in_force import InForce
from spaces.names import ResourceRef


def lost(ref: ResourceRef, before: InForce, here: Catalog, holds: Holds) -> HeldChange | None:
    """Give the hold of a name whose documents are not there any more, or none in the name's own file."""
    standing = holds.on(ref)
    if standing is None or leaves_own_file(ref, before, here):
        return standing
    if not standing.documents:
        return None
    there = {HeldDocument.of(placed) for placed in here.held_at(ref)}
    return None if any(each._replace(copy=0) in there for each in standing.documents) else standing


def leaves_elsewhere(lost: HeldChange, before: InForce, here: Catalog) -> bool:
    """Say whether what is lost was in other files than the name's own: then the name does not go with it."""
    old = before.catalog.written(lost.ref)
    if old is None or leaves_own_file(lost.ref, before, here):
        return False
    return all(each.file != old.resource.file for each in lost.documents or ())


def leaves_own_file(ref: ResourceRef, before: InForce, here: Catalog) -> bool:
    """Say whether all that was held of a name in its own file is out of it, whatever is held of it elsewhere."""
    old = before.catalog.written(ref)
    if old is None:
        return False
    was, now = (
        any(placed.resource.file == old.resource.file for placed in catalog.held_at(ref))
        for catalog in (before.proposed, here)
    )
    return was and not now
