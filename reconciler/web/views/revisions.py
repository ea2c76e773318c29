"""How far the last revisions got: how many stacks each concerned, and how many of those have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.runs import ACTIVE, RunStatus
from reconciler.web.api.schemas.runs import RunJson
from reconciler.web.views.tones import Tone

_BAD = frozenset({RunStatus.FAILED, RunStatus.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A revision that made stacks run. `ended` is None while one of them is not done."""

    revision: str
    people: tuple[str, ...]
    started: datetime
    ended: datetime | None
    stacks: int
    done: int
    waiting: int
    running: int
    failed: int
    newest: str
    """The run that stands for it in a link: one that failed, else one that is not done, else the newest."""
    stack: str
    """The stack of that run."""

    @property
    def tone(self) -> Tone:
        """How it went."""
        if self.failed:
            return Tone.BAD
        if self.waiting:
            return Tone.WAITING
        return Tone.BUSY if self.running else Tone.GOOD if self.done else Tone.QUIET

    @property
    def words(self) -> str:
        """How far it got."""
        if self.done == self.stacks:
            return f"applied to {self.stacks} {'stack' if self.stacks == 1 else 'stacks'}"
        numbers = ((self.running, "running"), (self.waiting, "waiting"), (self.failed, "failed"))
        if self.stacks == 1:
            return next((word for number, word in numbers if number), "not applied")
        parts = [f"{self.done} of {self.stacks} applied"]
        return ", ".join([*parts, *(f"{number} {word}" for number, word in numbers if number)])


def revisions(runs: Iterable[RunJson], most: int) -> list[RevisionView]:
    """Return the newest revisions among these runs (newest first). Of each stack, its newest run counts."""
    found: dict[str, dict[str, RunJson]] = {}
    started: dict[str, datetime] = {}
    for run in runs:
        if run.revision not in found and len(found) == most:
            continue
        found.setdefault(run.revision, {}).setdefault(run.stack, run)
        started[run.revision] = run.created_at
    views = [_view(revision, list(of.values()), started[revision]) for revision, of in found.items()]
    return sorted(views, key=lambda view: view.started, reverse=True)


def _view(revision: str, runs: list[RunJson], started: datetime) -> RevisionView:
    statuses = [RunStatus(run.status) for run in runs]
    waiting = statuses.count(RunStatus.UNCONFIRMED)
    active = sum(status in ACTIVE for status in statuses)
    ends = [run.finished_at for run in runs if run.finished_at is not None]
    bad = [run for run in runs if RunStatus(run.status) in _BAD]
    open_ = [run for run in runs if RunStatus(run.status) in ACTIVE]
    newest = (bad or open_ or runs)[0]
    return RevisionView(
        revision=revision,
        people=tuple(dict.fromkeys(run.person for run in runs if run.person)),
        started=started,
        ended=max(ends) if ends and not active else None,
        stacks=len(runs),
        done=statuses.count(RunStatus.FINISHED),
        waiting=waiting,
        running=active - waiting,
        failed=len(bad),
        newest=newest.id,
        stack=newest.stack,
    )
