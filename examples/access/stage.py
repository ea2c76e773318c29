"""The scratch repository and its people: they write documents, sign commits, and `station reconcile` judges them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

API = "apiVersion: stationkeeper/v1"
STATION = shutil.which("station") or str(Path(sys.executable).with_name("station"))


def document(kind: str, name: str, space: str | None = None, **spec: Any) -> str:
    """Return a document as text; JSON is YAML."""
    metadata = {"name": name} | ({"space": space} if space else {})
    return f"{API}\nkind: {kind}\nmetadata: {json.dumps(metadata)}\nspec: {json.dumps(spec)}\n"


def stack(name: str, command: str = "true", **spec: Any) -> str:
    """Return a stack that runs a command."""
    return document("Stack", name, tool="script", script={"apply": command}, **spec)


def binding(name: str, role: str, space: str, person: str) -> str:
    """Return a document that gives a person a role in a space."""
    return document("RoleBinding", name, space, role=role, subjects=[{"user": person}])


@dataclass
class Play:
    """The repository, its people, and the installation that follows it."""

    scratch: Path
    failures: list[str] = field(default_factory=list)
    good: str = ""
    """The revision to which every scene returns first."""

    @property
    def repository(self) -> Path:
        """The directory in which the people commit."""
        return self.scratch / "config"

    def run(self, *command: str | Path, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run git, ssh-keygen or station."""
        around = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.scratch),
            "GIT_CONFIG_NOSYSTEM": "1",
            "STATION_CONFIG_URL": self.repository.as_uri(),
            "STATION_DATA_DIR": str(self.scratch / "data"),
            "STATION_ADMINS": "ada",
            "STATION_REQUIRE_SANDBOX": "false",
        }
        directory = self.repository if self.repository.is_dir() else self.scratch
        return subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            env=around | env,
            capture_output=True,
            text=True,
            check=check,
        )

    def git(self, *arguments: str | Path, **env: str) -> str:
        """Run git."""
        return self.run("git", *arguments, **env).stdout.strip()

    def key(self, name: str) -> str:
        """Make an SSH key and return its public half."""
        path = self.scratch / name
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
        return path.with_name(f"{name}.pub").read_text(encoding="utf-8").strip()

    def commit(
        self,
        signer: str | None,
        message: str,
        files: dict[str, str | None],
        claims: str | None = None,
        date: str = "2026-01-01T00:00:00Z",
    ) -> str:
        """Write files (None: remove them) and commit, signed by `signer`; the author line says `claims`."""
        for name, text in files.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        who = claims or signer or "somebody"
        lines = {
            f"GIT_{line}_{part}": value
            for line in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", who), ("EMAIL", f"{who}@example.com"), ("DATE", date))
        }
        key = [] if signer is None else ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.scratch / signer}"]
        self.git(*key, "commit", "--quiet", "--allow-empty", *(["-S"] if signer else []), "-m", message, **lines)
        return self.git("rev-parse", "HEAD")

    def go_back(self) -> None:
        """Restore the first configuration as ada, which ends all held changes."""
        self.git("read-tree", "-u", "--reset", self.good)
        self.commit("ada", "As it was", {})

    def reconcile(self) -> dict[str, Any]:
        """Run `station reconcile` and return its result."""
        done = self.run(STATION, "reconcile", "-o", "json", check=False)
        if not done.stdout:
            raise SystemExit(f"station reconcile: {done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def held(self, result: dict[str, Any]) -> list[str]:
        """Return the held changes, as `verb Kind space/name`."""
        return sorted(f"{each['verb']} {each['kind']} {each['space']}/{each['name']}" for each in result["held"])

    def scene(
        self,
        title: str,
        act: Callable[[], object],
        held: list[str],
        check: Callable[[dict[str, Any]], bool] | None = None,
    ) -> None:
        """Restore the first configuration, play a scene, and compare what is held afterwards."""
        self.go_back()
        act()
        result = self.reconcile()
        found = self.held(result)
        right = found == sorted(held) and not result["halted"] and (check is None or check(result))
        self.tell(title, result, right=right, expected=held)

    def tell(self, title: str, result: dict[str, Any], *, right: bool, expected: object) -> None:
        """Print the result of a scene."""
        print(f"{'ok  ' if right else 'FAIL'} {title}")
        for each in result["held"]:
            lacks = (
                f"lacks {each['missing']['action']} in {each['missing']['space']}" if each["missing"] else "broke it"
            )
            what = f"{each['verb']} {each['kind']} {each['space']}/{each['name']}"
            print(f"       held: {what} by {each['person']}, who {lacks}")
        if result["halted"]:
            print(f"       halted: {result['halted']['reason']}")
        if not right:
            self.failures.append(title)
            print(f"       expected {expected}; got {self.held(result)}, halted: {result['halted']}")
