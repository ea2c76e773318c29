"""The managed tfstate as Terraform and OpenTofu reach it: the backend `http`, told by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.tools.base import StepFailed, TfstateBackend, TfstateNotSaved, ToolJob
from reconciler.tools.files import parse_json


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


ERRORED = "errored.tfstate"
"""Where the tool leaves a tfstate, beside the source, that it could not write to its backend."""


def rescue(job: ToolJob, failed: StepFailed) -> StepFailed:
    """Return the failure of an apply, as one that says so where the tool left a tfstate that nobody else has."""
    file = job.directory / ERRORED
    if not file.is_file() or file.is_symlink():
        return failed
    return TfstateNotSaved(f"the tfstate could not be written to its backend ({failed})", file)
