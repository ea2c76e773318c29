"""What a caller is told in texts that the service wrote: no names from spaces that do not exist for them.

Whether a name is left out depends on its space and on the caller's rights, never on whether it exists: otherwise the
answers would tell. Texts of tools and policies are shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rbac.admission.held import HeldChange
from reconciler.core.reasons import Reason
from reconciler.core.state import Component, Why
from reconciler.refusals import OperationRefused
from reconciler.web.api.auth import Caller, Right
from spaces.names import ROOT, Kind, SpaceName, StackId

_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_POLICY = re.compile(rf"\bpolicy (?P<space>{_NAME})/{_NAME}")
_STACK = re.compile(rf"(?<![\w./-])(?P<space>{_NAME})/{_NAME}(?![\w/-])")
# After "there is no" and "needs" comes what the author of the change wrote.
_DOCUMENT = re.compile(
    rf"(?<!there is no )(?<!needs )\b(?P<kind>{'|'.join(map(str, Kind))}) (?P<space>{_NAME})/{_NAME}(?:@[^\s:;,]+)?"
)
_SPACE = re.compile(rf"(?P<before>\bbelongs to |\ballows [\w*]+:[\w*]+ in )(?P<space>{_NAME})\b")
_ELSEWHERE = "another space"

_ABOUT_STACKS = frozenset(
    {Reason.WAITS_FOR_DEPENDENCY, Reason.PLAN_OUTDATED, Reason.OUTPUT_MISSING, Reason.OUTPUT_UNUSABLE}
)
"""Reasons whose messages name other stacks."""
_CYCLE = "depends on itself"


@dataclass(frozen=True, slots=True)
class Told:
    """The spaces whose stacks, and those whose other documents, may be named to somebody; None: all."""

    stacks: Collection[SpaceName] | None = None
    spaces: Collection[SpaceName] | None = None

    @classmethod
    def of(cls, caller: Caller, own: StackId | None = None) -> Told:
        """Return what a caller is told, who has named a stack of their `own`."""
        if caller.sees_everything:
            return cls()
        stacks = caller.spaces(Right.STACK_READ)
        named = frozenset() if own is None else {own.space}
        spaces = caller.spaces(Right.SPACE_READ)
        return cls(None if stacks is None else stacks | named, None if spaces is None else spaces | {ROOT})

    def message(self, text: str, reason: str | None) -> str:
        """Return a message of a run, a condition or a refusal."""
        if reason in _ABOUT_STACKS:
            text = self.others(text)
        return _POLICY.sub(lambda found: self._shown(found, "a policy of a space above"), text)

    def why(self, why: Why) -> Why:
        """Return why a stack is out of sync."""
        match why.component:
            case Component.DEPENDENCIES:
                return Why(why.component, self.others(why.summary))
            case Component.POLICIES:
                return Why(why.component, self.message(why.summary, None))
            case _:
                return why

    def policy(self, name: str) -> str:
        """Return a policy's name, written `space/name`."""
        hidden = self.spaces is not None and name.partition("/")[0] not in self.spaces
        return "a policy of a space above" if hidden else name

    def space(self, name: SpaceName) -> str:
        """Return a space's name."""
        return _ELSEWHERE if self.spaces is not None and name not in self.spaces else name

    def others(self, text: str) -> str:
        """Return a text in which every `space/name` is a stack."""
        if self.stacks is None:
            return text
        return _STACK.sub(lambda found: found[0] if found["space"] in (self.stacks or ()) else "another stack", text)

    def held(self, held: HeldChange, *, reads: bool = True) -> dict[str, Any]:
        """Return a held change as JSON, to somebody who may read its document, or has written it."""
        shown = held.to_json()
        if self.stacks is None or self.spaces is None:
            return shown
        here = {held.ref.space} if reads else set()
        own = Told({*self.stacks, *here}, {*self.spaces, *here})
        missing = shown["missing"]
        if missing is not None and missing["space"] not in {*self.spaces, held.ref.space}:
            shown["missing"] = missing | {"space": _ELSEWHERE}
        return shown | {"message": own.objection(shown["message"])}

    def objection(self, text: str) -> str:
        """Return why a change is held."""
        if _CYCLE in text:
            text = self.others(text)
        text = _DOCUMENT.sub(lambda found: self._shown(found, f"a {found['kind']} of {_ELSEWHERE}"), text)
        return _SPACE.sub(lambda found: self._shown(found, found["before"] + _ELSEWHERE), text)

    def anything(self, text: str) -> str:
        """Return a text about documents of which nobody knows whose they are."""
        return self.others(self.objection(text))

    def _shown(self, found: re.Match[str], instead: str) -> str:
        return found[0] if self.spaces is None or found["space"] in self.spaces else instead


@contextmanager
def refusals(caller: Caller, own: StackId) -> Iterator[None]:
    """Word the refusal of an operation for its caller."""
    try:
        yield
    except OperationRefused as refused:
        message = Told.of(caller, own).message(refused.message, refused.cause)
        raise OperationRefused(refused.reason, message, refused.cause) from None
