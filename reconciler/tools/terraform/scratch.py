"""What a run of Terraform keeps in its scratch directory, whoever starts it: Terragrunt's runs are of the same kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reconciler.core.results import Planned
from reconciler.tools.base import ToolJob
from reconciler.tools.files import parse_json, read_json, read_result, remove, write_scratch
from reconciler.tools.terraform import provider_cache
from reconciler.tools.terraform.plan import Expected, expected, planned


def plan_path(job: ToolJob) -> Path:
    """Return where the saved plan lies."""
    return job.scratch / "tfplan"


def expected_path(job: ToolJob) -> Path:
    """Return where it is noted what of an apply's result may be shown."""
    return job.scratch / "expected.json"


def plan_files(job: ToolJob) -> Sequence[Path]:
    """Name all that an apply goes by."""
    return (plan_path(job), expected_path(job))


def take_plan(job: ToolJob, shown: Path, *, has_changes: bool) -> Planned:
    """Read the saved plan's JSON, note what is expected of its apply, and remove it: it holds secrets in clear."""
    try:
        document = read_json(shown)
    finally:
        remove(shown)
    result = planned(document, has_changes=has_changes)
    write_scratch(expected_path(job), json.dumps(expected(document).to_data()).encode())
    return result


def noted(job: ToolJob) -> Expected:
    """Return what is expected of the saved plan's apply."""
    return Expected.from_data(read_json(expected_path(job)))


def take_tfstate(pulled: Path) -> Any:
    """Read a tfstate that `state pull` has printed, and remove it; None: there is none."""
    try:
        data = read_result(pulled)
    finally:
        remove(pulled)
    return parse_json(data, "the tfstate") if data and data.strip() else None


def cli_config(job: ToolJob) -> Path:
    """Write the settings of the command line, those of the operator or none, and return the file that has them."""
    file = job.scratch / "terraform.rc"
    write_scratch(file, (job.cli_config + provider_cache.settings(job)).encode())
    return file
