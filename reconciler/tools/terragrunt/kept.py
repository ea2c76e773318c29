"""Refuses units that would lose their tfstate, or that have left one behind.

Whether a unit's tfstate would go with the run, its text alone cannot tell: units of a `terragrunt.stack.hcl` and
modules from elsewhere are only there during a run. A tfstate is left behind where `runAll` is switched on or off: that
of a single unit is the stack's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from reconciler.tools.base import StepFailed, TfstateBackend, ToolJob
from reconciler.tools.files import parse_json
from reconciler.tools.terraform.backend import INITIALISED, why_lost

WHOLE, TOP = "", "."
"""The stack's own tfstate, and that of the unit at the top with `runAll`."""
CACHE = ".terragrunt-cache"
"""Where Terragrunt puts the code of a unit that names a source."""


def refuse_left_behind(job: ToolJob, units: Sequence[str]) -> None:
    """Refuse a run to which everything would be new, although the service has it under `runAll`'s other value."""
    had, now = (WHOLE, units) if job.options.get("runAll") else (TOP, [WHOLE])
    if not now or job.tfstate is None or not (count := _count(job.tfstate, had)):
        return
    if not any(_fetched(job.tfstate, unit) for unit in now):
        before, pull, push = ("without", "", " --unit UNIT") if had == WHOLE else ("with", f" --unit {TOP}", "")
        taken = f"station tfstate pull {job.stack}{pull} | station tfstate push {job.stack} -{push}"
        raise StepFailed(
            f"the tfstate that the stack had {before} runAll has resources ({count}), made anew otherwise: suspend "
            f"the stack and take the tfstate along ({taken}), or destroy what is there first"
        )


def _count(backend: TfstateBackend, unit: str) -> int:
    data = _fetched(backend, unit)
    document = parse_json(data, "the tfstate") if data else None
    if not isinstance(document, dict):
        return 0
    # How many there are in one that OpenTofu has encrypted nobody can see.
    return 1 if "encrypted_data" in document else len(document.get("resources") or ())


def _fetched(backend: TfstateBackend, unit: str) -> bytes | None:
    from reconciler.tools.tfstate_client import fetch  # noqa: PLC0415 - http.client is slow to import

    query = f"?unit={quote(unit, safe='')}" if unit else ""
    return fetch(replace(backend, address=backend.address + query))


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
