"""Progress of runs: a line for each step, on standard error."""

from __future__ import annotations

from rich.console import Console

from reconciler.core.results import ChangeCounts
from reconciler.core.runs import Run, RunStatus

_COLOURS = {
    RunStatus.FINISHED: "green",
    RunStatus.FAILED: "red",
    RunStatus.INTERRUPTED: "red",
    RunStatus.UNCONFIRMED: "yellow",
    RunStatus.CANCELED: "yellow",
}


class Progress:
    """Prints the steps of runs as they happen."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    def show(self, run: Run) -> None:
        """Print the status of a run and its reason."""
        colour = _COLOURS.get(run.status, "dim")
        why = "; ".join(reason.summary for reason in run.why)
        said = f"{run.reason}: {run.message}" if run.message else run.reason
        done = run.message if run.checks else counts(run.changes)
        text = {RunStatus.FINISHED: done, RunStatus.APPLYING: why or run.occasion}.get(run.status, said)
        self._console.print(f"  {run.stack!s:32} [{colour}]{run.status!s:12}[/] ", end="", soft_wrap=True)
        # Text of tools and documents is never markup; one step stays one line, for programs that read it.
        self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)


def counts(changes: ChangeCounts) -> str:
    """Return how many resources and outputs a plan changes, in words."""
    words = [
        f"{number} {word}"
        for number, word in (
            (changes.create, "created"),
            (changes.update, "updated"),
            (changes.replace, "replaced"),
            (changes.delete, "deleted"),
            (changes.forget, "forgotten"),
            (changes.import_, "imported"),
            (changes.move, "moved"),
            (changes.outputs, "output" if changes.outputs == 1 else "outputs"),
        )
        if number
    ]
    return ", ".join(words)
