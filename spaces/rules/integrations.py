"""Which cloud integrations a stack uses."""

from __future__ import annotations

from typing import NamedTuple

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.model.integration import CloudIntegrationSpec
from spaces.model.stack import StackSpec
from spaces.names import Kind, ResourceRef


class IntegrationInUse(NamedTuple):
    """An integration that a stack uses; `place` is where it stands in the stack's list, None if it attached itself."""

    placed: Placed
    spec: CloudIntegrationSpec
    place: int | None

    @property
    def ref(self) -> ResourceRef:
        """The integration."""
        return self.placed.ref


def integrations_in_use(documents: PlacedDocuments, stack: Placed) -> list[IntegrationInUse]:
    """Find the integrations of a stack: those that attach themselves, from far above to near, then those it names.

    One that is both counts as named. Unknown ones are left out, and those that it may not use and does not name.
    """
    if not documents.by_space(Kind.CLOUD_INTEGRATION):
        return []
    spec = stack.resource.spec
    named: dict[ResourceRef, IntegrationInUse] = {}
    for index, name in enumerate(spec.integrations if isinstance(spec, StackSpec) else ()):
        placed = documents.find(Kind.CLOUD_INTEGRATION, name, stack.ref.space)
        if placed is not None and isinstance(placed.resource.spec, CloudIntegrationSpec):
            named.setdefault(placed.ref, IntegrationInUse(placed, placed.resource.spec, index))
    labels = stack.resource.metadata.labels
    attached = [
        IntegrationInUse(placed, found, None)
        for placed in documents.attaching(stack)
        if isinstance(found := placed.resource.spec, CloudIntegrationSpec)
        and placed.ref not in named
        and found.allows(labels)
    ]
    return [*attached, *named.values()]
