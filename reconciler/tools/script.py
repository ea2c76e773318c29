"""The `script` tool: shell commands that the stack's document gives, run in the source directory.

Commands run as `sh -e -c COMMAND`: the first line that fails ends the command, so that a failure in the middle of
several lines cannot pass for success. `plan` exits 0 for no changes and 2 for changes; without it, a new digest
means changes. Outputs come from the file `$STATION_OUTPUTS` and from what the `outputs` command prints, a JSON
object either way; what is printed wins. What a script manages nobody can list.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reconciler.core.results import Applied, Output, Planned
from reconciler.tools.base import Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import read_json, remove
from reconciler.tools.outputs import OUTPUTS_LIMIT, VARIABLE, file_outputs, merged, object_outputs, outputs_path


class Script:
    """Runs the commands of the document's `script` key."""

    name = "script"
    binaries: tuple[str, ...] = ()
    uses_tfstate = False

    def version_command(self, binary: str) -> Sequence[str] | None:  # noqa: ARG002 - the protocol's signature
        """Give None: a shell has no version that a stack could ask for."""
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
        """Ask the `plan` command whether there is something to do."""
        command = _command(job, "plan")
        if command is None:
            return Planned(has_changes=True)
        code = do(_shell(command), ok=(0, 2), env=_environment(job))
        return Planned(has_changes=code == 2)

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Run the `apply` command, then read the outputs."""
        command = _command(job, "apply")
        if command is None:
            raise StepFailed("the stack has no script.apply")
        do(_shell(command), env=_environment(job))
        return Applied(outputs=_outputs(job, do))

    def plan_files(self, job: ToolJob) -> Sequence[Path]:  # noqa: ARG002 - the protocol's signature
        """Name nothing: a script saves no plan; the source it runs from is the same directory."""
        return ()


def tool(name: str) -> Script:  # noqa: ARG001 - every adapter module has this function
    """Give the adapter."""
    return Script()


def _outputs(job: ToolJob, do: Do) -> tuple[Output, ...]:
    command = _command(job, "outputs")
    if command is None:
        return file_outputs(job.scratch)
    printed = job.scratch / "printed-outputs.json"
    do(_shell(command), env=_environment(job), stdout=printed)
    try:
        value = read_json(printed, OUTPUTS_LIMIT)
    finally:
        remove(printed)
    return merged(file_outputs(job.scratch), object_outputs(value, "what script.outputs prints"))


def _command(job: ToolJob, name: str) -> str | None:
    command = job.options.get(name)
    return command if isinstance(command, str) and command.strip() else None


def _shell(command: str) -> Sequence[str]:
    return ("/bin/sh", "-e", "-c", command)


def _environment(job: ToolJob) -> dict[str, str]:
    return {VARIABLE: str(outputs_path(job.scratch))}
