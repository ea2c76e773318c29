"""The worker pools in force, by the name that runs have of them."""

from __future__ import annotations

from spaces.documents.documents import PlacedDocuments
from spaces.model.pool import WorkerPoolSpec
from spaces.names import Kind, ResourceRef


def pool_name(ref: ResourceRef) -> str:
    """Return the name that desired states, runs and metrics have of a pool: `space/name`."""
    return f"{ref.space}/{ref.name}"


def pools(documents: PlacedDocuments) -> dict[str, WorkerPoolSpec]:
    """Return the pools that somebody wrote, by name. The service's own machine is not among them."""
    found = {pool_name(each.ref): each.resource.spec for each in documents.of_kind(Kind.WORKER_POOL)}
    return {name: spec for name, spec in sorted(found.items()) if isinstance(spec, WorkerPoolSpec)}
