"""The phases of a run, each with how far it is and how long it took."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.phases import Phase
from reconciler.core.runs import AT_WORK, RunStatus
from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.views.tones import Tone

_BAD = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})
_STOPPED = frozenset({RunStatus.CANCELED, RunStatus.DISCARDED, RunStatus.SUPERSEDED})


@dataclass(frozen=True, slots=True)
class PhaseView:
    """A phase. `word` says how far it is; `seconds` is None where that is not known."""

    name: str
    tone: Tone
    word: str
    seconds: float | None


def phases(run: RunJson) -> tuple[PhaseView, ...]:
    """Return all phases of a run in order."""
    order = list(Phase)
    status = RunStatus(run.status)
    at = order.index(Phase(run.phase)) if run.phase is not None else -1
    return tuple(
        PhaseView(phase, *_state(status, at, number), run.phase_seconds.get(phase))
        for number, phase in enumerate(order)
    )


def _state(status: RunStatus, at: int, number: int) -> tuple[Tone, str]:
    if number > at:
        return Tone.QUIET, "not reached" if status in _BAD | _STOPPED or status is RunStatus.FINISHED else "to come"
    if number < at or status is RunStatus.FINISHED:
        return Tone.GOOD, "done"
    if status in _BAD:
        return Tone.BAD, str(status)
    if status in AT_WORK:
        return Tone.BUSY, "at work"
    if status is RunStatus.UNCONFIRMED:
        return Tone.GOOD, "done"
    return Tone.QUIET, "stopped" if status in _STOPPED else "to come"
