"""A row of the audit in one line, with what it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from reconciler.runs.audit import Approvals, Audited
from reconciler.web.api.schemas.admission import AuditJson
from reconciler.web.views.tones import Tone
from spaces.names import StackId

_TONES = {
    "trusted": Tone.WAITING,
    "admitted": Tone.GOOD,
    "held": Tone.WAITING,
    "database-restored": Tone.WAITING,
    Approvals.ACCEPTED: Tone.GOOD,
    Approvals.REFUSED: Tone.BAD,
    Audited.APPLY_STARTED: Tone.BUSY,
    Audited.TFSTATE_WRITTEN: Tone.WAITING,
}
_ENDS = {"finished": Tone.GOOD, "failed": Tone.BAD, "interrupted": Tone.BAD}

_APART = {"stack", "run", "revision", "because", "digest", "planDigest", "source", "documents", "rights", "count"}
"""What has a place of its own in the row, or is only in the fold."""
_WORDED = {"change", "changes", "policy", "result", "messages", "warnings", "kind", "status", "reason"}
_LISTED = 3
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class AuditView:
    """A row as it is shown. `stack` and `run` are empty where it is about none; `whole` is all of it as JSON."""

    it: AuditJson
    tone: Tone
    stack: str
    run: str
    revision: str
    words: str
    because: str
    whole: str

    @classmethod
    def of(cls, row: AuditJson) -> Self:
        """Return a row as it is shown."""
        details = row.details
        tone = _ENDS.get(str(details.get("status"))) if row.event == Audited.APPLY_ENDED else None
        return cls(
            row,
            tone or _TONES.get(row.event, Tone.QUIET),
            _stack(details),
            str(details.get("run") or ""),
            str(details.get("revision") or ""),
            "; ".join(map(_cut, _words(row.event, details))),
            str(details.get("because") or ""),
            json.dumps(details, indent=2, ensure_ascii=False),
        )


def _words(event: str, details: dict[str, Any]) -> Iterator[str]:
    change, changes = details.get("change"), details.get("changes")
    if isinstance(change, dict):
        what = f"{change.get('verb')} {change.get('kind')} {change.get('space')}/{change.get('name')}"
        yield f"{what}: {change['message']}" if change.get("message") else what
    if isinstance(changes, list):
        more = int(details.get("count") or len(changes)) - _LISTED
        yield ", ".join(map(str, changes[:_LISTED])) + (f" and {more} more" if more > 0 else "")
    if details.get("result"):
        said = "; ".join(map(str, [*details.get("messages", ()), *details.get("warnings", ())]))
        yield f"{details.get('policy')} says {details['result']}" + (f": {said}" if said else "")
    if details.get("kind"):
        ended = event == Audited.APPLY_ENDED
        yield f"{details['kind']} run" + (f" {details.get('status')}: {details.get('reason')}" if ended else "")
    for name, value in details.items():
        if name not in _APART | _WORDED and isinstance(value, str | int | float) and value not in {"", False}:
            yield f"{name} {value}"


def _stack(details: dict[str, Any]) -> str:
    """Return the stack that a row is about, if it can be the name of one."""
    try:
        return str(StackId.parse(str(details.get("stack") or "")))
    except ValueError:
        return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
