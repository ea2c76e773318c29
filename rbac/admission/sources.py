"""The files that stacks refer to: changed without the right, a stack's whole source stays at the revision in force.

`admit` asks once for each commit. A source is held for each stack by itself and whole: a module may belong to stacks of
several spaces, and half-old sources must never run. `Writes` remembers files that nobody's stack uses yet and somebody
without the right has written: they run with no stack that takes them over later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from posixpath import dirname
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from rbac.admission.held import HeldChange, HeldFiles
from rbac.admission.judge import Judge, MissingRight
from spaces.documents.changes import Verb, changes
from spaces.effective.stack import EffectiveStack, effective
from spaces.in_force import InForce, differing
from spaces.names import Revision, SpaceName, StackId

FileChanges: TypeAlias = Mapping[str, tuple[str, str]]
"""Path -> what lay there before a commit and after it, as texts to be compared; empty for nothing."""

NO_FILES: Mapping[StackId, FileChanges] = MappingProxyType({})

NO_CHANGES: FileChanges = MappingProxyType({})

Uses: TypeAlias = Callable[[EffectiveStack, Revision | None, Collection[str]], bool]
"""Whether any of some paths may belong to the files of a stack, now or at the revision where they are held."""


def always(stack: EffectiveStack, pin: Revision | None, paths: Collection[str]) -> bool:
    """Return that they may, where nobody can look."""
    _ = stack, pin
    return bool(paths)


class Write(NamedTuple):
    """A file's content that somebody without the right has written: its Git id, whose it is, and the commit.

    `rightful` is what lay there before; empty for nothing.
    """

    content: str
    rightful: str
    person: str
    revision: Revision


Writes: TypeAlias = Mapping[str, Write]


def follow_writes(
    before: Writes,
    changed: FileChanges,
    judge: Judge,
    author: tuple[str, Revision],
    space_of: Callable[[str], SpaceName],
) -> Writes:
    """Return the files written without the right after a commit: content keeps its writer when it is carried along."""
    if not changed:
        return before
    after = dict(before)
    allowed: dict[SpaceName, bool] = {}
    carried = {before[path].content: before[path] for path, (_, now) in changed.items() if path in before and not now}
    for path, (was, now) in changed.items():
        space = space_of(dirname(path))
        if space not in allowed:
            allowed[space] = judge.files(StackId(space, "")) is None
        rightful = before[path].rightful if path in before else was
        if now == rightful or (allowed[space] and now not in carried):
            after.pop(path, None)
        elif now in carried:
            after[path] = carried[now]._replace(rightful=rightful)
        else:
            after[path] = Write(now, rightful, *author)
    return after


@dataclass(frozen=True, slots=True)
class Sources:
    """Judges the files of stacks, by a commit after `before`. `whole` says why all of the commit is held."""

    before: InForce
    revision: Revision
    judge: Judge
    name: str
    judging: bool
    whole: MissingRight | None = None

    def hold(
        self,
        held: Mapping[StackId, HeldChange],
        touched: Mapping[StackId, FileChanges],
        restored: Collection[StackId],
        after: InForce,
        uses: Uses,
    ) -> dict[StackId, HeldChange]:
        """Return the stacks whose sources stay as they were: those with a change in them that had not the right.

        All files of a stack come into force together: what somebody with the right changes beside it waits, too.
        """
        found = {}
        places = self._places(after)
        for stack in {*held, *touched}:
            here = places.get(stack, stack)
            old, files = held.get(stack), touched.get(stack)
            if after.documents.placed(here.ref) is None or (old is not None and stack in restored):
                continue
            missing = self.whole or (self.judge.files(stack) if self.judging else None)
            if files is not None and missing is not None:
                kept = self._hold(here, old, missing, files)
            elif old is not None and not (files is not None and not self.judging):
                kept = self._keep(stack, here, old, files, after, uses)
            else:
                continue
            if not kept.files.none:
                found[here] = kept
        return found

    def _hold(self, here: StackId, old: HeldChange | None, missing: MissingRight, files: FileChanges) -> HeldChange:
        pin = old.pin if old is not None and old.pin is not None else self.before.revision
        held = (old.files if old is not None else HeldFiles()).with_held(files)
        message = f"{self.name} changed files of {here}: {missing.message}"
        right = (missing.action, missing.space)
        return HeldChange.of_source(here.ref, self.name, right, self.revision, message, pin, held)

    def _keep(  # noqa: PLR0917
        self, stack: StackId, here: StackId, old: HeldChange, files: FileChanges | None, after: InForce, uses: Uses
    ) -> HeldChange:
        """Return what is held still after a change by somebody with the right."""
        differs = self._source(self.before, stack) != self._source(after, here)
        kept = replace(old, ref=here.ref, files=old.files.without(files or {}))
        if files is None and not differs:
            return kept
        rest, pin = kept.files.rightful, kept.pin or self.before.revision
        if rest is not None and not uses(effective(after.documents, here), pin, rest.keys()):
            return replace(kept, files=HeldFiles())
        added = f"; {self.name} changed other files of it since, and all stay as they were at {pin[:12]}"
        message = kept.message if added in kept.message else kept.message + added
        return replace(kept, message=message) if files is not None else kept

    def _places(self, after: InForce) -> dict[StackId, StackId]:
        found = changes(self.before.documents, after.documents, differing(self.before, after))
        return {
            StackId(change.origin.space, change.origin.name): StackId(change.ref.space, change.ref.name)
            for change in found
            if change.verb is Verb.MOVE and change.origin is not None
        }

    @staticmethod
    def _source(in_force: InForce, stack: StackId) -> object:
        configured = effective(in_force.documents, stack)
        return configured.source, configured.spec.tool


def named(writes: Writes) -> str:
    """Name some files and who wrote them, for a message."""
    paths = sorted(writes)
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    persons = ", ".join(sorted({write.person for write in writes.values()}))
    return f"{', '.join(paths[:3])}{more}, written by {persons}"
