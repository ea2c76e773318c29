"""The whole check of one state of the repository, as `station validate` prints it."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.attachments import Attach, no_files, out_of
from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic
from spaces.in_force import InForce, settle
from spaces.names import Kind, Revision
from spaces.rego import CheckRego, unchecked
from spaces.takeovers import warnings


def examine_files(files: Mapping[str, bytes], attach: Attach = no_files, check: CheckRego = unchecked) -> InForce:
    """Give what would be in force of these files (path in the repository to bytes), taken alone."""
    return settle(None, Catalog.empty().advance(files, attach, check), files, Revision(""))


def validate_files(files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Find everything wrong with these files, taken alone; sorted by place."""
    return list(findings(examine_files(files, out_of(files))))


def findings(examined: InForce) -> list[Diagnostic]:
    """Give the diagnostics, and what is fine here and takes more than the repository to work."""
    catalog = examined.catalog
    more = warnings(each for kind in (Kind.CONTEXT, Kind.STACK) for each in catalog.of_kind(kind))
    return sorted((*examined.diagnostics, *more), key=lambda told: (told.sort_key, told.summary))
