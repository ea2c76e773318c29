"""All mirrors of an installation. Each remote is fetched once a round, several at a time."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import FETCH_DEADLINE, Mirror
from reconciler.git.remote import Credentials, check_url
from reconciler.git.wanted import Arrived, check_ref
from spaces.model.refs import Ref

PARALLEL_FETCHES = 8


@dataclass(frozen=True, slots=True)
class Remote:
    """A branch, tag or commit of a repository as somebody with these credentials sees it.

    The credentials are part of it: that one space may fetch a URL does not let another space that names the same URL
    read it.
    """

    url: str
    ref: Ref
    credentials: Credentials | None = None
    reader: str = ""
    """Who reads it: the Repository document, as space/name; empty for the configuration repository."""


class Mirrors:
    """The mirrors below one directory, named by the hash of their URL and reader. Threads may share it.

    Each reader has one of its own: what somebody's credentials brought is not there for others.
    """

    def __init__(self, directory: Path, parallel: int = PARALLEL_FETCHES) -> None:
        """Use the mirrors below `directory`, and fetch from at most `parallel` remotes at a time."""
        self.directory = directory
        self._parallel = parallel
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Mirror] = {}

    def mirror(self, url: str, reader: str = "") -> Mirror:
        """Return a reader's mirror of a URL, always the same object; raise ValueError for a URL that is not allowed."""
        with self._lock:
            mirror = self._open.get((url, reader))
            if mirror is None:
                # No URL holds a line break.
                whose = f"{url}\n{reader}" if reader else url
                name = hashlib.sha256(whose.encode("utf-8", "surrogateescape")).hexdigest()[:32]
                mirror = self._open[url, reader] = Mirror.open(self.directory / f"{name}.git", url)
            return mirror

    def fetch_all(
        self,
        remotes: Iterable[Remote],
        deadline: float = FETCH_DEADLINE,
        took: Callable[[Remote, float], None] = lambda _remote, _seconds: None,
    ) -> dict[Remote, Arrived]:
        """Fetch all remotes once, with one connection for each URL and credentials.

        The result maps each remote to its tip or to the error. A remote that fails does not affect the others. `took`
        is told how many seconds each one took.
        """
        results: dict[Remote, Arrived] = {}
        wanted: defaultdict[tuple[str, str, Credentials | None], list[Remote]] = defaultdict(list)
        for remote in dict.fromkeys(remotes):
            try:
                check_url(remote.url)
                check_ref(remote.ref)
            except ValueError as error:
                results[remote] = GitError(GitReason.FETCH_FAILED, str(error))
            else:
                wanted[(remote.url, remote.reader, remote.credentials)].append(remote)
        if len(wanted) == 1:
            # The most common installation has one repository and needs no threads.
            results.update(self._fetch(next(iter(wanted.values())), deadline, took))
        elif wanted:
            with ThreadPoolExecutor(min(self._parallel, len(wanted)), "git-fetch") as pool:
                for fetched in pool.map(lambda group: self._fetch(group, deadline, took), wanted.values()):
                    results.update(fetched)
        return results

    def _fetch(
        self, remotes: list[Remote], deadline: float, took: Callable[[Remote, float], None]
    ) -> dict[Remote, Arrived]:
        first, began = remotes[0], time.monotonic()
        mirror = self.mirror(first.url, first.reader)
        fetched = mirror.fetch_all([remote.ref for remote in remotes], first.credentials, deadline)
        for remote in remotes:
            took(remote, time.monotonic() - began)
        return {remote: fetched[remote.ref] for remote in remotes}
