"""The service's log about the configuration: which revision was seen, what of it came into force, and what did not.

One line for each thing that somebody asks for later. What has been said is not said again, so that a line means that
something happened.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.reasons import remedy
from reconciler.store.stored import AuditEvent, Halt
from spaces.diagnostics import Diagnostic, Severity, printable
from spaces.names import Revision

_log = logging.getLogger(__name__)

_CHANGES = 5
"""How many changes of one revision are named."""
_ERRORS = 20
"""How many new errors are named at once."""


@dataclass(slots=True)
class Telling:
    """Writes the log of one process, and remembers what it has said."""

    _seen: Revision | None = None
    _errors: frozenset[str] = frozenset()
    _halted: tuple[str, Revision | None] | None = field(default=None)

    def seen(self, revision: Revision, branch: str, in_force: Revision | None) -> None:
        """Say that the branch is at another revision."""
        if revision not in {self._seen, in_force}:
            _log.info("revision %s is on branch %s", revision[:12], branch)
        self._seen = revision

    def recorded(self, events: Iterable[AuditEvent]) -> None:
        """Say what came into force, and what is held."""
        for event in events:
            level, words = _words(event)
            if words is not None:
                _log.log(level, "%s", printable(words))

    def errors(self, told: Iterable[Diagnostic]) -> None:
        """Say which errors are new, each with its file and line, and how many are gone."""
        errors = {str(each) for each in told if each.severity is Severity.ERROR}
        new = sorted(errors - self._errors)
        for line in new[:_ERRORS]:
            _log.warning("%s", line)
        if len(new) > _ERRORS:
            _log.warning("… and %d more errors: station status lists them", len(new) - _ERRORS)
        if self._errors and errors != self._errors and not new:
            left = f"{len(errors)} are left" if errors else "none is left"
            _log.info("%d errors of the configuration are mended, and %s", len(self._errors - errors), left)
        self._errors = frozenset(errors)

    def halt(self, halted: Halt | None, *, of_fetch: bool) -> None:
        """Say that admission stands still and what to do, or that it goes on. The log of fetches has said its own."""
        now = (halted.reason, halted.revision) if halted is not None else None
        if now == self._halted:
            return
        if halted is None:
            _log.info("admission is no longer halted")
        elif not of_fetch:
            hint = remedy(halted.reason)
            _log.error(
                "admission is halted, %s: %s%s", halted.reason, printable(halted.message), f" ({hint})" if hint else ""
            )
        self._halted = now


def _words(event: AuditEvent) -> tuple[int, str | None]:  # noqa: PLR0911 - a case for each event
    """Word an event of admission; None: it has a line of its own elsewhere."""
    details: Mapping[str, Any] = event.details
    revision = str(details.get("revision", ""))[:12]
    change = _change(details["change"]) if "change" in details else ""
    match event.event:
        case "trusted":
            documents = sum(details["documents"].values())
            words = f"{documents} document{'' if documents == 1 else 's'}"
            return logging.INFO, f"revision {revision} is trusted whole, as the first one: {words}"
        case "admitted":
            named = details["changes"][:_CHANGES]
            more = f" and {details['count'] - len(named)} more" if details["count"] > len(named) else ""
            by = f" by {event.person}" if event.person is not None else ""
            return logging.INFO, f"revision {revision}{by} is admitted: {', '.join(named)}{more}"
        case "held":
            return logging.WARNING, f"held at revision {revision}: {change}"
        case "hold-ended":
            return logging.INFO, f"no longer held since revision {revision}: {change}"
        case "approved":
            return logging.INFO, f"approved by {event.person}: {change}"
        case "approval-refused":
            return logging.WARNING, f"{event.person} cannot approve {change or details['held']}: {details['refused']}"
        case _:
            return logging.INFO, None


def _change(change: Mapping[str, Any]) -> str:
    """Word a held change, with what it needs."""
    what = f"{change['verb']} {change['kind']} {change['space']}/{change['name']}"
    file = f" in {change['file']}" if change.get("file") else ""
    missing = change.get("missing")
    needs = f"it needs {missing['action']} in {missing['space']}" if missing else str(change.get("message"))
    return f"{what}{file} by {change['person']}: {needs} (station held show {change['id']})"
