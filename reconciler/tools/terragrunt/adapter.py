"""Terragrunt over OpenTofu or Terraform: one unit, or with `runAll` every unit below the source's path.

The plan of one unit is a saved plan like any other. With `runAll` there is a saved plan for each unit; `units` says
what becomes of those that were made with mock outputs.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Planned
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob, leaving
from reconciler.tools.files import read_json, read_result, remove, write_scratch
from reconciler.tools.terraform import provider_cache, scratch
from reconciler.tools.terraform.backend import http_backend, stored
from reconciler.tools.terraform.directory import RootModule, look, write_backend, write_override
from reconciler.tools.terraform.tfstate import applied
from reconciler.tools.terraform.variables import PREFIX, given
from reconciler.tools.terragrunt import units
from reconciler.tools.terragrunt.command import READING, below, environment, printed, run, terragrunt
from reconciler.tools.terragrunt.kept import CACHE, refuse_left_behind, refuse_lost
from reconciler.tools.terragrunt.stand_in import managed_units, write_stand_in

_VERSION = re.compile(r"^terragrunt version v?(\S+)", re.MULTILINE)
_OLDEST = (1, 0)


class Terragrunt:
    """Runs `terragrunt`."""

    name = "terragrunt"
    binaries: tuple[str, ...] = ("terragrunt",)
    abilities = Abilities(plans_drift=True, managed_tfstate=True, cli_config=True)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command whose first line names the version."""
        return (binary, "--version")

    def read_version(self, printed: str) -> str:
        """Return the version; ValueError if there is none, or if it is older than the commands used here."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line that says 'terragrunt version …'")
        numbers = tuple(int(part) for part in re.findall(r"\d+", found.group(1))[:2])
        if numbers < _OLDEST:
            raise ValueError(f"version {found.group(1)} is too old: 1.0 or newer is needed")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:
        """Find the files, modules and other units that the units at and below `path` name."""
        from reconciler.tools.terragrunt.references import follow  # noqa: PLC0415 - only the service needs it

        return follow(reader, path)

    def init(self, job: ToolJob, do: Do) -> None:
        """Download the sources, and give a unit without a backend the managed tfstate."""
        refuse_left_behind(job, managed_units(job) if _runs_all(job) else ())
        if (job.directory / "terragrunt.stack.hcl").is_file():
            do(terragrunt(job, "stack", "generate"), env=environment(job))
        provider_cache.offer(job, below(job), below=True)
        if _runs_all(job):
            _keep_units(job)
            return
        managed, module = _is_managed(job), _downloaded(job, do)
        if managed:
            _refuse_other_backend(module)
        if module is not None:
            declare = given(job.env, job.inputs, module.variables).declare
            write_override(job, backend=managed, variables=declare)
        do(run(job, "init", "-input=false", "-no-color"), env=_environment(job))
        if not managed:
            refuse_lost(job, (".",))
        _keep_providers(job, do)

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Save a plan for each unit and return what they would do."""
        if _runs_all(job):
            found = units.plan(job, do, _environment_of_all(job))
            _keep_providers(job, do)
            return found
        env = _environment(job)
        destroy = ("-destroy",) if job.destroy else ()
        words = ("plan", "-input=false", "-no-color", "-detailed-exitcode", *destroy, f"-out={scratch.plan_path(job)}")
        code = do(run(job, *words), ok=(0, 2), env=env)
        show = run(job, "show", "-json", "-no-color", str(scratch.plan_path(job)), flags=READING)
        return scratch.take_plan(job, printed(job, do, show, env, "plan.json"), has_changes=code == 2)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Apply the saved plans and read the tfstates that they leave."""
        if _runs_all(job):
            return units.apply(job, do, _environment_of_all(job))
        env = _environment(job)
        known = scratch.noted(job)

        def left() -> Applied:
            document = stored(job) if _is_managed(job) else _pulled(job, do, env)
            return Applied(resources=()) if document is None else applied(document, known)

        with leaving(left):
            do(run(job, "apply", "-input=false", "-no-color", str(scratch.plan_path(job))), env=env)
        return left()

    def environment(self, job: ToolJob) -> Mapping[str, str]:
        """Return the settings of the command line, the variables, and the way to the managed tfstate."""
        return _environment_of_all(job) if _runs_all(job) else _environment(job)

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plans, and the files that say what of their result may be shown."""
        if _runs_all(job):
            return units.plan_files(job)
        return scratch.plan_files(job)


