"""The service's log of runs: one line of one form where a run begins, applies, waits and ends."""

from __future__ import annotations

import logging

from reconciler.core.runs import Run, RunStatus

_log = logging.getLogger(__name__)

_BEGINS = frozenset({RunStatus.PLANNING, RunStatus.APPLYING})


def log_run(run: Run) -> None:
    """Say how a run stands; where something begins, why it runs."""
    if run.status in _BEGINS:
        said = "; ".join(f"{why.component}: {why.summary}" for why in run.why) or "asked for"
    else:
        said = run.message
    words = str(run.status) if run.status in _BEGINS else f"{run.status}, {run.reason}"
    # Where the message is the reason in small letters it says nothing more.
    more = f": {said}" if said and said.lower() != str(run.reason).lower() else ""
    _log.info("run %s of %s: %s%s", run.id, run.stack, words, more)
