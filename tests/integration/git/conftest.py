import os
import subprocess

import pytest

from reconciler.git.trees import Trees
from tests.needs import need


class Repo:
    """A repository made with the git command."""

    def __init__(self, path):
        need("git")
        self.path = path
        self.url = f"file://{path}"
        self._clock = 1_700_000_000
        path.mkdir(parents=True)
        self.git("init", "-q", "--template=", "-b", "main")

    def git(self, *args, stdin=None):
        stamp = f"{self._clock} +0000"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_DATE": stamp,
        }
        done = subprocess.run(["git", *args], cwd=self.path, env=env, input=stdin, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def commit(self, files=None, message="change"):
        """Write, or with None delete, files and commit; gives the revision."""
        for name, content in (files or {}).items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._clock += 1
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

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
