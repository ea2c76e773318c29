"""The documents that access is compiled from, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spaces.model.group import GroupSpec
from spaces.model.role import RoleSpec
from spaces.model.role_binding import RoleBindingSpec
from spaces.model.user import UserSpec
from spaces.names import ROOT, Kind, ResourceRef, StackId
from spaces.placed import PlacedDocuments


@dataclass(frozen=True, slots=True)
class AccessDocuments:
    """Who there is and what they were given. Users, groups, roles and API keys go by name: they lie in the root."""

    roles: Mapping[str, RoleSpec] = field(default_factory=dict)
    bindings: Mapping[ResourceRef, RoleBindingSpec] = field(default_factory=dict)
    users: Mapping[str, UserSpec] = field(default_factory=dict)
    groups: Mapping[str, GroupSpec] = field(default_factory=dict)
    api_keys: frozenset[str] = frozenset()
    stacks: frozenset[StackId] = frozenset()

    @classmethod
    def of(cls, documents: PlacedDocuments) -> AccessDocuments:
        """Pick them out of all documents; those that do not lie where their kind belongs do not count."""
        return cls(
            roles=_in_root(documents, Kind.ROLE),
            bindings=_specs(documents, Kind.ROLE_BINDING),
            users=_in_root(documents, Kind.USER),
            groups=_in_root(documents, Kind.GROUP),
            api_keys=frozenset(_in_root(documents, Kind.API_KEY)),
            stacks=frozenset(StackId(each.ref.space, each.ref.name) for each in documents.of_kind(Kind.STACK)),
        )


def _specs(documents: PlacedDocuments, kind: Kind) -> dict[ResourceRef, Any]:
    return {each.ref: each.resource.spec for each in documents.of_kind(kind)}


def _in_root(documents: PlacedDocuments, kind: Kind) -> dict[str, Any]:
    return {ref.name: spec for ref, spec in _specs(documents, kind).items() if ref.space == ROOT}
