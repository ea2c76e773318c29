"""One commit's changes of the files that stacks refer to: which of them stay as they were."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from rbac.admission.held import HeldChange
from rbac.admission.judge import Missing
from rbac.admission.judged import Judged
from rbac.admission.pinning import FileChanges, HeldFiles, Uses
from spaces.documents.changes import Verb, changes
from spaces.effective.stack import effective
from spaces.in_force import InForce, differing
from spaces.names import Revision, StackId


@dataclass(frozen=True, slots=True)
class Pins:
    """Judges the files of stacks, by a commit after `before`. `whole` says why all of the commit is held."""

    before: InForce
    revision: Revision
    judged: Judged
    whole: Missing | None = None

    def pin(
        self,
        pinned: Mapping[StackId, HeldChange],
        touched: Mapping[StackId, FileChanges],
        restored: Collection[StackId],
        after: InForce,
        uses: Uses,
    ) -> dict[StackId, HeldChange]:
        """Say which stacks' files stay as they were: those with a change in them that had not the right.

        All files of a stack come into force together: what somebody with the right changes beside it waits, too.
        """
        found = {}
        places = self._places(after)
        judge = self.judged.judge(after.proposed)
        for stack in {*pinned, *touched}:
            here = places.get(stack, stack)
            old, files = pinned.get(stack), touched.get(stack)
            if after.catalog.placed(here.ref) is None or (old is not None and stack in restored):
                continue
            missing = self.whole or (judge.files(stack) if self.judged.judging else None)
            if files is not None and missing is not None:
                held = self._pin(here, old, missing, files)
            elif old is not None and not (files is not None and not self.judged.judging):
                held = self._keep_pin(stack, here, old, files, after, uses)
            else:
                continue
            if not held.files.none:
                found[here] = held
        return found

    def _pin(self, here: StackId, old: HeldChange | None, missing: Missing, files: FileChanges) -> HeldChange:
        pin = old.pin if old is not None and old.pin is not None else self.before.revision
        held = (old.files if old is not None else HeldFiles()).with_held(files)
        message = f"{self.judged.name} changed files of {here}: {missing.message}"
        right = (missing.action, missing.space)
        return HeldChange.of(here.ref, Verb.UPDATE, self.judged.name, right, self.revision, message, None, pin, held)

    def _keep_pin(  # noqa: PLR0917
        self, stack: StackId, here: StackId, old: HeldChange, files: FileChanges | None, after: InForce, uses: Uses
    ) -> HeldChange:
        """Give what is held still after a change by somebody with the right."""
        differs = self._source(self.before, stack) != self._source(after, here)
        kept = replace(old, ref=here.ref, files=old.files.without(files or {}))
        if files is None and not differs:
            return kept
        rest, pin = kept.files.rightful, kept.pin or self.before.revision
        if rest is not None and not uses(effective(after.catalog, here), pin, rest.keys()):
            return replace(kept, files=HeldFiles())
        added = f"; {self.judged.name} changed other files of it since, and all stay as they were at {pin[:12]}"
        message = kept.message if added in kept.message else kept.message + added
        return replace(kept, message=message) if files is not None else kept

    def _places(self, after: InForce) -> dict[StackId, StackId]:
        found = changes(self.before.catalog, after.catalog, differing(self.before, after))
        return {
            StackId(change.origin.space, change.origin.name): StackId(change.ref.space, change.ref.name)
            for change in found
            if change.verb is Verb.MOVE and change.origin is not None
        }

    @staticmethod
    def _source(in_force: InForce, stack: StackId) -> object:
        configured = effective(in_force.catalog, stack)
        return configured.source, configured.spec.tool
