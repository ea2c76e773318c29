"""The access rules that a revision's documents make by themselves, read from a clone, without a service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rbac.access import Access
from rbac.documents import AccessDocuments
from rbac.subjects import Subject
from reconciler.git.trees import Trees
from reconciler.loop.attaching import attach_at
from reconciler.policies.checking import check_rego
from spaces.catalog import Catalog
from spaces.in_force import InForce, settle
from spaces.names import Revision


def in_force_at(trees: Trees, revision: Revision, config_path: str) -> InForce:
    """Give what would be in force if the revision were trusted whole, as the first one is."""
    files = dict(trees.files(revision, config_path))
    return settle(None, Catalog.empty().advance(files, attach_at(trees, revision), check_rego), files.keys(), revision)


def access_of(in_force: InForce, admins: Iterable[Subject], now: datetime) -> Access:
    """Compile the access rules of what is in force."""
    return Access.compile(AccessDocuments.of(in_force.catalog), in_force.catalog.tree, admins, now)
