"""What a receiver is told about a run: JSON for programs, one line of text for Slack."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.core.reasons import Reason
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.words import moment
from spaces.model.notifier import NotifierEvent

_EVENTS: Mapping[RunStatus, NotifierEvent] = {
    RunStatus.UNCONFIRMED: NotifierEvent.RUN_WAITING,
    RunStatus.FINISHED: NotifierEvent.RUN_FINISHED,
    RunStatus.FAILED: NotifierEvent.RUN_FAILED,
    RunStatus.INTERRUPTED: NotifierEvent.RUN_FAILED,
    RunStatus.CANCELED: NotifierEvent.RUN_CANCELED,
    RunStatus.DISCARDED: NotifierEvent.RUN_DISCARDED,
    RunStatus.SUPERSEDED: NotifierEvent.RUN_SUPERSEDED,
}
_WORDS: Mapping[NotifierEvent, str] = {
    NotifierEvent.RUN_WAITING: "waits for a person",
    NotifierEvent.DRIFTED: "found drift",
}
_LONGEST = 1500
"""The most characters of a run's message in a text."""
_IDS = uuid.UUID("6d1a1c9e-6a0f-4a64-9d0d-3d6f2c0f7e55")


def event_of(run: Run) -> NotifierEvent | None:
    """Return which event a run is as it is now; None: none that can be told."""
    if run.kind is RunKind.DRIFT and run.reason == Reason.DRIFTED:
        return NotifierEvent.DRIFTED
    return _EVENTS.get(run.status)


def delivery_id(entry: str) -> str:
    """Return the id of a delivery, the same at each attempt, so that a receiver can tell a repetition."""
    return str(uuid.uuid5(_IDS, entry))


def as_json(event: NotifierEvent, run: Run, at: datetime, delivery: str, page: str | None) -> bytes:
    """Return the body of a webhook. `at` is when it happened, `page` the address of the run's page."""
    body: dict[str, Any] = {
        "event": event.value,
        "delivery": delivery,
        "timestamp": moment(at),
        "stack": str(run.stack),
        "space": run.stack.space,
        "run": {
            "id": run.id,
            "kind": run.kind.value,
            "status": run.status.value,
            "reason": str(run.reason),
            "message": run.message,
            "changes": run.changes.named(),
            "person": run.person,
            "confirmedBy": run.confirmed_by,
            "revision": run.revision,
            "url": page,
        },
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def of_configuration(told: Mapping[str, Any], at: datetime, delivery: str, address: str | None) -> bytes:
    """Return the body of a webhook about the configuration. `address` is that of the page."""
    about = {"delivery": delivery, "timestamp": moment(at), "url": address}
    return json.dumps({**told, **about}, ensure_ascii=False, separators=(",", ":")).encode()


def of_configuration_for_slack(told: Mapping[str, Any], address: str | None) -> bytes:
    """Return the body of a message for Slack about the configuration."""
    if told["event"] == NotifierEvent.HALTED:
        halt = told["halt"]
        lines = [f"*admission is halted*: {_escaped(halt['reason'])}", _escaped(halt["message"][:_LONGEST])]
    else:
        changes, count = told["changes"], told["count"]
        lines = [f"*{told['event']}*: {count} change{'' if count == 1 else 's'} of the configuration"]
        for change in changes:
            what = f"{change['verb']} {change['kind']} {change['space']}/{change['name']} by {change['person']}"
            lines.append(_escaped(f"• {what}: {change['message']}"[:_LONGEST]))
        if count > len(changes):
            lines.append(f"and {count - len(changes)} more")
    lines += [f"<{address}>"] if address is not None else []
    return json.dumps({"text": "\n".join(lines)}, ensure_ascii=False).encode()


def as_slack(event: NotifierEvent, run: Run, page: str | None) -> bytes:
    """Return the body of a message for Slack. Nothing in it can mention people or make links but the run's own."""
    stack = _escaped(str(run.stack))
    words = _WORDS.get(event) or ("was interrupted" if run.status is RunStatus.INTERRUPTED else str(run.status))
    lines = [f"{f'<{page}|{stack}>' if page else f'*{stack}*'}: {run.kind} run {run.id} {words}"]
    counts = ", ".join(f"{count} to {name}" for name, count in run.changes.named().items() if count)
    by = f"by {run.person}" if run.person else ""
    about = "; ".join(part for part in (str(run.reason), counts, by, f"revision {run.revision[:12]}") if part)
    lines.append(_escaped(about))
    if run.message and run.message.lower() != str(run.reason).lower():
        lines.append(_escaped(run.message[:_LONGEST]))
    return json.dumps({"text": "\n".join(lines)}, ensure_ascii=False).encode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
