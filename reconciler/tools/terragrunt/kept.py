"""Finds units whose tfstate would go with the run, once Terragrunt has initialised them.

Their text alone cannot tell: units of a `terragrunt.stack.hcl` and modules from elsewhere are only there during a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.terraform.backend import INITIALISED, why_lost

CACHE = ".terragrunt-cache"
"""Where Terragrunt puts the code of a unit that names a source."""


def refuse_lost(job: ToolJob, units: Iterable[str]) -> None:
    """Refuse units (paths below the job's directory) that keep their tfstate nowhere but in the work directory."""
    for unit in units:
        places = [place for place in _places(job.directory / unit) if (place / INITIALISED).is_file()]
        whys = [why_lost(job, place) for place in places] or ["names no backend"]
        if lost := next(filter(None, whys), None):
            which = "the unit" if unit == "." else f"the unit {unit}"
            raise StepFailed(f"{which} {lost}: name one that lasts, by remote_state for example")


def _places(unit: Path) -> Iterator[Path]:
    yield unit
    for directory, names, _ in os.walk(unit / CACHE):
        if ".terraform" in names:
            names.remove(".terraform")
            yield Path(directory)
