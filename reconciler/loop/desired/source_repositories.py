"""The sources outside the configuration repository: which there are, and which new tips of theirs are followed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rbac.admission.settings import Rules
from rbac.identity import IdentityMode
from reconciler.git.errors import GitReason
from reconciler.git.mirrors import Remote
from reconciler.git.remote import redact
from reconciler.git.trees import Trees
from spaces.diagnostics import Diagnostic, Position, Severity
from spaces.documents.documents import Placed
from spaces.effective.stack import ResolvedSource, effective
from spaces.in_force import InForce
from spaces.model.explain import did_you_mean
from spaces.model.refs import read_ref
from spaces.model.repository import RepositorySpec
from spaces.model.stack import StackSpec
from spaces.names import Kind, Revision, StackId

_log = logging.getLogger(__name__)


NOT_SET_UP = "access-not-configured"
"""The code of the warning that everything is admitted."""


@dataclass(slots=True)
class AboutAccess:
    """Says what an operator must know about who may change what; in the log once."""

    rules: Rules
    identity: IdentityMode
    _told: set[str] = field(default_factory=set)
    """The codes of the warnings that the log has."""

    def diagnostics(self, in_force: InForce | None) -> list[Diagnostic]:
        """Warn where everything is admitted, where persons are not proven, or where an admin is nobody."""
        if in_force is None:
            return []
        if not self.rules.judges(in_force.documents):
            summary = "access is not set up: every change on the branch is admitted, whoever made it"
            hint = "name the first admins in the setting admins, or add User and RoleBinding documents"
            return [self._warning(NOT_SET_UP, summary, hint)]
        found = []
        if self.identity is IdentityMode.COMMITTER:
            summary = "the committer's address says whose commit it is, which proves nothing by itself"
            hint = "use identity = committer only with a Git server that checks the address"
            found.append(self._warning("identity-not-proven", summary, hint))
        users = {placed.ref.name for placed in in_force.documents.of_kind(Kind.USER)}
        if missing := sorted(self.rules.admins.users - users):
            summary = (
                f"the setting admins names {', '.join(missing)}, who has no User document: nobody can be that admin"
            )
            hint = did_you_mean(missing[0], users) or "add the User document, or correct the setting"
            found.append(self._warning("unknown-admin", summary, hint))
        return found

    def _warning(self, code: str, summary: str, hint: str) -> Diagnostic:
        if code not in self._told:
            _log.warning("%s (%s)", summary, hint)
            self._told.add(code)
        return Diagnostic(Severity.WARNING, code, summary, hint)


def unavailable(  # noqa: PLR0917
    reason: GitReason,
    remote: Remote,
    message: str,
    before: Revision | None,
    in_force: InForce | None,
    hint: str | None = None,
) -> Diagnostic:
    """Word why a source repository could not be followed, at the place in a document that names it."""
    summary = f"source repository {redact(remote.url)} ({read_ref(remote.ref)}): {message}"
    if hint is None and before is not None:
        hint = f"its last good revision {before[:12]} stays in use"
    at = _named_at(remote, in_force, ref=reason in _ABOUT_REF) if in_force is not None else None
    return Diagnostic(Severity.WARNING, f"source-{_kebab(str(reason))}", summary, hint, at)


_ABOUT_REF = frozenset(
    {
        GitReason.BRANCH_NOT_FOUND,
        GitReason.TAG_NOT_FOUND,
        GitReason.TAG_MOVED,
        GitReason.VERSION_NOT_FOUND,
        GitReason.REVISION_NOT_FOUND,
    }
)
"""What is wrong with the branch, tag, commit or range that is named, and not with the repository."""


def _kebab(word: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(word))


def outside_sources(in_force: InForce) -> Iterable[ResolvedSource]:
    """Return the sources outside the configuration repository, one for each repository and what is followed of it."""
    return (source for _, source in _users(in_force))


def _named_at(remote: Remote, in_force: InForce, *, ref: bool) -> Position | None:
    """Return where a source repository is named, or what is followed of it: in its document, or in a stack."""
    for stack, source in _users(in_force):
        placed = in_force.documents.placed(source.repository) if source.repository else None
        spec = placed.resource.spec if placed is not None else None
        if placed is None or not isinstance(spec, RepositorySpec):
            continue
        if (_reader(placed), source.ref) == (remote.reader, remote.ref):
            if ref and _names_ref(stack):
                return stack.resource.position(("spec", "source", read_ref(remote.ref).kind.value))
            return placed.resource.position(("spec", "branch" if ref and "branch" in spec.model_fields_set else "url"))
    return None


def _reader(repository: Placed) -> str:
    return f"{repository.ref.space}/{repository.ref.name}"


def _names_ref(stack: Placed) -> bool:
    spec = stack.resource.spec
    return isinstance(spec, StackSpec) and spec.source is not None and spec.source.ref is not None


def _users(in_force: InForce) -> Iterator[tuple[Placed, ResolvedSource]]:
    seen = set()
    for repository in in_force.documents.of_kind(Kind.REPOSITORY):
        for user in in_force.documents.mentioning(Kind.REPOSITORY, repository.ref.name):
            stack = in_force.documents.placed(user)
            if user.kind is not Kind.STACK or stack is None:
                continue
            source = effective(in_force.documents, StackId(user.space, user.name)).source
            if source is None or source.repository is None:
                continue
            if (source.repository, source.ref) not in seen:
                seen.add((source.repository, source.ref))
                yield stack, source


def follows(trees: Trees, remote: Remote, before: Revision, tip: Revision, in_force: InForce | None) -> bool:
    """Whether a branch may go on from one revision to another.

    It may where the new one builds on the old one, and where the new history is accepted.
    """
    return trees.is_ancestor(before, tip) or is_accepted(trees, remote, before, tip, in_force)


def is_accepted(trees: Trees, remote: Remote, before: Revision, tip: Revision, in_force: InForce | None) -> bool:
    """Whether the Repository document by which stacks use a branch or tag accepts its new history.

    It does where it names the tip itself, or a commit that the tip builds on and the old one does not.
    """
    if in_force is None:
        return False
    named = list(_accepted(remote, in_force))
    return bool(named) and all(revision is not None and _accepts(trees, revision, before, tip) for revision in named)


def _accepted(remote: Remote, in_force: InForce) -> Iterable[Revision | None]:
    """Return what each Repository document accepts by which some stack uses the branch or tag."""
    for source in outside_sources(in_force):
        placed = in_force.documents.placed(source.repository) if source.repository else None
        spec = placed.resource.spec if placed is not None else None
        if placed is None or not isinstance(spec, RepositorySpec):
            continue
        if (_reader(placed), source.ref) == (remote.reader, remote.ref):
            yield Revision(spec.accept_rewrite) if spec.accept_rewrite else None


def _accepts(trees: Trees, named: Revision, before: Revision, tip: Revision) -> bool:
    if named == tip:
        return True
    # What the old history holds too says nothing of the new one: an acceptance is for one rewrite, not for all to come.
    return trees.is_ancestor(named, tip) and trees.has(before) and not trees.is_ancestor(named, before)
