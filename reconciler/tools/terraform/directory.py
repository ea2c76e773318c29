"""Looks at the directory that Terraform is about to see, and adds to it what a run needs of its own.

The adapter calls this in the run's own process right before `init`: hooks and mounted files may have made another
directory than the revision has. Nothing that is there is ever overridden: not a backend, not a value of a variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.files import read_result, remove_beside_source, write_beside_source
from reconciler.tools.terraform.code import FILE_LIMIT, Variable, code_files, facts, variables

_HEAD = b"# Written for this run by the service.\n"
_BACKEND = b"""# The code names no backend: its tfstate is kept by the service.
terraform {
  backend "http" {}
}
"""


@dataclass(frozen=True, slots=True)
class RootModule:
    """What the directory says: the file that names a backend, and the variables that are declared."""

    backend: str | None
    variables: Mapping[str, Variable]


def look(job: ToolJob, *, tofu: bool) -> RootModule:
    """Read the root module; StepFailed for a file of it that cannot be read, since it may name a backend."""
    backend: str | None = None
    declared: dict[str, Variable] = {}
    for file in code_files(_names(job.directory), tofu=tofu):
        data = _read(job, file.name)
        if data is None or data.startswith(_HEAD):
            continue
        if backend is None and facts(data, is_json=file.is_json).backend:
            backend = file.name
        for name, said in variables(data, is_json=file.is_json):
            declared[name] = declared.get(name, Variable()).overridden(said)
    return RootModule(backend, declared)


def write_override(job: ToolJob, *, backend: bool, variables: Mapping[str, str]) -> None:
    """Write the run's own file, in the place of the one of an earlier try; none where there is nothing to say.

    `variables` are the attributes to set, by variable.
    """
    for name in _names(job.directory):
        if name.endswith("_override.tf") and _is_own(job.directory / name):
            remove_beside_source(job, name)
    blocks = [f'variable "{name}" {{\n  {attribute}\n}}\n'.encode() for name, attribute in sorted(variables.items())]
    if backend or blocks:
        write_beside_source(
            job, _free_name(job.directory, "override"), b"".join([_HEAD, _BACKEND if backend else b"", *blocks])
        )


def write_backend(job: ToolJob) -> None:
    """Write a file that names the managed tfstate. It overrides nothing: beside another backend the tool refuses it."""
    names = _names(job.directory)
    if not any(name.endswith("_backend.tf") and _is_own(job.directory / name) for name in names):
        write_beside_source(job, _free_name(job.directory, "backend"), _HEAD + _BACKEND)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names only
    except OSError as error:
        raise StepFailed(f"the directory {directory.name} cannot be read: {error.strerror}") from None


def _read(job: ToolJob, name: str) -> bytes | None:
    """Return a file's content, through links inside the run's own directories; None where a link leads to nothing."""
    top = os.path.realpath(os.path.commonpath([job.directory, job.scratch]))
    real = Path(os.path.realpath(job.directory / name))
    if not real.is_relative_to(top):
        raise StepFailed(f"{name} is a link that leads outside the work directory: nobody knows which backend it names")
    if real.is_dir():
        return None
    data = read_result(real)
    return data if data is None or len(data) <= FILE_LIMIT else data[:FILE_LIMIT]


def _is_own(path: Path) -> bool:
    return not path.is_symlink() and path.is_file() and (read_result(path) or b"").startswith(_HEAD)


def _free_name(directory: Path, what: str) -> str:
    """Return a file name that the source does not use."""
    number = 1
    while True:
        name = f"station{'' if number == 1 else f'_{number}'}_{what}.tf"
        if not os.path.lexists(directory / name):
            return name
        number += 1
