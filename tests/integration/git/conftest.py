import itertools

import pygit2
import pytest

from reconciler.git.trees import Trees
from tests.e2e import station


class Repo(station.Repo):
    """A repository whose commits have fixed dates, so that the same history always has the same ids."""

    def __init__(self, path):
        self._clock = itertools.count(1_700_000_000)
        super().__init__(path)

    @property
    def environment(self):
        stamp = f"{next(self._clock)} +0000"
        dates = {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        return super().environment | {"HOME": str(self.path.parent), **dates}

    def signature(self):
        return pygit2.Signature("Ada", "ada@example.org", next(self._clock), 0)

    def tree_commit(self, listing):
        """Commit a tree given as lines for `git mktree`: names that a work tree cannot hold; gives the revision."""
        tree = self.git("mktree", "--missing", "-z", stdin=b"".join(line + b"\0" for line in listing))
        revision = self.git("commit-tree", tree, "-m", "made by hand")
        self.git("update-ref", "refs/heads/main", revision)
        return revision

    def blob(self, content):
        return self.git("hash-object", "-w", "--stdin", stdin=content).encode()

    @property
    def trees(self):
        return Trees.of_clone(self.path)


@pytest.fixture
def repo(tmp_path):
    return Repo(tmp_path / "repo")


@pytest.fixture
def make_repo(tmp_path):
    return lambda name: Repo(tmp_path / name)
