"""Where a run's tfstate is: managed, as the backend `http` that the environment tells of, or in one of the code's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.tools.base import StepFailed, TfstateBackend, TfstateNotSaved, ToolJob
from reconciler.tools.files import parse_json, read_json


def http_backend(backend: TfstateBackend) -> Mapping[str, str]:
    """Return the variables that tell the backend `http` where the run's tfstate is, and what opens it."""
    return {
        "TF_HTTP_ADDRESS": backend.address,
        "TF_HTTP_UPDATE_METHOD": "POST",
        "TF_HTTP_LOCK_ADDRESS": backend.address,
        "TF_HTTP_LOCK_METHOD": "LOCK",
        "TF_HTTP_UNLOCK_ADDRESS": backend.address,
        "TF_HTTP_UNLOCK_METHOD": "UNLOCK",
        "TF_HTTP_USERNAME": backend.username,
        "TF_HTTP_PASSWORD": backend.password,
        "TF_HTTP_RETRY_MAX": "4",
        "TF_HTTP_RETRY_WAIT_MIN": "1",
        "TF_HTTP_RETRY_WAIT_MAX": "10",
    }


def stored(job: ToolJob) -> Any:
    """Return the managed tfstate as the service has it now; None: there is none yet."""
    from reconciler.tools.tfstate_client import fetch  # noqa: PLC0415 - http.client is slow to import

    if job.tfstate is None:
        raise StepFailed("there is no place for the managed tfstate of this run")
    data = fetch(job.tfstate)
    return None if data is None else parse_json(data, "the tfstate")


INITIALISED = ".terraform/terraform.tfstate"
"""Where `init` notes which backend it has set up, if any is named."""


def why_lost(job: ToolJob, directory: Path) -> str | None:
    """Return why the tfstate would go with the run, now that `init` was run in a directory; None: it would not."""
    top = Path(os.path.commonpath([job.directory, job.scratch]))
    noted = read_json(directory / INITIALISED, top=top)
    backend = noted.get("backend") if isinstance(noted, dict) else None
    if not isinstance(backend, dict):
        return "names no backend"
    # The local backend keeps those of workspaces in a place of their own.
    place = (backend.get("config") or {}).get("workspace_dir" if job.options.get("workspace") else "path")
    work = top / job.directory.relative_to(top).parts[0]
    if backend.get("type") != "local" or (isinstance(place, str) and not _is_in(place, (SEEN, work, job.scratch))):
        return None
    return "keeps its tfstate in the work directory (backend local), which goes with the run"


SEEN = Path("/run/station")
"""Where commands see the run's own directories."""


def _is_in(place: str, directories: Iterable[Path]) -> bool:
    path = Path(os.path.normpath(place))
    return not path.is_absolute() or any(path.is_relative_to(directory) for directory in directories)


ERRORED = "errored.tfstate"
"""Where the tool leaves a tfstate, beside the source, that it could not write to its backend."""


def rescue(job: ToolJob, failed: StepFailed) -> StepFailed:
    """Return the failure of an apply, as one that says so where the tool left a tfstate that nobody else has."""
    file = job.directory / ERRORED
    if not file.is_file() or file.is_symlink():
        return failed
    return TfstateNotSaved(f"the tfstate could not be written to its backend ({failed})", file)
