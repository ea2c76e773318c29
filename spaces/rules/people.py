"""Names of people that nobody has: they break nothing, and give nobody what their writer meant to give."""

from __future__ import annotations

from collections.abc import Iterator

from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import Path
from spaces.model.base import SpecModel
from spaces.model.explain import did_you_mean
from spaces.model.people import GroupSpec
from spaces.model.repository import RepositorySpec, SignerRef, Verify
from spaces.model.role import RoleBindingSpec, SubjectRef
from spaces.names import ROOT, Kind, ResourceRef, SpaceName

_KINDS = {"user": Kind.USER, "group": Kind.GROUP, "api_key": Kind.API_KEY, "stack": Kind.STACK}


def strangers(documents: PlacedDocuments) -> Iterator[Diagnostic]:
    """Warn of each user, group, API key and stack that a group, a binding or a repository names and that is not there.

    A warning only: somebody may leave, or be named before they come, and what names them stays in force for all others.
    """
    for placed, path, kind, name in _named(documents):
        if documents.placed(_ref(kind, name)) is None:
            hint = _near(kind, name, documents) or f"add the {kind} document, or take the name out"
            summary = f"{placed.ref} names the {kind} {name}, which does not exist"
            yield Diagnostic(Severity.WARNING, "unknown-subject", summary, hint, placed.resource.position(path))


def _ref(kind: Kind, name: str) -> ResourceRef:
    """Return what the name means: a stack's name begins with its space, and all others lie in the root space."""
    if kind is not Kind.STACK:
        return ResourceRef(kind, ROOT, name)
    space, _, bare = name.partition("/")
    return ResourceRef(kind, SpaceName(space), bare)


def _near(kind: Kind, name: str, documents: PlacedDocuments) -> str | None:
    """Suggest a name that is there, from the space that is meant."""
    ref = _ref(kind, name)
    near = did_you_mean(ref.name, [placed.ref.name for placed in documents.by_space(kind).get(ref.space, ())])
    if near is None or kind is not Kind.STACK:
        return near
    return near.replace("did you mean ", f"did you mean {ref.space}/")


def _named(documents: PlacedDocuments) -> Iterator[tuple[Placed, Path, Kind, str]]:
    for kind in (Kind.GROUP, Kind.ROLE_BINDING, Kind.REPOSITORY):
        for placed in documents.of_kind(kind):
            for path, named, name in _in(placed.resource.spec):
                yield placed, ("spec", *path), named, name


def _in(spec: SpecModel) -> Iterator[tuple[Path, Kind, str]]:
    """Yield who is named, and where."""
    match spec:
        case GroupSpec():
            for index, name in enumerate(spec.members):
                yield ("members", index), Kind.USER, name
        case RoleBindingSpec():
            for index, subject in enumerate(spec.subjects):
                yield from _one_of(("subjects", index), subject)
        case RepositorySpec(verify=Verify(signers=signers)):
            for index, signer in enumerate(signers):
                yield from _one_of(("verify", "signers", index), signer)
        case _:
            pass


def _one_of(path: Path, subject: SubjectRef | SignerRef) -> Iterator[tuple[Path, Kind, str]]:
    for key, kind in _KINDS.items():
        name = getattr(subject, key, None)
        if name is not None:
            yield (*path, "apiKey" if key == "api_key" else key), kind, name
