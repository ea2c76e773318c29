"""Pulumi: a preview is saved as a plan, and the update is held to exactly that plan. A destruction is previewed twice.

Previews and updates refresh first, so that a plan sees what was changed outside. The state lies in a backend that the
document names, or the service keeps it (`state`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Planned
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import parse_json, read_json, read_result, remove, write_scratch
from reconciler.tools.pulumi.preview import applied, complaint, planned, removals, require_plans
from reconciler.tools.pulumi.state import Kept

_VERSION = re.compile(r"^v?([0-9]+\.[0-9]+\S*)", re.MULTILINE)
_QUIET = ("--non-interactive", "--color", "never")


class Pulumi:
    """Runs `pulumi`."""

    name = "pulumi"
    binaries: tuple[str, ...] = ("pulumi",)
    abilities = Abilities(plans_drift=True, managed_tfstate=True)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return the command that prints the version."""
        return (binary, "version")

    def read_version(self, printed: str) -> str:
        """Return the version; ValueError if there is none."""
        found = _VERSION.search(printed)
        if found is None:
            raise ValueError("no line with a version")
        return found.group(1)

    def references(self, reader: SourceReader, path: str) -> References:  # noqa: ARG002 - the protocol's signature
        """Find nothing: a program can read anything, and `include` names what lies outside of its directory."""
        return References(facts={"backend": "managed"})

    def init(self, job: ToolJob, do: Do) -> None:
        """Fill the kept state, choose the stack, and write its configuration."""
        kept, env, stack = Kept.of(job), _environment(job), str(job.options["stack"])
        known = kept is not None and kept.load()
        # Where the service has a state, a stack that is not in it was renamed, or its project was: never begin anew.
        create = () if known else ("--create", *_secrets_provider(job))
        do((job.binary, "stack", "select", "--stack", stack, *create, *_QUIET), env=env)
        words = [f"{key}={value}" for key, value in sorted((job.options.get("config") or {}).items())]
        if words:
            plain = [word for each in words for word in ("--plaintext", each)]
            do((job.binary, "config", "set-all", "--stack", stack, *plain, *_QUIET), env=env)

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Preview, save the plan, and return what it would do."""
        plan, stack = _plan_path(job), str(job.options["stack"])
        remove(plan)
        if job.destroy:
            digest = _destruction(job, do)
            write_scratch(plan, json.dumps(removals(digest)).encode())
            return planned(digest, None)
        digest = _digest(job, do, "preview", "--refresh", "--stack", stack, "--save-plan", str(plan))
        saved = read_json(plan)
        require_plans(saved)
        result = planned(digest, saved)
        if result.has_changes or (kept := Kept.of(job)) is None:
            return result
        found = _left(job, do, kept)
        return Planned(False, result.changes, result.drifted, result.outputs, found.outputs)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Update by the saved plan, or destroy, and read what is there afterwards."""
        kept, env, stack = Kept.of(job), _environment(job), str(job.options["stack"])
        words = ("--stack", stack, "--yes", "--skip-preview", "--refresh", *_QUIET)
        with kept.saving() if kept is not None else nullcontext():
            if job.destroy:
                _require_same(job, do)
                do((job.binary, "destroy", *words), env=env)
            else:
                do((job.binary, "up", *words, "--plan", str(_plan_path(job))), env=env)
        return Applied(resources=()) if job.destroy else _left(job, do, kept)

    def environment(self, job: ToolJob) -> Mapping[str, str]:
        """Return the settings of the command line; refuse where nobody would take the state that a task leaves."""
        if Kept.of(job) is not None:
            raise StepFailed("the service keeps the state of this stack, and a task would change only a copy of it")
        return _environment(job)

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plan."""
        return (_plan_path(job),)


def _environment(job: ToolJob) -> Mapping[str, str]:
    chosen = {
        "PULUMI_HOME": str(job.scratch / "pulumi-home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "PULUMI_BACKEND_URL": str(job.options.get("backend") or f"file://{job.scratch / 'pulumi-state'}"),
    }
    if not job.options.get("backend"):
        # The service encrypts what it keeps; a passphrase of the document's own encrypts the secrets in it once more.
        chosen["PULUMI_CONFIG_PASSPHRASE"] = ""
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in job.env:
            del chosen["PULUMI_CONFIG_PASSPHRASE"]
    return {name: value for name, value in chosen.items() if name not in job.env}


def _secrets_provider(job: ToolJob) -> Iterator[str]:
    if provider := job.options.get("secretsProvider"):
        yield from ("--secrets-provider", str(provider))


def _digest(job: ToolJob, do: Do, *words: str) -> Any:
    """Run a preview, and return what it prints as JSON; its own error is the message where it fails."""
    file = job.scratch / "preview.json"
    try:
        do((job.binary, *words, "--json", *_QUIET), env=_environment(job), stdout=file, shown=False)
        return read_json(file)
    except StepFailed as failed:
        said = _complaint(file)
        raise failed if said is None else StepFailed(f"{said} ({failed})", failed.code) from None
    finally:
        remove(file)


def _destruction(job: ToolJob, do: Do) -> Any:
    return _digest(job, do, "destroy", "--preview-only", "--refresh", "--stack", str(job.options["stack"]))


def _require_same(job: ToolJob, do: Do) -> None:
    """Look once more right before a destruction: Pulumi itself can hold only an update to a plan."""
    agreed = read_json(_plan_path(job))
    more = [each for each in removals(_destruction(job, do)) if each not in agreed]
    if more:
        addresses = ", ".join(address for address, _ in more)
        raise StepFailed(f"it would remove what is not in the plan: {addresses}; plan it anew")


def _complaint(file: Path) -> str | None:
    try:
        digest = read_json(file)
        return complaint(digest) if isinstance(digest, dict) else None
    except StepFailed:
        return None


def _left(job: ToolJob, do: Do, kept: Kept | None) -> Applied:
    stack, env = str(job.options["stack"]), _environment(job)
    values = job.scratch / "outputs-of-pulumi.json"
    show = (job.binary, "stack", "output", "--stack", stack, "--json", "--show-secrets", *_QUIET)
    try:
        do(show, env=env, stdout=values, shown=False)
        printed = parse_json(read_result(values) or b"{}", "the outputs")
    finally:
        remove(values)
    if kept is not None:
        return applied((kept.checkpoint() or {}).get("checkpoint") or {}, printed)
    exported = job.scratch / "exported.json"
    try:
        do((job.binary, "stack", "export", "--stack", stack, *_QUIET), env=env, stdout=exported, shown=False)
        return applied({"latest": (read_json(exported) or {}).get("deployment")}, printed)
    finally:
        remove(exported)


def _plan_path(job: ToolJob) -> Path:
    return job.scratch / "plan.json"
