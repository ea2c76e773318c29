"""What a receiver is told about a run or the configuration: JSON for programs, text for Slack and for mail."""

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
_LONGEST_SUBJECT = 150
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


def as_slack(event: NotifierEvent, run: Run, page: str | None) -> bytes:
    """Return the body of a message for Slack. Nothing in it can mention people or make links but the run's own."""
    stack, (headline, *lines) = _escaped(str(run.stack)), _about_run(event, run)
    return _slack([f"{f'<{page}|{stack}>' if page else f'*{stack}*'}: {headline}", *map(_escaped, lines)])


def of_configuration_for_slack(told: Mapping[str, Any], address: str | None) -> bytes:
    """Return the body of a message for Slack about the configuration."""
    headline, rest, *lines = map(_escaped, _about_configuration(told))
    return _slack([f"*{headline}*: {rest}", *lines, *([f"<{address}>"] if address is not None else [])])


def as_text(event: NotifierEvent, run: Run, page: str | None) -> tuple[str, str]:
    """Return the subject and the text of a mail."""
    headline, *lines = _about_run(event, run)
    return f"{run.stack}: {headline}", _text([f"{run.stack}: {headline}", *lines], page)


def of_configuration_as_text(told: Mapping[str, Any], address: str | None) -> tuple[str, str]:
    """Return the subject and the text of a mail about the configuration."""
    headline, rest, *lines = _about_configuration(told)
    return f"{headline}: {rest}"[:_LONGEST_SUBJECT], _text([f"{headline}: {rest}", *lines], address)


def _about_run(event: NotifierEvent, run: Run) -> list[str]:
    """Return what happened to a run, and lines about it."""
    words = _WORDS.get(event) or ("was interrupted" if run.status is RunStatus.INTERRUPTED else str(run.status))
    counts = ", ".join(f"{count} to {name}" for name, count in run.changes.named().items() if count)
    by = f"by {run.person}" if run.person else ""
    about = "; ".join(part for part in (str(run.reason), counts, by, f"revision {run.revision[:12]}") if part)
    said = run.message and run.message.lower() != str(run.reason).lower()
    return [f"{run.kind} run {run.id} {words}", about, *([run.message[:_LONGEST]] if said else [])]


def _about_configuration(told: Mapping[str, Any]) -> list[str]:
    """Return what happened to the configuration, the rest of that sentence, and lines about it."""
    if told["event"] == NotifierEvent.HALTED:
        halt = told["halt"]
        return ["admission is halted", halt["reason"], halt["message"][:_LONGEST]]
    changes, count = told["changes"], told["count"]
    lines = [told["event"], f"{count} change{'' if count == 1 else 's'} of the configuration"]
    for change in changes:
        what = f"{change['verb']} {change['kind']} {change['space']}/{change['name']} by {change['person']}"
        lines.append(f"• {what}: {change['message']}"[:_LONGEST])
    return [*lines, f"and {count - len(changes)} more"] if count > len(changes) else lines


def _slack(lines: list[str]) -> bytes:
    return json.dumps({"text": "\n".join(lines)}, ensure_ascii=False).encode()


def _text(lines: list[str], address: str | None) -> str:
    return "\n".join([*lines, *(["", address] if address is not None else []), ""])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
