"""The kinds that say who may do what, and what sets them apart from the others."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.model.api_key import ApiKeySpec
from spaces.model.group import GroupSpec
from spaces.model.role import BUILT_IN_ROLES, RoleSpec
from spaces.model.role_binding import RoleBindingSpec
from spaces.model.user import UserSpec
from spaces.names import Kind

ACCESS_SPECS: Mapping[Kind, type[RoleSpec | RoleBindingSpec | UserSpec | GroupSpec | ApiKeySpec]] = {
    Kind.ROLE: RoleSpec,
    Kind.ROLE_BINDING: RoleBindingSpec,
    Kind.USER: UserSpec,
    Kind.GROUP: GroupSpec,
    Kind.API_KEY: ApiKeySpec,
}

ROOT_ONLY = frozenset({Kind.ROLE, Kind.USER, Kind.GROUP, Kind.API_KEY})
"""Kinds that lie in the root space and nowhere else."""

RESERVED_NAMES: Mapping[Kind, frozenset[str]] = {Kind.ROLE: frozenset(BUILT_IN_ROLES)}
"""Names that a document of the kind may not have."""
