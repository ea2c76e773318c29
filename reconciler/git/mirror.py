"""One remote's mirror: a bare repository that can be deleted and fetched again at any time.

The loop calls `fetch_all` (through `Mirrors`), and reads commits and files through `trees`. A fetch returns each
branch's or tag's tip or the error about it. The mirror keeps revisions that the service still needs (`keep`), whatever
becomes of their branch. It never runs git, never writes into a working copy, and never reads this machine's Git
configuration.

Two mechanisms protect the tips. A fetch lands in an incoming ref, which becomes the tip only when its commit and tree
are complete. And a damaged mirror is fetched again beside the old one, which stays readable until the new one is
complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pygit2

from reconciler.git import nearby, overlays, pushing, refs, transfer
from reconciler.git.errors import GitError, GitReason, is_disk_full, one_line
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.packs import compact
from reconciler.git.pushing import Draft
from reconciler.git.remote import Credentials, check_url, redact
from reconciler.git.trees import Trees
from reconciler.git.wanted import (
    Arrived,
    Release,
    Wanted,
    branches_in,
    check_ref,
    names_no_commit,
    not_found,
    reached,
    revision_of,
)
from spaces.model.refs import Ref, RefKind, read_ref, ref_of
from spaces.names import Revision

_LOCK_PAUSE = 0.02
FETCH_DEADLINE = 600.0
"""The most seconds that one fetch may take in all."""

Fetched = dict[Ref, Arrived]
"""What was wanted, each with its commit or the error about it."""


class Mirror:
    """Fetches branches of one remote and keeps the fetched commits. Threads and processes may share it.

    A failed fetch, or a kill in the middle of one, never moves a tip.
    """

    def __init__(self, directory: Path, url: str) -> None:
        """Use `Mirror.open` instead, which checks the URL."""
        self.directory = directory
        self.url = url
        self._fetching = threading.Lock()
        self._refs_lock = threading.RLock()
        self._damaged = False
        self._checked = False
        self._trees: Trees | None = None

    @classmethod
    def open(cls, directory: Path, url: str) -> Mirror:
        """Return the mirror in `directory`, which is created when first needed.

        Raise ValueError for a URL that is not allowed.
        """
        check_url(url)
        return cls(directory, url)

    @property
    def trees(self) -> Trees:
        """The objects fetched so far. The object stays usable across later fetches, and sees their objects."""
        if (trees := self._trees) is not None:
            return trees
        with self._refs_lock, _plain_errors():
            if self._trees is None:
                self._prepare()
                self._trees = Trees.of_mirror(self.directory, self._on_loss)
            return self._trees

    def tip(self, ref: Ref) -> Revision | None:
        """Return the last fetched revision of a branch or tag; None if it was never fetched."""
        check_ref(ref)
        repository = refs.open_bare(self.directory)
        return refs.target(repository, refs.tip_name(ref)) if repository else None

    def keep(self, revision: Revision) -> None:
        """Keep a revision and its history, whatever becomes of its branch."""
        with self._refs_lock, _plain_errors():
            self.trees.commit(revision)
            refs.point(self._repository(), refs.KEEP + revision, revision)

    def release(self, revision: Revision) -> None:
        """Stop keeping a revision; do nothing if it was not kept."""
        with self._refs_lock, _plain_errors():
            refs.delete(self._repository(), refs.KEEP + revision)

    def forget_all_but(self, kept: Collection[Ref], most: int) -> None:
        """Let go of the tips of all other branches, tags and commits, where there are more than `most` tips."""
        with self._refs_lock, _plain_errors():
            repository = self._repository()
            tips = refs.names(repository, refs.TIP)
            for name in tips if len(tips) > most else ():
                if refs.ref_of_tip(name) not in kept:
                    refs.delete(repository, name)

    def record(self, tip: Revision, files: Mapping[str, bytes | None], message: str) -> Revision:
        """Write what is in force as a commit: the tree of `tip` with these files as given; None: without the file."""
        with self._refs_lock, _plain_errors():
            return overlays.record(self._repository(), tip, files, message)

    def draft(self, draft: Draft) -> Revision:
        """Make a commit that lies on no branch yet."""
        with self._refs_lock, _plain_errors():
            return pushing.commit(self._repository(), draft)

    def push(self, revision: Revision, branch: str, credentials: Credentials | None = None) -> str:
        """Give the remote a commit as a new branch; return what it says to that. Raise GitError, and nothing is there.

        It never moves a branch: BranchExists where there is one of that name.
        """
        with _plain_errors(GitReason.PUSH_FAILED):
            return pushing.push(self._repository(), self.url, revision, branch, credentials)

    def recorded(self, tip: Revision) -> list[Revision]:
        """Return the commits that `record` made for a tip, newest first."""
        with _plain_errors():
            repository = refs.open_bare(self.directory)
            return [] if repository is None else overlays.recorded(repository, tip)

    def kept(self) -> list[Revision]:
        """Return the revisions that are kept, sorted."""
        kept = refs.names(refs.open_bare(self.directory), refs.KEEP)
        return sorted(Revision(name.removeprefix(refs.KEEP)) for name in kept)

    def fetch(self, ref: Ref, credentials: Credentials | None = None, deadline: float = FETCH_DEADLINE) -> Revision:
        """Fetch one branch, tag or commit and return its tip; raise GitError, in which case the last tip stays."""
        result = self.fetch_all([ref], credentials, deadline)[ref]
        if isinstance(result, GitError):
            raise result
        return revision_of(result)

    def fetch_all(
        self, wanted: Collection[Ref], credentials: Credentials | None = None, deadline: float = FETCH_DEADLINE
    ) -> Fetched:
        """Fetch several branches, tags and commits in one connection. An error about one does not affect the others."""
        for ref in wanted:
            check_ref(ref)
        until = time.monotonic() + deadline
        lock = self.directory.with_name(self.directory.name + ".lock")
        try:
            with self._fetching, _plain_errors(), _locked(lock, until):
                return self._fetch(sorted(set(wanted)), credentials, until)
        except TimeoutError:
            message = f"another process has been fetching {redact(self.url)} for too long"
            return dict.fromkeys(wanted, GitError(GitReason.FETCH_FAILED, message))
        except GitError as error:
            return dict.fromkeys(wanted, error)

    def _fetch(self, wanted: list[Ref], credentials: Credentials | None, until: float) -> Fetched:
        self._prepare()
        if not self._checked:
            self._tidy()
            self._damaged = self._damaged or not self._is_whole()
        if not self._damaged:
            try:
                results = self._download(self.directory, wanted, credentials, until)
            except GitError as error:
                if error.reason is GitReason.FETCH_FAILED:
                    # Either the remote fails, or the mirror has announced objects to it that the mirror lost.
                    self._damaged = not self._is_whole(history=True)
                else:
                    self._damaged = error.reason is GitReason.REPOSITORY_CORRUPT
                if not self._damaged:
                    raise
            else:
                self._checked = True
                compact(self.directory)
                return results
        return self._fetch_anew(wanted, credentials, until)

    def _fetch_anew(self, wanted: list[Ref], credentials: Credentials | None, until: float) -> Fetched:
        fresh = self.directory.with_name(self.directory.name + ".fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        transfer.init_bare(fresh)
        old = refs.open_bare(self.directory)
        others = {refs.ref_of_tip(name) for name in refs.names(old, refs.TIP)}
        results = self._download(fresh, sorted(others | set(wanted)), credentials, until)
        with self._refs_lock:
            self._swap(fresh, old)
        self._damaged = False
        self._checked = True
        return {ref: results[ref] for ref in wanted}

    def _swap(self, fresh: Path, old: pygit2.Repository | None) -> None:
        """Put the new repository in place of the old one, which is moved aside for people to examine."""
        repository = refs.open_bare(fresh)
        for name in refs.names(old, refs.KEEP):
            with suppress(*LIBRARY_ERRORS):
                if repository is not None:
                    refs.point(repository, name, name.removeprefix(refs.KEEP))
        broken = self.directory.with_name(self.directory.name + ".broken")
        shutil.rmtree(broken, ignore_errors=True)
        self.directory.rename(broken)
        fresh.rename(self.directory)
        self._trees = None

    def _download(self, directory: Path, wanted: list[Ref], credentials: Credentials | None, until: float) -> Fetched:
        repository = refs.open_bare(directory)
        if repository is None:
            raise self._corrupt()
        with _plain_errors(GitReason.REPOSITORY_CORRUPT):
            for left in (*refs.names(repository, refs.INCOMING), *refs.names(repository, refs.ALL)):
                refs.delete(repository, left)
            fetch = Wanted.of(wanted, partial(_is_tip, repository, Trees.of_mirror(directory)))
            if branches := branches_in(wanted):
                nearby.copy_new_objects(repository, self.url, branches)
            heads: list[str] = []
            if fetch.needs_remote:
                refspecs = fetch.choose if fetch.needs_names else fetch.refspecs()
                heads = transfer.fetch(repository, self.url, refspecs, credentials, until - time.monotonic())
            trees = Trees.of_mirror(directory)
            named = {ref: self._arrive(repository, trees, ref, heads) for ref in fetch.named()}
            found = {ref: self._result(repository, trees, fetch, ref, named) for ref in wanted}
            for brought in refs.names(repository, refs.ALL):
                refs.delete(repository, brought)
            return found

    def _result(
        self,
        repository: pygit2.Repository,
        trees: Trees,
        fetch: Wanted,
        ref: Ref,
        named: Mapping[Ref, Revision | GitError],
    ) -> Arrived:
        followed = read_ref(ref)
        match followed.kind:
            case RefKind.SEMVER:
                tag = fetch.version(ref)
                result = tag if isinstance(tag, GitError) else named[ref_of(RefKind.TAG, tag)]
                return result if isinstance(result, GitError) else Release(str(tag), result)
            case RefKind.REVISION:
                revision = Revision(followed.name)
                if not _is_tip(repository, trees, ref) and not reached(repository, refs.ALL, revision):
                    message = f"{redact(self.url)} has no commit {revision} on any branch or tag"
                    return GitError(GitReason.REVISION_NOT_FOUND, message)
                refs.point(repository, refs.tip_name(ref), revision)
                return revision
            case _:
                return named[ref]

    def _arrive(self, repository: pygit2.Repository, trees: Trees, ref: Ref, heads: list[str]) -> Revision | GitError:
        """Make the fetched commit the tip of its branch or tag, and return it."""
        incoming, tip = refs.incoming_name(ref), refs.tip_name(ref)
        revision = refs.target(repository, incoming)
        if revision is None:
            error = not_found(ref, heads, redact(self.url))
            if error is None and names_no_commit(repository, incoming):
                error = GitError(GitReason.TAG_NOT_FOUND, f"{one_line(read_ref(ref).name)!r} is a tag of no commit")
            if error is None:
                raise self._corrupt()
            return error
        if refs.target(repository, tip) != revision:
            if not trees.has(revision):
                raise self._corrupt()
            refs.point(repository, tip, revision)
        refs.delete(repository, incoming)
        return revision

    def _prepare(self) -> None:
        if self.directory.exists():
            return
        self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = self.directory.with_name(f"{self.directory.name}.{os.getpid()}-{threading.get_ident()}.new")
        transfer.init_bare(made)
        try:
            made.rename(self.directory)
        except OSError:
            # Another process was faster.
            shutil.rmtree(made, ignore_errors=True)

    def _tidy(self) -> None:
        """Remove the leftovers of a killed process. Called only under the lock."""
        for unfinished in self.directory.parent.glob(f"{self.directory.name}.*.new"):
            shutil.rmtree(unfinished, ignore_errors=True)
        with suppress(OSError):
            for pattern in ("*.lock", "refs/**/*.lock", "objects/pack/pack_git2_*", "objects/pack/tmp_*"):
                for leftover in self.directory.glob(pattern):
                    leftover.unlink(missing_ok=True)

    def _repository(self) -> pygit2.Repository:
        self._prepare()
        repository = refs.open_bare(self.directory)
        if repository is None:
            self._damaged = True
            raise self._corrupt()
        return repository

    def _corrupt(self) -> GitError:
        message = f"the mirror of {redact(self.url)} is damaged; the service will fetch it again"
        return GitError(GitReason.REPOSITORY_CORRUPT, message)

    def _is_whole(self, *, history: bool = False) -> bool:
        """Whether the files of every tip, and with `history` also all commits before it, are there."""
        repository = refs.open_bare(self.directory)
        if repository is None:
            return False
        try:
            trees = Trees.of_mirror(self.directory)
            for name in (*refs.names(repository, refs.TIP), *refs.names(repository, refs.KEEP)):
                revision = refs.target(repository, name)
                if revision is None or not trees.is_complete(revision, history=history):
                    return False
        except (GitError, *LIBRARY_ERRORS):
            return False
        return True

    def _on_loss(self) -> None:
        self._damaged = True


def _is_tip(repository: pygit2.Repository, trees: Trees, ref: Ref) -> bool:
    """Whether a commit that is followed is there, and was found on a branch or tag before."""
    revision = refs.target(repository, refs.tip_name(ref))
    return revision is not None and trees.has(revision)


@contextmanager
def _plain_errors(reason: GitReason = GitReason.FETCH_FAILED) -> Iterator[None]:
    try:
        yield
    except (GitError, TimeoutError):
        raise
    except LIBRARY_ERRORS as error:
        kind = GitReason.DISK_FULL if is_disk_full(error) else reason
        raise GitError(kind, one_line(f"the mirror could not be read or written: {error}")) from error


@contextmanager
def _locked(path: Path, until: float) -> Iterator[None]:
    """Hold the lock file at `path`.

    Raise TimeoutError if another process still holds it at `until` (monotonic seconds).

    The system releases the lock when its holder dies.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while not _try_lock(handle):
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
