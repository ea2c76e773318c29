"""Terraform and OpenTofu: one adapter, two binaries, and never one in place of the other.

A run starts `init`, `plan -out`, `show -json`, `apply` and nothing else where the tfstate is managed: what the apply
left behind is then read straight from where the tool has just written it. With a backend of the code's own, one
`state pull` more. Both skip `show -json` of the tfstate, which would start every provider once again; the plan's own
marks say what is sensitive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Planned
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob, leaving
from reconciler.tools.files import read_result, remove_beside_source, write_scratch
from reconciler.tools.terraform import provider_cache, scratch
from reconciler.tools.terraform.backend import ERRORED, http_backend, rescue, stored, why_lost
from reconciler.tools.terraform.directory import RootModule, look, write_override
from reconciler.tools.terraform.plan import as_refresh
from reconciler.tools.terraform.tfstate import applied
from reconciler.tools.terraform.variables import given

_VERSION = re.compile(r"^(?:Terraform|OpenTofu) v(\S+)", re.MULTILINE)
_MANAGED, _OWN = b"managed", b"own"


class Terraform:
    """Runs `terraform` or `tofu`."""

    abilities = Abilities(plans_drift=True, managed_tfstate=True, cli_config=True, targets=True, refreshes=True)

    def __init__(self, name: str, binary: str) -> None:
        self.name = name
        self.binaries: tuple[str, ...] = (binary,)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command whose first line names product and version."""
        return (binary, "version")

    def read_version(self, printed: str) -> str:
        """Return the version; ValueError if this is not the version of Terraform or OpenTofu."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'Terraform v…' or 'OpenTofu v…'")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:
        """Follow local modules through the repository, and find out whether the code brings its own backend."""
        from reconciler.tools.terraform.modules import follow  # noqa: PLC0415 - only the service needs it, runs do not

        return follow(reader, path, tofu=self._is_tofu)

    def init(self, job: ToolJob, do: Do) -> None:
        """Run `init`, with the managed tfstate where nothing names a backend, and select the workspace."""
        module = self._look(job)
        managed = _choose_backend(job, module)
        workspace = job.options.get("workspace")
        if managed and workspace:
            raise StepFailed(
                f"{self.name}.workspace needs a backend of the code's own: the managed tfstate has no workspaces"
            )
        write_scratch(_backend_path(job), _MANAGED if managed else _OWN)
        write_override(job, backend=managed, variables=given(job.env, job.inputs, module.variables).declare)
        # A committed .terraform could choose another backend or workspace than the code does.
        remove_beside_source(job, ".terraform")
        provider_cache.offer(job, self.name)
        environment = self.environment(job)
        do((job.binary, "init", "-input=false", "-no-color", *_added(job, "init")), env=environment)
        if not managed and (why := why_lost(job, job.directory)):
            raise StepFailed(
                f"the source {why}: leave the backend out, so that the service keeps it, or name another one"
            )
        provider_cache.keep(job, do, self.name, job.binary)
        if workspace:
            do((job.binary, "workspace", "select", "-no-color", "-or-create", workspace), env=environment)

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Save a plan in the scratch directory and return what it would do."""
        environment = self.environment(job)
        plan, shown = scratch.plan_path(job), job.scratch / "plan.json"
        command = (job.binary, "plan", "-input=false", "-no-color", "-detailed-exitcode", *_planning(job))
        code = do((*command, f"-out={plan}"), ok=(0, 2), env=environment)
        do((job.binary, "show", "-json", "-no-color", str(plan)), env=environment, stdout=shown, shown=False)
        planned = scratch.take_plan(job, shown, has_changes=code == 2)
        return as_refresh(planned) if job.refresh else planned

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Apply the saved plan and read the tfstate that it leaves."""
        environment = self.environment(job)
        known = scratch.noted(job)
        command = (job.binary, "apply", "-input=false", "-no-color", *_writing(job), *_added(job, "apply"))
        remove_beside_source(job, ERRORED)

        def left() -> Applied:
            document = stored(job) if _is_managed(job) else _pulled(job, do, environment)
            if isinstance(document, dict) and "encrypted_data" in document:
                # OpenTofu's own encryption: only tofu has the key.
                document = _pulled(job, do, environment)
            return Applied(resources=()) if document is None else applied(document, known)

        with leaving(left):
            try:
                do((*command, str(scratch.plan_path(job))), env=environment)
            except StepFailed as failed:
                raise rescue(job, failed) from None
        return left()

    def environment(self, job: ToolJob) -> Mapping[str, str]:
        """Return the settings of the command line, the variables, and the way to the managed tfstate."""
        # What a document sets itself holds.
        chosen = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
        environment = {
            **{name: value for name, value in chosen.items() if name not in job.env},
            "TF_CLI_CONFIG_FILE": str(scratch.cli_config(job)),
            # Relative, so that `path.module` of a downloaded module is the same in every run.
            "TF_DATA_DIR": ".terraform",
        }
        if any(name.startswith("TF_VAR_") for name in (*job.env, *job.inputs)):
            environment |= given(job.env, job.inputs, self._look(job).variables).env
        if job.tfstate is not None and _is_managed(job):
            environment |= http_backend(job.tfstate)
        return environment

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plan, and the file that says what of its result may be shown."""
        return scratch.plan_files(job)

    @property
    def _is_tofu(self) -> bool:
        return self.name == "opentofu"

    def _look(self, job: ToolJob) -> RootModule:
        return look(job, tofu=self._is_tofu)


def _choose_backend(job: ToolJob, module: RootModule) -> bool:
    """Return whether the service keeps the tfstate; StepFailed where going on could begin a second, empty one."""
    managed = job.facts.get("backend") == "managed"
    if not managed:
        if module.backend is None:
            raise StepFailed("the source names a backend, and what was done before init took it out of the directory")
        return False
    if job.tfstate is None:
        raise StepFailed("there is no place for the managed tfstate of this run")
    if module.backend is None:
        return True
    if stored(job) is not None:
        raise StepFailed(
            f"{module.backend} names a backend and is not in the source, and the service already keeps a tfstate of "
            "this stack: move that one there and put the backend into the source, or do without the file"
        )
    return False


def _planning(job: ToolJob) -> Iterator[str]:
    """Yield what the document and the kind of run add to a plan."""
    if job.destroy:
        yield "-destroy"
    if job.refresh:
        yield "-refresh-only"
    for address in job.targets:
        yield f"-target={address}"
    for file in job.options.get("varFiles") or ():
        yield f"-var-file={file}"
    yield from _writing(job)
    yield from _added(job, "plan")


def _writing(job: ToolJob) -> Iterator[str]:
    """Yield what the document adds to plan and apply alike."""
    if parallelism := job.options.get("parallelism"):
        yield f"-parallelism={parallelism}"
    if seconds := job.options.get("lockTimeout"):
        yield f"-lock-timeout={seconds}s"


def _added(job: ToolJob, phase: str) -> Sequence[str]:
    return tuple((job.options.get("args") or {}).get(phase) or ())


def _backend_path(job: ToolJob) -> Path:
    return job.scratch / "backend"


def _is_managed(job: ToolJob) -> bool:
    return read_result(_backend_path(job)) == _MANAGED


def _pulled(job: ToolJob, do: Do, environment: Mapping[str, str]) -> Any:
    pulled = job.scratch / "pulled.tfstate"
    do((job.binary, "state", "pull"), env=environment, stdout=pulled, shown=False)
    return scratch.take_tfstate(pulled)
