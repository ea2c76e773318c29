"""What a run's commands see of the machine: everything read-only, nothing of other runs, the service or its secrets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Job

_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
INHERITED = frozenset(
    ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", *_CERTIFICATES, *_PROXIES, *(name.upper() for name in _PROXIES))
)
"""Nothing else of the service's environment reaches a run."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a run inherits of an environment."""
    return {name: value for name, value in environ.items() if name in INHERITED}


SEEN = RunDirectory(Path("/run/station"))
"""Where commands inside a sandbox see the directories of their run: in the same place in every run.

Tools write paths into what they make (`path.cwd`, `abspath`): one with the run's id in it would be a change each time.
"""


def tool_environment(job: Job, directory: RunDirectory, environ: Mapping[str, str], temporary: str) -> dict[str, str]:
    """Return the environment of every command of a run, which sees its `directory` there.

    The documents may set anything but what comes after `job.env`.
    """
    return {
        **inherited(environ),
        **job.env,
        "HOME": str(directory.home),
        "TMPDIR": temporary,
        **job.about,
        "STATION_STACK": job.stack,
        "STATION_RUN": job.run,
        "STATION_OUTPUTS": str(directory.outputs),
        "STATION_MASK": str(directory.masks),
        "STATION_FACTS": str(directory.facts),
        "STATION_PLAN": str(directory.shown_plan),
    }


_HOMES = ("/home", "/root", "/run")
WHOLE = "/"
"""As a writable directory: the machine as it is, as far as file permissions go; the covers stay."""

_OWN_CODE = tuple(dict.fromkeys((str(Path(__file__).resolve().parents[2]), os.path.realpath(sys.prefix))))
"""Where this program and its libraries are installed."""

_KERNEL = ("/proc/sys", "/sys")
"""Settings of the kernel, which root may change without any capability, and with them what runs outside the sandbox."""
_READ_ONLY = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
"""The machine, of which /sys is as read-only as the rest. Each mount takes a third of a millisecond."""

