"""Pulumi: a preview is saved as a plan, and the update is held to exactly that plan.

Pulumi saves no plan for a destruction. The run names to it every single resource that may go, and it refuses any other.

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
from reconciler.tools.base import Abilities, Do, NotUnderstood, References, SourceReader, StepFailed, ToolJob, leaving
from reconciler.tools.files import parse_json, read_json, read_result, remove, write_scratch
from reconciler.tools.pulumi.preview import (
    InStack,
    applied,
    complaint,
    in_stack,
    plain_outputs,
    planned,
    removals,
    require_plans,
)
from reconciler.tools.pulumi.state import KeptState

_VERSION = re.compile(r"^v?([0-9]+\.[0-9]+\S*)", re.MULTILINE)
_QUIET = ("--non-interactive", "--color", "never")
_LONGEST_COMMAND = 1024 * 1024
"""Characters of a command line; the kernel takes twice as much, and the environment counts as well."""


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
        kept, env, stack = KeptState.of(job), _environment(job), str(job.options["stack"])
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
            digest = _digest(job, do, "destroy", "--preview-only", "--refresh", "--stack", stack)
            write_scratch(plan, json.dumps(removals(digest)).encode())
            return planned(digest, None)
        digest = _digest(job, do, "preview", "--refresh", "--stack", stack, "--save-plan", str(plan))
        saved = read_json(plan)
        require_plans(saved)
        result = planned(digest, saved)
        if result.has_changes or (kept := KeptState.of(job)) is None:
            return result
        found = _left(job, do, kept)
        return Planned(False, result.changes, result.drifted, result.outputs, found.outputs)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Update by the saved plan, or destroy, and read what is there afterwards."""
        kept, env, stack = KeptState.of(job), _environment(job), str(job.options["stack"])
        words = ("--stack", stack, "--yes", "--skip-preview", *_QUIET)
        with leaving(lambda: _left(job, do, kept)), kept.saving() if kept is not None else nullcontext():
            if job.destroy:
                do((job.binary, "refresh", *words), env=env)
                there = _agreed(job, do, kept)
                if there.urns:
                    do((job.binary, "destroy", *words, *_targets(there)), env=env)
            else:
                try:
                    do((job.binary, "up", *words, "--refresh", "--plan", str(_plan_path(job))), env=env)
                except StepFailed as failed:
                    raise _explained(failed) from None
        return Applied(resources=()) if job.destroy else _left(job, do, kept)

    def environment(self, job: ToolJob) -> Mapping[str, str]:
        """Return the settings of the command line; refuse where nobody would take the state that a task leaves."""
        if KeptState.of(job) is not None:
            raise StepFailed("the service keeps the state of this stack, and a task would change only a copy of it")
        return _environment(job)

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the saved plan."""
        return (_plan_path(job),)


def _explained(failed: StepFailed) -> StepFailed:
    """Return why an update failed, also where Pulumi printed nothing of it.

    It ends so where the stack's outputs came out other than its plan has them, for example because a provider's preview
    takes the inputs for the outputs. Everything is made by then.
    """
    if not failed.silent:
        return failed
    likely = "pulumi gave no reason, as when an output of the stack is not what the preview foresaw; a retry plans anew"
    return StepFailed(f"{likely} ({failed})", failed.code)


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


def _agreed(job: ToolJob, do: Do, kept: KeptState | None) -> InStack:
    """Return what is in the stack now; StepFailed where that is more than the plan of its destruction names."""
    there = in_stack(_deployment(job, do, kept))
    agreed = read_json(_plan_path(job))
    more = [address for address, its_id in there.removable if [address, its_id] not in agreed]
    if more:
        raise StepFailed(f"it would remove what is not in the plan: {', '.join(more)}; plan it anew")
    return there


def _targets(there: InStack) -> Iterator[str]:
    """Yield what holds a destruction to exactly this: all of it by name.

    The stack itself is among it, and all else in it belongs to that: Pulumi refuses to remove it with anything that is
    not named.
    """
    if sum(len(urn) + len("--target") for urn in there.urns) < _LONGEST_COMMAND:
        for urn in there.urns:
            yield from ("--target", urn)


def _deployment(job: ToolJob, do: Do, kept: KeptState | None) -> Any:
    """Return the stack's state."""
    if kept is not None:
        return ((kept.checkpoint() or {}).get("checkpoint") or {}).get("latest") or {}
    exported, export = job.scratch / "exported.json", ("stack", "export", "--stack", str(job.options["stack"]))
    try:
        do((job.binary, *export, *_QUIET), env=_environment(job), stdout=exported, shown=False)
        return (read_json(exported) or {}).get("deployment") or {}
    finally:
        remove(exported)


def _complaint(file: Path) -> str | None:
    try:
        digest = read_json(file)
        return complaint(digest) if isinstance(digest, dict) else None
    except StepFailed:
        return None


def _left(job: ToolJob, do: Do, kept: KeptState | None) -> Applied:
    deployment = _deployment(job, do, kept)
    values = plain_outputs(deployment)
    return applied(deployment, _outputs(job, do) if values is None else values)


def _outputs(job: ToolJob, do: Do) -> Mapping[str, Any]:
    """Return the outputs, of which only Pulumi itself can read the secret ones."""
    values = job.scratch / "outputs-of-pulumi.json"
    show = (job.binary, "stack", "output", "--stack", str(job.options["stack"]), "--json", "--show-secrets", *_QUIET)
    try:
        do(show, env=_environment(job), stdout=values, shown=False)
        printed = parse_json(read_result(values) or b"{}", "the outputs")
    finally:
        remove(values)
    if not isinstance(printed, dict):
        raise NotUnderstood("the outputs have a shape that is not known", json.dumps(printed).encode())
    return printed


def _plan_path(job: ToolJob) -> Path:
    return job.scratch / "plan.json"
