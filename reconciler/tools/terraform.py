"""Terraform and OpenTofu: one adapter, two binaries, and never one in place of the other.

A run starts `init`, `plan -out`, `show -json`, `apply` and nothing else where the tfstate is managed: what the apply
left behind is then read straight from where the tool has just written it. With a backend of the code's own, one
`state pull` more. Both skip `show -json` of the tfstate, which would start every provider once again; the plan's own
marks say what is sensitive.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Planned
from reconciler.tools.base import Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import (
    parse_json,
    read_json,
    read_result,
    remove,
    remove_beside_source,
    write_beside_source,
    write_scratch,
)
from reconciler.tools.terraform_plan import Marks, marks, planned
from reconciler.tools.terraform_tfstate import applied

_BINARIES = {"terraform": "terraform", "opentofu": "tofu"}
_OVERRIDE = b"""# Written for this run: the tfstate of a stack whose code names no backend is kept by the service.
terraform {
  backend "http" {}
}
"""
_VERSION = re.compile(r"^(?:Terraform|OpenTofu) v(\S+)", re.MULTILINE)


class Terraform:
    """Runs `terraform` or `tofu`."""

    uses_tfstate = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.binaries: tuple[str, ...] = (_BINARIES[name],)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Give the command whose first line names product and version."""
        return (binary, "version")

    def read_version(self, printed: str) -> str:
        """Pick the version out; ValueError if this is not the version of Terraform or OpenTofu."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'Terraform v…' or 'OpenTofu v…'")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:
        """Follow local modules through the repository; say whether the code brings its own backend."""
        from reconciler.tools.terraform_modules import follow  # noqa: PLC0415 - only the service needs it, runs do not

        return follow(reader, path, tofu=self.name == "opentofu")

    def init(self, job: ToolJob, do: Do) -> None:
        """Run `init`, with the managed tfstate where the code names no backend, and select the workspace."""
        workspace = job.options.get("workspace")
        if job.facts.get("backend") == "managed":
            if workspace:
                raise StepFailed(
                    f"{self.name}.workspace needs a backend of the code's own: the managed tfstate has no workspaces"
                )
            if job.tfstate is None:
                raise StepFailed("there is no place for the managed tfstate of this run")
            write_beside_source(job, _override_name(job.directory), _OVERRIDE)
        # A committed .terraform could choose another backend or workspace than the code does.
        remove_beside_source(job, ".terraform")
        environment = _environment(job)
        do((job.binary, "init", "-input=false", "-no-color"), env=environment)
        if workspace:
            do((job.binary, "workspace", "select", "-no-color", "-or-create", workspace), env=environment)

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Save a plan in the scratch directory and say what it would do."""
        environment = _environment(job)
        plan, shown = _plan_path(job), job.scratch / "plan.json"
        command = (job.binary, "plan", "-input=false", "-no-color", "-detailed-exitcode", f"-out={plan}")
        code = do(command, ok=(0, 2), env=environment)
        do((job.binary, "show", "-json", "-no-color", str(plan)), env=environment, stdout=shown, shown=False)
        try:
            document = read_json(shown)
        finally:
            remove(shown)  # it holds sensitive values in clear
        result = planned(document, has_changes=code == 2)
        known = {address: [found.sensitive, found.unknown] for address, found in marks(document).items()}
        write_scratch(_marks_path(job), json.dumps(known).encode())
        return result

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Apply the saved plan and read the tfstate that it leaves."""
        environment = _environment(job)
        known = {address: Marks(*found) for address, found in (read_json(_marks_path(job)) or {}).items()}
        do((job.binary, "apply", "-input=false", "-no-color", str(_plan_path(job))), env=environment)
        document = _managed(job) if job.facts.get("backend") == "managed" else _pulled(job, do, environment)
        if (
            isinstance(document, dict) and "encrypted_data" in document
        ):  # OpenTofu's own encryption: only tofu has the key
            document = _pulled(job, do, environment)
        return Applied(resources=()) if document is None else applied(document, known)

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plan and the marks that say what of its result may be shown."""
        return (_plan_path(job), _marks_path(job))


def tool(name: str) -> Terraform:
    """Give the adapter for `terraform` or `opentofu`."""
    return Terraform(name)


def _plan_path(job: ToolJob) -> Path:
    return job.scratch / "tfplan"


def _marks_path(job: ToolJob) -> Path:
    return job.scratch / "marks.json"


def _environment(job: ToolJob) -> Mapping[str, str]:
    settings = job.scratch / "terraform.rc"
    if not settings.exists():
        write_scratch(settings, b"")
    environment = {
        "TF_CLI_CONFIG_FILE": str(settings),
        # Relative, so that `path.module` of a downloaded module is the same in every run.
        "TF_DATA_DIR": ".terraform",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }
    if job.facts.get("backend") == "managed" and job.tfstate is not None:
        address = job.tfstate.address
        environment |= {
            "TF_HTTP_ADDRESS": address,
            "TF_HTTP_UPDATE_METHOD": "POST",
            "TF_HTTP_LOCK_ADDRESS": address,
            "TF_HTTP_LOCK_METHOD": "LOCK",
            "TF_HTTP_UNLOCK_ADDRESS": address,
            "TF_HTTP_UNLOCK_METHOD": "UNLOCK",
            "TF_HTTP_USERNAME": job.tfstate.username,
            "TF_HTTP_PASSWORD": job.tfstate.password,
            "TF_HTTP_RETRY_MAX": "4",
            "TF_HTTP_RETRY_WAIT_MIN": "1",
            "TF_HTTP_RETRY_WAIT_MAX": "10",
        }
    return environment


def _override_name(directory: Path) -> str:
    """Choose a file name that the source does not use; a file of ours from an earlier try is used again."""
    number = 1
    while True:
        name = f"station_backend{'' if number == 1 else f'_{number}'}_override.tf"
        path = directory / name
        if not os.path.lexists(path) or read_result(path) == _OVERRIDE:
            return name
        number += 1


def _managed(job: ToolJob) -> Any:
    from reconciler.tools.tfstate_client import fetch  # noqa: PLC0415 - http.client is slow to import

    if job.tfstate is None:
        raise StepFailed("there is no place for the managed tfstate of this run")
    data = fetch(job.tfstate)
    return None if data is None else parse_json(data, "the tfstate")


def _pulled(job: ToolJob, do: Do, environment: Mapping[str, str]) -> Any:
    pulled = job.scratch / "pulled.tfstate"
    do((job.binary, "state", "pull"), env=environment, stdout=pulled, shown=False)
    try:
        data = read_result(pulled)
    finally:
        remove(pulled)
    return parse_json(data, "the tfstate") if data and data.strip() else None
