"""One file of one stack changes: from the fetch to the queued run, against git alone that looks for the change."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median

from bench.harness import Figure, alternate, environment, timed
from bench.installations import Installation, installation
from bench.repositories import Repository, build, context_path, contexts, stack, stack_path

ROUNDS = 11


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure 10,000 stacks against git, and against 1,000 stacks."""
    with ExitStack() as stacked:
        small = Contest(stacked, scratch / "small", 1000)
        large = Contest(stacked, scratch / "large", 10_000)
        flat = Contest(stacked, scratch / "flat", 10_000, flat=True)
        ours_small, ours, git_small, git = alternate(ROUNDS, small.one_stack, large.one_stack, small.git, large.git)
        beside_small, beside = median(small.beside[1:]), median(large.beside[1:])
        ours_flat, git_flat = alternate(5, flat.one_stack, flat.git)
        shared, one = alternate(5, large.one_context, large.one_stack)
    against = "git fetch + git diff-tree"
    yield Figure("one commit, 10,000 stacks in 100 directories", ours * 1e3, "ms", git * 1e3, against, 5)
    yield Figure("  1,000 stacks in 10 directories", ours_small * 1e3, "ms", git_small * 1e3, against, 5)
    yield Figure(
        "  beside the fetch, against 1,000 stacks", beside * 1e3, "ms", beside_small * 1e3, "1,000 stacks", 1.5
    )
    yield Figure("  with the fetch, against 1,000 stacks", ours * 1e3, "ms", ours_small * 1e3, "1,000 stacks", 1.5)
    # With file:// the client also does the server's work, which in git grows with the number of directories.
    yield Figure("  git alone, against 1,000 stacks", git * 1e3, "ms", git_small * 1e3, "1,000 stacks")
    yield Figure("  all 10,000 in one directory", ours_flat * 1e3, "ms", git_flat * 1e3, against, 5)
    yield Figure("a context that 10 of 10,000 stacks use", shared * 1e3, "ms", one * 1e3, "one stack", 10)


class Contest:
    """One installation in which every stack is in sync, and a clone that git maintains."""

    def __init__(self, stacked: ExitStack, scratch: Path, stacks: int, *, flat: bool = False) -> None:
        scratch.mkdir()
        self._stacks = stacks
        self._flat = flat
        self._repository: Repository = build(scratch / "config.git", stacks, flat=flat)
        self._clone = scratch / "clone.git"
        command = ["git", "clone", "--quiet", "--bare", "--no-local", self._repository.url, str(self._clone)]
        subprocess.run(command, check=True, env=environment())
        self._installation: Installation = stacked.enter_context(installation(self._repository.url, scratch / "data"))
        self._installation.service.loop.look()
        if self._installation.settle() != stacks:
            raise AssertionError("the repository was not taken in whole")
        self._numbers = count(1)
        self.beside: list[float] = []
        """What each round took beside the fetch, in seconds."""

    def one_stack(self) -> float:
        """Change one stack's document."""
        number = next(self._numbers)
        which = number * 37 % self._stacks
        document = stack(which, size=f"size-{number}", flat=self._flat)
        self._repository.commit({stack_path(which, flat=self._flat): document})
        return self._decide(1)

    def one_context(self) -> float:
        """Change a context that ten stacks use."""
        number = next(self._numbers)
        team = number % (self._stacks // 100)
        self._repository.commit({context_path(team): contexts(team, f"level-{number}")})
        return self._decide(10)

    def _decide(self, expected: int) -> float:
        seconds, fetch = self._installation.decide()
        self.beside.append(seconds - fetch)
        changed = self._installation.settle()
        if changed != expected:
            raise AssertionError(f"{changed} stacks had a run, expected {expected}")
        return seconds

    def git(self) -> float:
        """Fetch the last change with git and list the changed file, from the commit before it."""
        env = environment()
        before = f"{self._repository.head()}^"
        head = self._repository.head()
        old = subprocess.run(
            ["git", "rev-parse", before], cwd=self._repository.path, check=True, capture_output=True, text=True
        ).stdout.strip()

        def fetch(revision: str) -> None:
            command = ["git", "-c", "gc.auto=0", "fetch", "--quiet", "origin", f"+{revision}:refs/heads/main"]
            subprocess.run(command, cwd=self._clone, check=True, env=env)

        def see() -> None:
            fetch("refs/heads/main")
            command = ["git", "diff-tree", "-r", "--name-only", old, head]
            subprocess.run(command, cwd=self._clone, check=True, env=env, capture_output=True)

        subprocess.run(
            ["git", "config", "uploadpack.allowAnySHA1InWant", "true"], cwd=self._repository.path, check=True, env=env
        )
        fetch(old)
        return timed(see)
