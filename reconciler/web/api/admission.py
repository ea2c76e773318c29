"""What admission holds back, and approvals of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter

from rbac.access.actions import Action, to_read
from rbac.admission.held import HeldChange
from reconciler import operations
from reconciler.runs.audit import Approvals
from reconciler.store.protocol import Store
from reconciler.store.stored import AuditEvent
from reconciler.web.api.auth import Caller, CallerIn, PortsIn
from reconciler.web.api.broken import is_own
from reconciler.web.api.errors import ApiError, not_found
from reconciler.web.api.paging import Part, PartIn, behind, named_spaces, page
from reconciler.web.api.schemas.admission import ApprovedJson, HeldDiffJson, HeldJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.api.told import Told
from reconciler.web.ports import Ports
from spaces.documents.changes import Verb
from spaces.documents.tree import SpaceTree
from spaces.names import ROOT, SpaceName

router = APIRouter(tags=["admission"])

_PATIENCE = 10.0
"""The seconds that a request waits for admission."""
_PAUSE = 0.1
_ROWS = 1000


@router.get("/held")
def list_held(
    ports: PortsIn,
    caller: CallerIn,
    part: PartIn,
) -> Page[HeldJson]:
    """List the held changes by kind, space and name."""
    visible = _Visible.to(ports, caller)
    return page(visible.cut(part), part.limit, _place, visible.brief)


@router.get("/held/{held}")
def get_held(ports: PortsIn, caller: CallerIn, held: str) -> HeldDiffJson:
    """Show a held change."""
    visible = _Visible.to(ports, caller)
    return visible.whole(visible.find(held))


def list_whole_held(ports: Ports, caller: Caller, part: Part) -> Page[HeldDiffJson]:
    """List the held changes as `list_held` does, each with its diff."""
    visible = _Visible.to(ports, caller)
    return page(visible.cut(part), part.limit, _place, visible.whole)


@router.post("/held/{held}/approve")
def approve_held(ports: PortsIn, caller: CallerIn, held: str) -> ApprovedJson:
    """Approve a held change, and wait some seconds until admission has judged that. 409: it refused."""
    visible = _Visible.to(ports, caller)
    wanted, told = visible.find(held), visible.told
    action, space = _needed(visible.tree, wanted, told)
    if not caller.may(action, space):
        raise _no_right(held, action, told.space(space))
    with ports.store.reading() as reading:
        before = reading.audit_length()
    operations.approve(ports.store, wanted, str(caller.subject), ports.now(), caller.basis(action, space))
    ports.wake()
    judged = _await_judgement(ports.store, wanted.id, before) if ports.judges else None
    if judged is not None and judged.event == Approvals.REFUSED:
        detail = f"{wanted.id} is still held: {told.objection(str(judged.details['refused']))}"
        raise ApiError(HTTPStatus.CONFLICT, "ApprovalRefused", detail)
    shown = _shown(wanted, {wanted.id: str(caller.subject)}, told)
    return ApprovedJson(**dict(shown), in_force=True if judged is not None else None)


def _await_judgement(store: Store, held: str, after: int) -> AuditEvent | None:
    """Return what admission made of an approval, from the rows of the audit after that number; None: nothing yet."""
    end = time.monotonic() + _PATIENCE
    while True:
        with store.reading() as reading:
            rows = reading.audit(after, _ROWS)
        for row in rows:
            if row.event.event in set(Approvals) and row.event.details.get("held") == held:
                return row.event
        after = rows[-1].number if rows else after
        if time.monotonic() > end:
            return None
        if len(rows) < _ROWS:
            time.sleep(_PAUSE)


@dataclass(frozen=True, slots=True)
class _Visible:
    """The held changes that a caller may know of, their own among them, and what they are told of each."""

    ports: Ports
    caller: Caller
    tree: SpaceTree
    told: Told
    found: list[HeldChange]
    approved: dict[str, str]
    """Who has approved which."""

    @classmethod
    def to(cls, ports: Ports, caller: Caller) -> _Visible:
        with ports.store.reading() as reading:
            held, approvals = reading.held_changes(), reading.approvals()
        tree, everything = ports.tree(), caller.sees_everything
        found = [each for each in held if everything or is_own(each, caller) or _may_read(each, caller, tree)]
        return cls(ports, caller, tree, Told.of(caller), found, {each.held: each.subject for each in approvals})

    def find(self, wanted: str) -> HeldChange:
        held = next((each for each in self.found if each.id == wanted), None)
        if held is None:
            raise not_found(f"held change {wanted}")
        return held

    def cut(self, part: Part) -> list[HeldChange]:
        wanted = named_spaces(self.tree, self.caller, part)
        found = [each for each in self.found if wanted is None or _home(self.tree, each) in wanted]
        return behind(sorted(found, key=_place), part.cursor, part.limit, _place)

    def brief(self, held: HeldChange) -> HeldJson:
        return _shown(held, self.approved, self.told, reads=_may_read(held, self.caller, self.tree))

    def whole(self, held: HeldChange) -> HeldDiffJson:
        reads = _may_read(held, self.caller, self.tree)
        # A move shows the document of another space, too; and its author need not be allowed to read what is there.
        seen = self.caller.sees_everything or (held.verb is not Verb.MOVE and reads)
        return HeldDiffJson(diff=self.ports.held_diff(held.id) if seen else None, **dict(self.brief(held)))


def _may_read(held: HeldChange, caller: Caller, tree: SpaceTree) -> bool:
    return caller.may(to_read(held.ref.kind), _home(tree, held))


def _home(tree: SpaceTree, held: HeldChange) -> SpaceName:
    """Name the space by which a held change is seen: its own, or where the right is missing if that is not there."""
    if tree.exists(held.ref.space):
        return held.ref.space
    return held.missing[1] if held.missing is not None else ROOT


def _needed(tree: SpaceTree, held: HeldChange, told: Told) -> tuple[Action, SpaceName]:
    if held.missing is None:
        detail = f"{held.id} is held because it does not work, and no approval mends that: {told.held(held)['message']}"
        raise ApiError(HTTPStatus.CONFLICT, "DoesNotWork", detail)
    action, space = held.missing
    return action, space if tree.exists(space) else ROOT


def _no_right(held: str, action: Action, space: str) -> ApiError:
    return not_found(f"held change {held} that you may approve: you need {action} in {space}")


def _place(held: HeldChange) -> str:
    return f"{held.kind} {held.ref.space}/{held.ref.name} {held.id}"


def _shown(held: HeldChange, approved: dict[str, str], told: Told, *, reads: bool = True) -> HeldJson:
    return HeldJson(approved_by=approved.get(held.id), **told.held(held, reads=reads))
