"""Whether the newest commit of a source repository is signed by somebody whom its Repository document names.

A Repository with `spec.verify` follows its branch for itself: others that name the same URL go on without it. The
newest commit counts, since it vouches for all that it builds on. It is judged by the users and keys in force, and now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rbac.access.subjects import Subject, SubjectKind
from rbac.identity import Stranger
from reconciler.git.mirrors import Remote
from reconciler.git.objects import CommitInfo
from reconciler.git.remote import redact
from reconciler.git.source_keys import read_key, source_key
from reconciler.git.wanted import Release, revision_of
from reconciler.loop.desired.persons import Persons
from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.in_force import InForce
from spaces.model.people import GroupSpec
from spaces.model.refs import RefKind, read_ref, ref_of
from spaces.model.repository import RepositorySpec, SignerRef, SourceIdentity, Verify
from spaces.names import ROOT, Kind, ResourceRef, Revision


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a branch is followed: by a Repository that asks for signatures, or by all that do not."""

    key: str
    placed: Placed | None = None
    verify: Verify | None = None

    def tagged(self, remote: Remote, arrived: Revision | Release) -> dict[str, Revision]:
        """Return the tag by which this was found, as a key of its own: what it is at must not change unseen."""
        followed = read_ref(remote.ref)
        tag = arrived.tag if isinstance(arrived, Release) else followed.name if followed.kind is RefKind.TAG else None
        if tag is None:
            return {}
        asking = self.placed.ref if self.placed is not None else None
        return {source_key(replace(remote, ref=ref_of(RefKind.TAG, tag)), asking): revision_of(arrived)}


def ways(remote: Remote, in_force: InForce | None) -> list[Way]:
    """Return the ways in which the Repository documents in force follow a branch."""
    found = []
    for placed, spec in _repositories(in_force):
        if (spec.url, _reader(placed)) != (remote.url, remote.reader):
            continue
        asking = placed.ref if spec.verify is not None else None
        found.append(Way(source_key(remote, asking), placed if asking else None, spec.verify))
    return list({way.key: way for way in found}.values()) or [Way(source_key(remote))]


def _repositories(in_force: InForce | None) -> Iterator[tuple[Placed, RepositorySpec]]:
    for placed in in_force.documents.of_kind(Kind.REPOSITORY) if in_force is not None else ():
        if isinstance(placed.resource.spec, RepositorySpec):
            yield placed, placed.resource.spec


def _reader(repository: Placed) -> str:
    return f"{repository.ref.space}/{repository.ref.name}"


def still_asks(key: str, in_force: InForce | None) -> bool:
    """Whether a key is of nobody who asks for signatures, or of a Repository that still does."""
    wanted = read_key(key).verified_for
    return wanted is None or any(
        spec.verify is not None and wanted == f"{placed.ref.space}/{placed.ref.name}"
        for placed, spec in _repositories(in_force)
    )


def newly_verified(before: InForce | None, after: InForce | None, tips: Mapping[str, Revision]) -> dict[str, Revision]:
    """Return the revisions that stay in use where a Repository asks for signatures only now, by its new keys."""
    found = {}
    for placed, spec in _repositories(after):
        old = before.documents.placed(placed.ref) if before is not None and spec.verify is not None else None
        was = old.resource.spec if old is not None else None
        if not isinstance(was, RepositorySpec) or was.verify is not None or was.url != spec.url:
            continue
        for key, revision in tips.items():
            followed = read_key(key)
            if (followed.url, followed.reader, followed.verified_for) == (spec.url, _reader(placed), None):
                remote = Remote(spec.url, followed.ref, reader=followed.reader)
                found[source_key(remote, placed.ref)] = revision
    return found


_THE = {
    RefKind.BRANCH: "the branch",
    RefKind.TAG: "a new tag",
    RefKind.SEMVER: "the next version",
    RefKind.REVISION: "what is followed",
}


@dataclass(slots=True)
class SourceSigners:
    """Judges the signatures of source revisions. Only the loop's own thread asks."""

    persons: Persons
    _said: dict[str, str | None] = field(default_factory=dict)
    """Why the newest revision is not followed, or that it is, by the key of the branch."""

    def take(self) -> dict[str, str | None]:
        """Return what was found out since this was asked last: by key why a revision is refused; None: it is not."""
        said, self._said = self._said, {}
        return said

    def note(self, way: Way, refusal: str | None) -> None:
        """Note why the newest revision is not followed, for another reason than its signature; None: there is none."""
        self._said[way.key] = refusal

    def refuse(  # noqa: PLR0917
        self,
        way: Way,
        remote: Remote,
        commit: CommitInfo,
        before: Revision | None,
        in_force: InForce | None,
        now: datetime,
    ) -> Diagnostic | None:
        """Note and return why nobody who has to has signed the newest commit; None: it is followed."""
        if way.placed is None or way.verify is None or in_force is None:
            return None
        refusal = self._refusal(commit, way.verify, in_force.documents, now)
        self._said[way.key] = refusal
        if refusal is None:
            return None
        summary = f"source repository {redact(remote.url)} ({read_ref(remote.ref)}): {refusal}"
        hint = f"have one of them sign the newest commit of {_THE[read_ref(remote.ref).kind]}"
        if before == commit.revision:
            hint += "; it stays in use, because it was followed before it needed a signature"
        elif before is not None:
            hint += f"; until then {before[:12]} stays in use"
        at = way.placed.resource.position(("spec", "verify"))
        return Diagnostic(Severity.WARNING, "source-unverified", summary, hint, at)

    def _refusal(self, commit: CommitInfo, verify: Verify, documents: PlacedDocuments, now: datetime) -> str | None:
        (found,) = self.persons.authors(commit, documents, SourceIdentity.SIGNED, now)
        wanted = " or ".join(map(str, verify.signers))
        if isinstance(found, Stranger):
            return f"{commit.revision[:12]} is not signed by {wanted}: {found.message}"
        if any(_is(found.subject, each, documents) for each in verify.signers):
            return None
        return f"{commit.revision[:12]} is signed by {found.subject}, not by {wanted}"


def _is(subject: Subject, signer: SignerRef, documents: PlacedDocuments) -> bool:
    if subject.kind is not SubjectKind.USER:
        return False
    if signer.user is not None:
        return subject.name == signer.user
    group = documents.placed(ResourceRef(Kind.GROUP, ROOT, signer.group or ""))
    spec = group.resource.spec if group is not None else None
    return isinstance(spec, GroupSpec) and subject.name in spec.members
