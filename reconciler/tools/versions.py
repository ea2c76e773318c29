"""Finds a tool's binary and its version, and checks the version that a stack asks for. Called in the service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from threading import Lock

from reconciler.tools.base import Tool
from spaces.model.versions import version_range

_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """A tool that can be run. `binary` is absolute, or empty for a tool without one; `version` None without one."""

    binary: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Missing:
    """A tool that cannot be run here, with the reason in one sentence."""

    message: str


_known: dict[tuple[str, str, int, int], str] = {}
_lock = Lock()


def find(tool: Tool, search_path: str) -> Found | Missing:
    """Look for the tool's binary in the directories of `search_path` and ask it for its version, once a binary."""
    if not tool.binaries:
        return Found("", None)
    binary = next((found for name in tool.binaries if (found := shutil.which(name, path=search_path))), None)
    if binary is None:
        return Missing(f"{tool.name} is not installed: there is no {' or '.join(tool.binaries)} on the search path")
    return ask(tool, os.path.abspath(binary), search_path)  # noqa: PTH100 - a link keeps its own name: some binaries go by it


def ask(tool: Tool, binary: str, search_path: str) -> Found | Missing:
    """Ask a binary (an absolute path) for its version, once as long as it stays the same."""
    try:
        status = os.stat(binary)  # noqa: PTH116 - beside the line above
    except OSError as error:
        return Missing(f"{tool.name} cannot be used: {error.strerror}")
    key = (tool.name, binary, status.st_mtime_ns, status.st_size)
    with _lock:
        version = _known.get(key)
    if version is None:
        asked = _ask(tool, binary, search_path)
        if not isinstance(asked, str):
            return asked
        version = asked
        with _lock:
            _known[key] = version
    return Found(binary, version or None)


def check(tool: str, constraint: str | None, found: Found) -> str | None:
    """Return in one sentence how the version misses the constraint (`>=1.8,<2`); None if it does not."""
    if constraint is None:
        return None
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - only stacks that ask need it

    try:
        wanted = version_range(constraint)
    except ValueError:
        return f"toolVersion {constraint!r} is not a range of versions: write, for example, '>=1.8,<2' or '~> 1.9'"
    if found.version is None:
        return f"{tool} has no version, but the stack requires {constraint}"
    try:
        version = Version(found.version)
    except InvalidVersion:
        return f"{tool} calls its version {found.version!r}, which cannot be compared with {constraint}"
    if wanted.contains(version, prereleases=True):
        return None
    return f"{tool} {found.version} is installed, but the stack requires {constraint}"


def _ask(tool: Tool, binary: str, search_path: str) -> str | Missing:
    command = tool.version_command(binary)
    if command is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="station-version-") as home:
        environment = {
            "PATH": search_path,
            "HOME": home,
            "TMPDIR": home,
            "LC_ALL": "C.UTF-8",
            "CHECKPOINT_DISABLE": "1",
        }
        try:
            done = subprocess.run(
                list(command),
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Missing(f"{tool.name} cannot be used: it did not report its version within {_SECONDS:.0f} s")
        except OSError as error:
            return Missing(f"{tool.name} cannot be used: {error.strerror}")
    if done.returncode != 0:
        return Missing(f"{tool.name} cannot be used: asking for its version ended with exit code {done.returncode}")
    try:
        return tool.read_version(done.stdout.decode("utf-8", "replace"))
    except ValueError as error:
        return Missing(f"{tool.name} cannot be used: it did not report its version ({error})")
