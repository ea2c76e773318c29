"""The files by which a run proves who it is: there while a leg is at work, and no longer."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import TOKEN, Job, secrets_in
from reconciler.runner.processes.sandbox import SEEN


def with_paths(job: Job, seen: RunDirectory) -> Job:
    """Return the job with the variables of its identity, and the paths in it, as its commands see them."""
    identity = job.identity
    if identity is None:
        return job
    paths = {variable: str(seen.identity / name) for variable, name in identity.paths.items()}
    if seen != SEEN:
        files = {name: text.replace(str(SEEN.identity), str(seen.identity)) for name, text in identity.files.items()}
        identity = replace(identity, files=files)
    return replace(job, identity=identity, env={**job.env, **identity.env, **paths})


def bring(job: Job, directory: RunDirectory) -> None:
    """Write the files of the job's identity in the place of those of an earlier leg; OSError where the disk is full."""
    take_away(directory)
    if job.identity is None:
        return
    directory.identity.mkdir(mode=0o700, exist_ok=True)
    for name, text in job.identity.files.items():
        directory.put_identity(name, text)


def take_away(directory: RunDirectory) -> None:
    """Remove the files. The directory stays, for a leg that is still to come."""
    for path in _files(directory):
        with contextlib.suppress(OSError):
            path.unlink()


def _files(directory: RunDirectory) -> list[Path]:
    try:
        return list(directory.identity.iterdir())
    except OSError:
        return []


class Tokens:
    """Has a masker learn a run's tokens as the service renews them, before anything is masked that may hold one."""

    def __init__(self, directory: RunDirectory, masker: Masker) -> None:
        self._directory = directory
        self._masker = masker
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self) -> None:
        """Learn what is new; quick where nothing is."""
        for path in _files(self._directory):
            if not path.name.endswith(TOKEN):
                continue
            with contextlib.suppress(OSError):
                found = os.stat(path)  # noqa: PTH116 - called for each piece of output
                mark = found.st_ino, found.st_mtime_ns
                if self._seen.get(path.name) != mark:
                    self._masker.learn(secrets_in(path.read_text(encoding="ascii", errors="replace")))
                    self._seen[path.name] = mark
