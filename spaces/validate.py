"""The whole check of one state of the repository, as `station validate` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from spaces.catalog import YAML, Catalog
from spaces.composition.changed_file import ChangedFile
from spaces.composition.reading import FileReading
from spaces.composition.step import Step
from spaces.diagnostics import Diagnostic, Severity, in_order
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import hijacking_variables, moved_from
from spaces.effective.integrations import STATIC
from spaces.effective.stack import effective
from spaces.in_force import InForce
from spaces.names import Kind, Revision
from spaces.reading.attachments import Attach, no_files, out_of
from spaces.reading.documents import parse_documents
from spaces.reading.rego import CheckRego, unchecked
from spaces.rules.advice import advice
from spaces.rules.integrations import integrations_in_use

_TEMPLATE_MARKS = (b"{{", b"{%")


def examine_files(
    files: Mapping[str, bytes],
    attach: Attach = no_files,
    check: CheckRego = unchecked,
    revision: Revision = Revision(""),  # noqa: B008
) -> InForce:
    """Return what would be in force of these files (path in the repository to bytes), taken alone and trusted."""
    reading = FileReading(attach, check=check)
    yaml = {path: data for path, data in files.items() if path.endswith(YAML)}
    changed = {path: ChangedFile(path, None, data) for path, data in yaml.items()}
    tips = reading.parse(yaml, attach)
    step = Step(Catalog(), changed, tips, reading, lambda _step, _trial: [], lambda _unit: "")
    trial = step.run()
    told = chain(trial.after.diagnostics, *(hold.told for hold in step.held.values()))
    return InForce(revision, trial.after, in_order(told), frozenset(trial.after.documents.refs()))


def validate_files(files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Return everything wrong with these files, taken alone; sorted by place."""
    examined = examine_files(files, out_of(files))
    return [*in_order((*findings(examined, files), *advice(examined.documents)))]


def findings(examined: InForce, files: Mapping[str, bytes]) -> list[Diagnostic]:
    """Return the diagnostics, and what is fine here and takes more than the repository to work."""
    catalog = examined.documents
    more = chain(
        _hijacking(each for kind in (Kind.CONTEXT, Kind.STACK) for each in catalog.of_kind(kind)),
        _static_credentials(catalog),
        _still_there(examined),
        _unreadable(files),
    )
    return [*in_order((*examined.diagnostics, *more))]


def _unreadable(files: Mapping[str, bytes]) -> Iterator[Diagnostic]:
    """Warn about files that cannot be read as YAML: whether one of them held documents, its history alone says.

    What is plainly made for somebody else is left alone: templates, such as Helm's, and what machines write.
    """
    for file, data in files.items():
        if not file.endswith(YAML) or any(mark in data for mark in _TEMPLATE_MARKS):
            continue
        told = parse_documents(file, data).unreadable
        if told is None or told.code == "file-too-large":
            continue
        summary = f"{file} cannot be read as YAML ({told.summary}): its documents are ignored"
        yield Diagnostic(
            Severity.WARNING, "unreadable-file", summary, "repair it if it contains documents", told.position
        )


def _still_there(examined: InForce) -> Iterator[Diagnostic]:
    """Warn of stacks that moved from a name that is in use: right only where the name went to a new stack."""
    for placed in examined.documents.of_kind(Kind.STACK):
        origin = moved_from(placed.resource)
        if origin is not None and examined.documents.placed(origin) is not None:
            summary = f"{placed.ref} moved from {origin.space}/{origin.name}, and there is a stack of that name"
            hint = "leave movedFrom out, unless one commit renames the stack and gives its name to a new one"
            at = placed.resource.position(("metadata", "movedFrom"))
            yield Diagnostic(Severity.WARNING, "moved-from-exists", summary, hint, at)


def _static_credentials(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    """Warn of credentials beside an integration of the same cloud: its libraries take them, and never the token."""
    for stack in documents.stacks():
        found = documents.placed(stack.ref)
        if found is None or not integrations_in_use(documents, found):
            continue
        configuration = effective(documents, stack)
        for used in configuration.integrations:
            for name in STATIC.get(used.spec.provider, ()):
                value = configuration.env.get(name)
                setter = documents.placed(value.origin.ref) if value is not None else None
                if value is None or setter is None or value.origin.ref == used.ref:
                    continue
                summary = f"{name} of {setter.ref} wins over {used.ref} in the runs of {stack.ref}"
                at = setter.resource.position(("spec", "env", name))
                yield Diagnostic(Severity.WARNING, "static-credentials", summary, "remove one of the two", at)


def _hijacking(documents: Iterable[Placed]) -> Iterator[Diagnostic]:
    """Warn of each variable that takes over a process: only the service knows whether it allows that."""
    for placed in documents:
        for name in hijacking_variables(placed.resource):
            yield Diagnostic(
                Severity.WARNING,
                "env-takes-over",
                f"spec.env.{name} takes over a process",
                f"its author needs env:takeover in {placed.ref.space}, and the operator must list it in the "
                "setting env_takeover_allowed",
                placed.resource.position(("spec", "env", name)),
            )
