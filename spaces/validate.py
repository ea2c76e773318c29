"""The whole check of one state of the repository, as `station validate` prints it."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.attachments import Attach, no_files, out_of
from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic
from spaces.in_force import InForce, settle
from spaces.names import Revision
from spaces.rego import CheckRego, unchecked


def examine_files(files: Mapping[str, bytes], attach: Attach = no_files, check: CheckRego = unchecked) -> InForce:
    """Give what would be in force of these files (path in the repository to bytes), taken alone."""
    return settle(None, Catalog.empty().advance(files, attach, check), files, Revision(""))


def validate_files(files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Find everything wrong with these files, taken alone; sorted by place."""
    return list(examine_files(files, out_of(files)).diagnostics)
