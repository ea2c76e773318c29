"""Where configuration and sources are read: the mirrors of the repositories, and the revisions that count.

All of `loop.desired` finds Git's objects through `Places`. `Remotes` says how a repository is reached, for the fetch.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from reconciler.core.reasons import Reason
from reconciler.core.state import Desired, StackProblem
from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_secret_file
from reconciler.credentials.secrets import SecretSources
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirrors import Mirrors, Remote
from reconciler.git.remote import Credentials, check_local, redact
from reconciler.git.source_keys import read_key, source_key
from reconciler.git.trees import Trees
from reconciler.loop.desired.values import not_allowed, unreadable, without_issuer
from reconciler.loop.desired.world import (
    CONFIGURATION,
    ReadSource,
    SourceLocation,
    World,
    read_source,
)
from reconciler.settings import Settings
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.secrets import login_of
from spaces.effective.stack import EffectiveStack, ResolvedSource
from spaces.in_force import InForce
from spaces.model.refs import read_ref
from spaces.model.repository import DEFAULT_USER, RepositorySpec
from spaces.model.sealed import SealedPlace
from spaces.names import ResourceRef, Revision, StackId

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Remotes:
    """Finds remotes and reads the secrets for them anew every time, so that a rotated one counts at once."""

    settings: Settings
    secrets: SecretSources = field(default_factory=SecretSources)

    def configuration(self) -> Remote:
        """Return the configuration repository; SecretUnreadable where its credentials cannot be read."""
        settings = self.settings
        credentials = None
        if settings.config_ssh_key_file is not None:
            key = read_secret_file(settings.config_ssh_key_file, "config_ssh_key_file")
            credentials = Credentials(username=settings.config_username or DEFAULT_USER, ssh_key=key)
        elif settings.config_password_file is not None:
            password = read_secret_file(settings.config_password_file, "config_password_file").strip()
            credentials = Credentials(username=settings.config_username or DEFAULT_USER, password=password)
        return Remote(settings.config_url or "", settings.config_branch, credentials)

    def of_source(self, documents: PlacedDocuments, source: ResolvedSource) -> Remote | StackProblem:
        """Return the remote of a source in another repository; a StackProblem where its credentials cannot be read."""
        placed = documents.placed(source.repository) if source.repository else None
        if placed is None or not isinstance(placed.resource.spec, RepositorySpec):
            return StackProblem(Reason.SOURCE_UNAVAILABLE, f"{source.repository} is not in force")
        spec = placed.resource.spec
        try:
            check_local(spec.url, self.settings.file_repositories)
            credentials = self._credentials(documents, placed)
        except ValueError as refused:
            return StackProblem(Reason.SOURCE_REFUSED, f"{placed.ref}: {refused}")
        except SecretUnreadable as error:
            return StackProblem(Reason.SOURCE_UNAVAILABLE, f"{placed.ref}: {error}")
        return Remote(spec.url, source.ref or spec.branch, credentials, f"{placed.ref.space}/{placed.ref.name}")

    def _credentials(self, documents: PlacedDocuments, placed: Placed) -> Credentials | None:
        login = login_of(placed.resource)
        if login is None:
            return None
        place = SealedPlace(placed.ref, login.key, documents.tree.path(placed.ref.space))
        value = self.secrets.value(login.secret, place)
        if login.key == "sshKey":
            return Credentials(username=login.username, ssh_key=value)
        return Credentials(username=login.username, password=value.strip())


def verifying(documents: PlacedDocuments, repository: ResourceRef) -> ResourceRef | None:
    """Return the Repository itself where it asks for signatures."""
    placed = documents.placed(repository)
    spec = placed.resource.spec if placed is not None else None
    return repository if isinstance(spec, RepositorySpec) and spec.verify is not None else None


class CannotFollow(Exception):
    """What was in force cannot be found again; nothing is changed. The message says why and what would help."""


@dataclass(frozen=True, slots=True)
class Places:
    """Finds objects of the repositories that a `World` is made from."""

    mirrors: Mirrors
    remotes: Remotes
    world: World

    @property
    def settings(self) -> Settings:
        """The service's settings."""
        return self.remotes.settings

    def configuration(self) -> Remote:
        """Name the configuration repository; CannotFollow where its credentials cannot be read."""
        try:
            return self.remotes.configuration()
        except SecretUnreadable as error:
            raise CannotFollow(f"the configuration repository cannot be fetched: {error}") from None

    def config_trees(self) -> Trees:
        """Return the objects of the configuration repository."""
        return self.mirrors.mirror(self.settings.config_url or "").trees

    def source_trees(self, key: str) -> Trees:
        """Return the objects of a source repository."""
        named = read_key(key)
        return self.mirrors.mirror(named.url, named.reader).trees

    def locate(self, in_force: InForce, stack: EffectiveStack) -> SourceLocation | StackProblem:
        """Find where a stack's source is read now."""
        pins = self.world.admission.pins if self.world.admission else {}
        return self._locate(in_force, stack, self.world.tips, pins)

    def locate_at(self, in_force: InForce, stack: EffectiveStack, at: Revision) -> SourceLocation | StackProblem:
        """Find where a stack's source is read at a revision of its repository."""
        return self._locate(in_force, stack, {}, {}, at)

    def recorded(self, revision: Revision) -> list[Revision]:
        """Return the commits of what was in force at a revision of the branch, newest first."""
        return self.mirrors.mirror(self.settings.config_url or "").recorded(revision)

    def reading(self, tips: Mapping[str, Revision], pins: Mapping[StackId, Revision]) -> ReadSource:
        """Return what reads sources at these revisions."""
        locate = partial(self._locate, tips=tips, pins=pins)
        return lambda in_force, stack: read_source(in_force, stack, locate)

    def check(self, stack: EffectiveStack) -> StackProblem | None:
        """Return what of the surroundings keeps a stack from being run."""
        return (
            not_allowed(stack, self.settings.env_takeover_allowed)
            or without_issuer(stack, self.settings.issuer_url)
            or unreadable(stack, self.remotes.secrets)
        )

    def other_checks(self) -> set[StackId]:
        """Find the stacks whose secrets or sources could not be had, and can now, or fail for another reason."""
        return {
            stack
            for stack in self.world.troubled()
            if not isinstance(self.world.pinned.get(stack), StackProblem)
            and (found := self.world.effective(stack)) is not None
            and self._problem(found) != self.world.desired[stack].problem
        }

    def _problem(self, stack: EffectiveStack) -> StackProblem | None:
        in_force = self.world.in_force
        if stack.source is not None and in_force is not None and stack.id not in self.world.pinned:
            _, source = read_source(in_force, stack, self.locate)
            if isinstance(source, StackProblem):
                return source
        return self.check(stack)

    def users(self, key: str, revision: Revision) -> set[StackId]:
        """Find the stacks that a new tip of a source repository concerns."""
        before = self.world.tips.get(key)
        if before is None:
            return {stack for stack, desired in self.world.desired.items() if desired.problem is not None}
        trees = self.source_trees(key)
        if not trees.has(before):
            return self.world.index.of_repository(key)
        try:
            changed = trees.changed_paths(before, revision)
        except GitError as error:
            if error.reason is not GitReason.TOO_MANY_FILES:
                raise
            return self.world.index.of_repository(key)
        return self.world.index.users(key, changed)

    def count_changes(self, old: str, new: str) -> int | None:
        """Count the files that differ between two Git objects; None where no repository has both."""
        if len(old) != 40 or len(new) != 40:
            return None
        trees = [self.config_trees(), *(self.source_trees(key) for key in self.world.tips)]
        return next((count for each in trees if (count := each.count_changes(old, new)) is not None), None)

    def with_refusals(self, wanted: Mapping[StackId, Desired]) -> dict[StackId, Desired]:
        """Return the desired states with why a newer revision of a source is not followed."""
        refused, index = self.world.refused, self.world.index
        if not refused:
            return dict(wanted)
        return {
            stack: replace(desired, refused=refused.get(index.repository_of(stack) or ""))
            for stack, desired in wanted.items()
        }

    def keep(self, revision: Revision) -> None:
        """Have the mirror keep a revision that is to be in force, whatever becomes of its branch."""
        self.mirrors.mirror(self.settings.config_url or "").keep(revision)

    def record(self, revision: Revision, files: Mapping[str, bytes | None]) -> None:
        """Write what is to be in force into the mirror as a commit: the branch's files, with these as they are here.

        It is for people who look. The store decides what is in force, so a tree that Git will not write is only logged.
        """
        message = f"In force at {revision[:12]}\n"
        try:
            self.mirrors.mirror(self.settings.config_url or "").record(revision, files, message)
        except (GitError, ValueError, KeyError) as error:
            _log.warning("the tree in force at %s is not written to the mirror: %s", revision[:12], error)

    def release(self, revision: Revision | None) -> None:
        """Let go of a revision that is no longer in force."""
        if revision is not None and revision != self.world.revision:
            self.mirrors.mirror(self.settings.config_url or "").release(revision)

    def _locate(
        self,
        in_force: InForce,
        stack: EffectiveStack,
        tips: Mapping[str, Revision],
        pins: Mapping[StackId, Revision],
        at: Revision | None = None,
    ) -> SourceLocation | StackProblem:
        if stack.source is None or stack.source.repository is None:
            return SourceLocation(CONFIGURATION, self.config_trees(), at or pins.get(stack.id, in_force.revision))
        remote = self.remotes.of_source(in_force.documents, stack.source)
        if isinstance(remote, StackProblem):
            return remote
        key = source_key(remote, verifying(in_force.documents, stack.source.repository))
        revision = at or tips.get(key)
        if revision is None and key in self.world.refused:
            return StackProblem(Reason.SOURCE_UNVERIFIED, self.world.refused[key])
        if revision is None:
            shown = f"{redact(remote.url)} ({read_ref(remote.ref)})"
            why = self.world.missing.get(key)
            message = f"{shown} has not been fetched yet" if why is None else f"{shown} cannot be followed: {why}"
            return StackProblem(Reason.SOURCE_UNAVAILABLE, message)
        return SourceLocation(key, self.mirrors.mirror(remote.url, remote.reader).trees, revision)