_KEPT_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID")
"""What unpacking an archive as root needs. Without CAP_SYS_ADMIN nothing can take the covers off again."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How commands are shut in with bubblewrap; all paths are absolute.

    `hidden` is covered, `shown` is put back read-only, `writable` are directories that every run may write to.
    """

    bwrap: str
    hidden: tuple[str, ...]
    shown: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the machine may be written to as it is; its /tmp is then the shared one."""
        return WHOLE in self.writable

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Sandbox:
        """Read a sandbox back."""
        return cls(data["bwrap"], tuple(data["hidden"]), tuple(data["shown"]), tuple(data["writable"]))

    def to_data(self) -> dict[str, Any]:
        """Return the sandbox as plain JSON data."""
        return {
            "bwrap": self.bwrap,
            "hidden": list(self.hidden),
            "shown": list(self.shown),
            "writable": list(self.writable),
        }

    def prefix(
        self, directory: RunDirectory, cwd: Path, binaries: Iterable[str], inside: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the arguments that go before a command; variables of `inside` are set only for what is shut in."""
        arguments = [self.bwrap, "--unshare-pid", "--die-with-parent", "--cap-drop", "ALL"]
        if os.geteuid() == 0:
            for capability in _KEPT_CAPABILITIES:
                arguments += ["--cap-add", capability]
        covered = [path for path in (*_HOMES, *self.hidden) if os.path.isdir(path)]  # noqa: PTH112 - strings will do
        arguments += self._machine(directory)
        arguments += self._covers(covered, binaries, str(directory.root))
        arguments += self._own(directory, covered)
        arguments += [word for name, value in (inside or {}).items() for word in ("--setenv", name, value)]
        return [*arguments, "--chdir", str(SEEN.work / cwd.relative_to(os.path.realpath(directory.work))), "--"]

    def _machine(self, directory: RunDirectory) -> list[str]:
        if self.whole:
            arguments = ["--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
            # Whoever could change the service's own code would be out of the sandbox at its next start.
            return arguments + [word for path in (*_KERNEL, *_OWN_CODE) for word in ("--ro-bind", path, path)]
        return [*_READ_ONLY, "--bind", str(directory.temporary), "/tmp"]  # noqa: S108 - the sandbox's own

    def _covers(self, covered: Sequence[str], binaries: Iterable[str], own: str) -> list[str]:
        arguments: list[str] = []
        for path in covered:
            arguments += ["--tmpfs", path]
        for file in self.hidden:
            if os.path.isfile(file):  # noqa: PTH113 - strings will do
                arguments += ["--ro-bind", "/dev/null", file]
        # A tool below /tmp would be gone as well: the run has a /tmp of its own.
        gone = covered if self.whole else [*covered, "/tmp"]  # noqa: S108 - the sandbox's own
        for path in sorted(self._put_back(gone, binaries)):
            # What is the run's own it sees anyway.
            if not _below(path, own):
                arguments += ["--ro-bind", path, path]
        return arguments

    def _own(self, directory: RunDirectory, covered: Sequence[str]) -> list[str]:
        own = [path for path in self.writable if path != WHOLE and Path(path).is_dir()]
        arguments = [word for path in own for word in ("--bind", path, path)]
        shown = [(directory.work, SEEN.work), (directory.scratch, SEEN.scratch), (directory.home, SEEN.home)]
        if self.whole:
            shown.append((directory.temporary, SEEN.temporary))
        if directory.identity.is_dir():
            # The directory, so that a file that takes another one's place is seen.
            arguments += ["--ro-bind", str(directory.identity), str(SEEN.identity)]
        # In their own places too: that is how an adapter names its files in a command. A cover takes a link, which is
        # made sooner than a mount.
        link = any(_below(str(directory.root), cover) for cover in covered)
        for path, seen in shown:
            arguments += ["--bind", str(path), str(seen)]
            arguments += ["--symlink", str(seen), str(path)] if link else ["--bind", str(path), str(path)]
        for path, seen in ((directory.git, SEEN.git), (directory.packages, SEEN.packages)):
            if path.is_dir():
                arguments += ["--ro-bind", str(path), str(seen)]
        return arguments

    def _put_back(self, covered: Sequence[str], binaries: Iterable[str]) -> set[str]:
        wanted = {os.path.realpath("/etc/resolv.conf"), *self.shown}
        for binary in binaries:
            wanted |= tool_paths(binary)
        return {
            path
            for path in wanted
            # Never a cover itself or something around one: that would show what it hides.
            if any(_below(path, cover) for cover in covered)
            and not any(path == cover or _below(cover, path) for cover in covered)
            and os.path.exists(path)  # noqa: PTH110 - plain strings are all that is needed here
        }


@cache
def tool_paths(binary: str) -> set[str]:
    """Name what a binary needs: its own directory, and where it stands in a venv, that one and its Python."""
    if not binary.startswith("/"):
        return set()
    paths: set[str] = set()
    for found in (Path(binary), Path(os.path.realpath(binary))):
        prefix = found.parent.parent
        paths.add(str(found))
        paths.add(str(found.parent))
        if (prefix / "pyvenv.cfg").is_file():
            paths.add(str(prefix))
            paths.add(str(Path(os.path.realpath(found.parent / "python")).parent.parent))
    return paths


def why_not_writable(path: str, hidden: Iterable[str]) -> str | None:
    """Return why runs may not get a directory to write to (both resolved); None: they may."""
    if path == WHOLE:
        return None
    for kept in ("/tmp", "/dev", "/proc", *_HOMES):  # noqa: S108 - the sandbox's own
        if path == kept or _below(kept, path):
            return f"every run has a {kept} of its own"
    for kept in hidden:
        if path == kept or _below(kept, path) or _below(path, kept):
            return f"runs must not see {kept}"
    return None


def probe(bwrap: str) -> str | None:
    """Try bubblewrap, and return what it complained about; None: it works here."""
    import subprocess  # noqa: PLC0415 - the engine's side only

    command = [bwrap, "--unshare-pid", "--die-with-parent", "--cap-drop", "ALL", *_READ_ONLY]
    command += ["--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "it fails without a message"
    )


def _below(path: str, cover: str) -> bool:
    return path.startswith(cover.rstrip("/") + "/")
