"""Shows runs as they go: a line for each step, on standard error; lively only on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

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
    """Prints what becomes of runs."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, run: Run) -> None:
        """Say how a run stands."""
        colour = _COLOURS.get(run.status, "dim")
        why = "; ".join(reason.summary for reason in run.why)
        said = f"{run.reason}: {run.message}" if run.message else run.reason
        text = {RunStatus.FINISHED: counts(run.changes), RunStatus.APPLYING: why or "asked for"}.get(run.status, said)
        self._console.print(f"  {run.stack!s:32} [{colour}]{run.status!s:12}[/] ", end="", soft_wrap=True)
        # What a tool or a document says is text, never markup; a line stays one line, also for who reads it by machine.
        self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Say something that the reader should know."""
        self._console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)


def counts(changes: ChangeCounts) -> str:
    """Return in words how many resources and outputs a plan touches."""
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
