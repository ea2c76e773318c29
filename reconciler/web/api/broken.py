"""The diagnostics that a caller is told: of the files in their spaces, and of those that they broke themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from rbac.admission.held import HeldChange
from reconciler.web.api.auth import Caller, Right
from reconciler.web.api.told import Told
from reconciler.web.ports import Ports
from spaces.diagnostics import printable

_GUESS = "did you mean"


def diagnostics_for(
    caller: Caller, ports: Ports, diagnostics: Iterable[Mapping[str, Any]], held: Collection[HeldChange]
) -> list[dict[str, Any]]:
    """Return what is told of the configuration's files, without the names of spaces that the caller does not see.

    A file belongs to the space of its directory, and whoever reads stacks there is told. So is the person of a held
    change, of its file, whatever their rights.
    """
    if caller.sees_everything:
        return [dict(each) for each in diagnostics]
    own = {printable(each.file) for each in held if each.file is not None and is_own(each, caller)}
    readable, told = caller.spaces(Right.STACK_READ), Told.of(caller)
    found = []
    for each in diagnostics:
        file = each.get("file")
        if file is None or not (file in own or readable is None or ports.home(file) in readable):
            continue
        hint = each.get("hint")
        # A guess is one of the names that are there.
        hint = None if hint is None or _GUESS in hint else told.anything(hint)
        found.append({**each, "summary": told.anything(each["summary"]), "hint": hint})
    return found


def is_own(held: HeldChange, caller: Caller) -> bool:
    """Whether a held change is the caller's."""
    return held.person == str(caller.subject)
