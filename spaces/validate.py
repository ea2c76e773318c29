"""The whole check of one state of the repository, as `station validate` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed
from spaces.documents.references import hijacking_variables
from spaces.in_force import InForce, settle
from spaces.names import Kind, Revision
from spaces.reading.attachments import Attach, no_files, out_of
from spaces.reading.rego import CheckRego, unchecked

_TEMPLATE_MARKS = (b"{{", b"{%")


def examine_files(files: Mapping[str, bytes], attach: Attach = no_files, check: CheckRego = unchecked) -> InForce:
    """Give what would be in force of these files (path in the repository to bytes), taken alone."""
    return settle(None, Catalog.empty().advance(files, attach, check), files, Revision(""))


def validate_files(files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Find everything wrong with these files, taken alone; sorted by place."""
    return list(findings(examine_files(files, out_of(files)), files))


def findings(examined: InForce, files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Give the diagnostics, and what is fine here and takes more than the repository to work."""
    catalog = examined.catalog
    more = _hijacking(each for kind in (Kind.CONTEXT, Kind.STACK) for each in catalog.of_kind(kind))
    unreadable = _unreadable(examined.proposed.unreadable, files)
    return sorted((*examined.diagnostics, *more, *unreadable), key=lambda told: (told.sort_key, told.summary))


def _unreadable(why: Mapping[str, Diagnostic], files: Mapping[str, bytes]) -> Iterator[Diagnostic]:
    """Warn about files that cannot be read as YAML: whether one of them held documents, its history alone says.

    What is plainly made for somebody else is left alone: templates, such as Helm's, and what machines write.
    """
    for file, told in why.items():
        if told.code == "file-too-large" or any(mark in files[file] for mark in _TEMPLATE_MARKS):
            continue
        summary = f"{file} cannot be read as YAML ({told.summary}): no document in it is seen"
        yield Diagnostic(
            Severity.WARNING, "unreadable-file", summary, "repair it if it is to hold documents", told.position
        )


def _hijacking(documents: Iterable[Placed]) -> Iterator[Diagnostic]:
    """Warn of each variable that takes over a process: only the service knows whether it allows that."""
    for placed in documents:
        for name in hijacking_variables(placed.resource):
            yield Diagnostic(
                Severity.WARNING,
                "env-takes-over",
                f"spec.env.{name} takes over what runs",
                f"whoever merges it needs env:takeover in {placed.ref.space}, and the operator has to name it in the "
                "setting env_takeover_allowed",
                placed.resource.position(("spec", "env", name)),
            )