def _runs_all(job: ToolJob) -> bool:
    return bool(job.options.get("runAll"))


def _keep_providers(job: ToolJob, do: Do) -> None:
    """Have the providers kept, unless a document says which binary runs below: the operator has to choose that one."""
    name = environment(job).get("TG_TF_PATH")
    binary = None if name is None else shutil.which(name)
    if binary is not None:
        provider_cache.keep(job, do, below(job), binary, below=True)


def _is_managed(job: ToolJob) -> bool:
    return job.facts.get("backend") == "managed"


def _environment(job: ToolJob) -> Mapping[str, str]:
    env = environment(job)
    if _is_managed(job):
        if job.tfstate is None:
            raise StepFailed("there is no place for the managed tfstate of this run")
        env |= http_backend(job.tfstate)
    module = _module(job)
    if module is not None:
        env |= given(job.env, job.inputs, module.variables).env
    return env


def _environment_of_all(job: ToolJob) -> Mapping[str, str]:
    env = environment(job)
    return {**env, **write_stand_in(job)} if managed_units(job) else env


def _keep_units(job: ToolJob) -> None:
    """Give each unit that names no backend a managed tfstate of its own."""
    found = managed_units(job)
    if found and job.tfstate is None:
        raise StepFailed("there is no place for the managed tfstates of this run's units")
    for unit in found:
        write_backend(replace(job, directory=job.directory / unit))


def _downloaded(job: ToolJob, do: Do) -> RootModule | None:
    """Have Terragrunt download the code, and look at it; None where nothing has to be known of it."""
    remove(_module_path(job))
    if not _is_managed(job) and not any(name.startswith(PREFIX) for name in (*job.env, *job.inputs)):
        return None
    env = _environment(job)
    do(run(job, "init", "-backend=false", "-input=false", "-no-color"), env=env, shown=False)
    file = printed(job, do, terragrunt(job, "info", "print"), env, "info.json")
    try:
        found = read_json(file)
    finally:
        remove(file)
    if not isinstance(found, dict) or not isinstance(found.get("working_dir"), str):
        raise StepFailed("terragrunt does not say where the code lies that it downloaded")
    write_scratch(_module_path(job), found["working_dir"].encode())
    return _module(job)


def _module(job: ToolJob) -> RootModule | None:
    """Read the code that the tool below sees; None where it was not looked for."""
    place = read_result(_module_path(job))
    if place is None:
        return None
    # Terragrunt names it as it is called inside of the sandbox.
    parts = Path(place.decode()).parts
    below = parts[parts.index(CACHE) :] if CACHE in parts else ()
    return look(replace(job, directory=job.directory.joinpath(*below)), tofu=True)


def _refuse_other_backend(module: RootModule | None) -> None:
    """Refuse a backend that the service could not see in the repository: it must not be overridden."""
    if module is not None and module.backend is not None:
        raise StepFailed(
            f"{module.backend} of the downloaded module names a backend: name it in the unit as well, by remote_state, "
            "so that it can be seen before the run"
        )


def _module_path(job: ToolJob) -> Path:
    return job.scratch / "module"


def _pulled(job: ToolJob, do: Do, env: Mapping[str, str]) -> Any:
    pull = run(job, "state", "pull", flags=READING)
    return scratch.take_tfstate(printed(job, do, pull, env, "pulled.tfstate"))
