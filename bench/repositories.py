"""Repositories of any size, always the same, written with `git fast-import`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.harness import environment

TEAM = 100
"""The stacks in a team's space, which are files in the team's directory; `flat=True` puts all into one directory."""
SHARERS = 10
"""The stacks that use the same context of their team."""

_SCRIPT = b"#!/bin/sh\necho applied\n"


@dataclass(slots=True)
class Repository:
    """A bare repository with one branch, main."""

    path: Path
    _commits: int = 0

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Create an empty repository."""
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
        return cls(path)

    @property
    def url(self) -> str:
        """The URL to fetch it from."""
        return self.path.as_uri()

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add files or replace those at the same paths; return the new commit."""
        self._commits += 1
        start = [
            b"commit refs/heads/main\n",
            b"committer Bench <bench@example.org> %d +0000\n" % (1_700_000_000 + self._commits),
            b"data 6\nchange\n",
        ]
        if self._commits > 1:
            start.append(b"from refs/heads/main^0\n")
        entries = (
            b"M %s inline %s\ndata %d\n%s\n" % (_mode(path), path.encode(), len(data), data)
            for path, data in files.items()
        )
        stream = b"".join([*start, *entries, b"\n"])
        command = ["git", "fast-import", "--quiet"]
        # A packed first commit, like a clone; later ones as loose objects, like a push of few files.
        limit = ["-c", "fastimport.unpackLimit=100"]
        subprocess.run([command[0], *limit, *command[1:]], input=stream, cwd=self.path, env=environment(), check=True)
        return self.head()

    def head(self) -> str:
        """Return the tip of main."""
        command = ["git", "rev-parse", "refs/heads/main"]
        return subprocess.run(command, cwd=self.path, check=True, capture_output=True, text=True).stdout.strip()


def _mode(path: str) -> bytes:
    return b"100755" if path.endswith(".sh") else b"100644"


def stack_path(number: int, *, flat: bool = False) -> str:
    """Return the file of a stack's document."""
    return f"stack-{number:05}.yaml" if flat else f"team-{number // TEAM:03}/stack-{number:05}.yaml"


def context_path(team: int) -> str:
    """Return the file of a team's contexts."""
    return f"team-{team:03}/contexts.yaml"


def contexts(team: int, level: str = "info") -> bytes:
    """Return the contexts of a team; `level` is a value of the first one."""
    return "---\n".join(
        _context(team, group, level if group == 0 else "info") for group in range(TEAM // SHARERS)
    ).encode()


def _context(team: int, group: int, level: str) -> str:
    return (
        "apiVersion: stationkeeper/v1\n"
        "kind: Context\n"
        f"metadata: {{name: shared-{team:03}-{group}}}\n"
        "spec:\n"
        f"  env: {{LOG_LEVEL: {level}, REGION: eu-west-{group}}}\n"
    )


def stack(number: int, *, size: str = "small", flat: bool = False) -> bytes:
    """Return a stack's document: 26 lines, as teams write them."""
    chance = Random(number)
    team, place = number // TEAM, number % TEAM
    directory = "source" if flat else f"stack-{number:05}"
    context = "common" if flat else f"shared-{team:03}-{place // SHARERS}"
    return f"""\
apiVersion: stationkeeper/v1
kind: Stack
metadata:
  name: stack-{number:05}
  labels:
    tier: {chance.choice(["base", "web", "data"])}
    owner: team-{team:03}
  description: What team {team} runs as its number {place}.
spec:
  tool: script
  source:
    path: ./{directory}
  autodeploy: true
  suspended: false
  timeout: 30m
  env:
    SIZE: {size}
    REGION: eu-west-{chance.randrange(3)}
    CIDR: 10.{chance.randrange(256)}.{chance.randrange(256)}.0/24
    SERVICE: service-{chance.randrange(10**6):06}
  contexts:
    - {context}
    - name: shared
      priority: 10
  script:
    apply: ./apply.sh
""".encode()


def files(stacks: int, *, flat: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a repository with this many stacks."""
    head = "apiVersion: stationkeeper/v1\n"
    names = ("shared", "common") if flat else ("shared",)
    for name in names:
        text = f"{head}kind: Context\nmetadata: {{name: {name}}}\nspec:\n  env: {{{name.upper()}: yes-{name}}}\n"
        yield f"contexts-{name}.yaml", text.encode()
    if flat:
        yield "source/apply.sh", _SCRIPT
        for number in range(stacks):
            yield stack_path(number, flat=True), stack(number, flat=True)
        return
    for team in range((stacks + TEAM - 1) // TEAM):
        space = f"{head}kind: Space\nmetadata: {{name: team-{team:03}}}\nspec: {{inherit: true}}\n"
        yield f"team-{team:03}/space.yaml", space.encode()
        yield context_path(team), contexts(team)
        for number in range(team * TEAM, min(stacks, (team + 1) * TEAM)):
            yield stack_path(number), stack(number)
            yield f"team-{team:03}/stack-{number:05}/apply.sh", _SCRIPT + b"# %d\n" % number


def build(path: Path, stacks: int, *, flat: bool = False) -> Repository:
    """Create a repository with this many script stacks."""
    repository = Repository.create(path)
    repository.commit(dict(files(stacks, flat=flat)))
    return repository
