"""The `script` tool: shell commands that the stack's document gives, run in the source directory.

Commands run as `sh -e -c COMMAND`: the first line that fails ends the command, so that a failure in the middle of
several lines cannot pass for success. `plan` exits 0 for no changes and 2 for changes; without it, a new digest
means changes. It may write what would change to the file `$STATION_PLAN`. The `outputs` command prints outputs as a
JSON object, or prints nothing and writes them to the file `$STATION_OUTPUTS`, which the runner reads for every tool.
What a script manages nobody can list: its resources are those that its plans named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.core.results import Action, Applied, Output, Planned
from reconciler.tools.base import SHOWN_PLAN, Abilities, Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import parse_json, read_result, remove
from reconciler.tools.outputs import object_outputs
from reconciler.tools.script.changes import read_plan

_OUTPUTS_LIMIT = 1024 * 1024


class Script:
    """Runs the commands of the document's `script` key."""

    name = "script"
    binaries: tuple[str, ...] = ()
    abilities = Abilities(plans_drift=True, managed_tfstate=False)

    def version_command(self, binary: str) -> Sequence[str] | None:  # noqa: ARG002 - the protocol's signature
        """Return None: a shell has no version that a stack could ask for."""
        return None

    def read_version(self, printed: str) -> str:  # noqa: ARG002 - the protocol's signature
        """Refuse: nothing is ever printed."""
        raise ValueError("a script has no version")

    def references(self, reader: SourceReader, path: str) -> References:  # noqa: ARG002 - the protocol's signature
        """Find nothing: what a script reads elsewhere, its `include` names."""
        return References()

    def init(self, job: ToolJob, do: Do) -> None:
        """Do nothing: there is nothing to make ready."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Ask the `plan` command whether there is something to do; a destroy always has."""
        if job.destroy:
            if _command(job, "destroy") is None:
                raise StepFailed("the stack has no script.destroy")
            return Planned(has_changes=True)
        command = _command(job, "plan")
        if command is None:
            # Without a way to look, what was applied is as it was.
            return Planned(has_changes=not job.check)
        shown = job.scratch / SHOWN_PLAN
        remove(shown)
        has_changes = do(_shell(command), ok=(0, 2)) == 2
        named = read_plan(shown)
        if not has_changes and (named.outputs or any(change.action is not Action.READ for change in named.changes)):
            raise StepFailed("script.plan ended with exit code 0, no changes, but named changes in $STATION_PLAN")
        return replace(named, has_changes=has_changes)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Run the `apply` command, then the `outputs` command; or the `destroy` command."""
        name = "destroy" if job.destroy else "apply"
        command = _command(job, name)
        if command is None:
            raise StepFailed(f"the stack has no script.{name}")
        do(_shell(command))
        return Applied() if job.destroy else Applied(outputs=_outputs(job, do), by_plan=True)

    def environment(self, job: ToolJob) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: the documents' own variables are all that its commands need."""
        return {}

    def plan_files(self, job: ToolJob) -> Sequence[Path]:  # noqa: ARG002 - the protocol's signature
        """Name nothing: a script saves no plan; the source it runs from is the same directory."""
        return ()


def tool() -> Script:
    """Return the adapter."""
    return Script()


def _outputs(job: ToolJob, do: Do) -> tuple[Output, ...]:
    command = _command(job, "outputs")
    if command is None:
        return ()
    file, what = job.scratch / "printed-outputs", "what script.outputs prints"
    try:
        do(_shell(command), stdout=file)
        printed = read_result(file, _OUTPUTS_LIMIT) or b""
    finally:
        remove(file)
    return object_outputs(parse_json(printed, what), what) if printed.strip() else ()


def _command(job: ToolJob, name: str) -> str | None:
    command = job.options.get(name)
    return command if isinstance(command, str) and command.strip() else None


def _shell(command: str) -> Sequence[str]:
    return ("/bin/sh", "-e", "-c", command)
