"""How far a revision got, in words."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.web.api.schemas.runs import RevisionJson
from reconciler.web.views.tones import Tone


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A revision that made stacks run."""

    it: RevisionJson

    @property
    def tone(self) -> Tone:
        """How it went."""
        if self.it.failed:
            return Tone.BAD
        if self.it.waiting:
            return Tone.WAITING
        return Tone.BUSY if self.it.running else Tone.GOOD if self.it.applied else Tone.QUIET

    @property
    def words(self) -> str:
        """How far it got."""
        it = self.it
        if it.applied == it.stacks:
            return f"applied to {it.stacks} {'stack' if it.stacks == 1 else 'stacks'}"
        numbers = ((it.running, "running"), (it.waiting, "waiting"), (it.failed, "failed"))
        if it.stacks == 1:
            return next((word for number, word in numbers if number), "not applied")
        parts = [f"{it.applied} of {it.stacks} applied"]
        return ", ".join([*parts, *(f"{number} {word}" for number, word in numbers if number)])
