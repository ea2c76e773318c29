"""Questions about access: may somebody do something, who may do it, which roles does somebody hold.

Everyone may ask about themselves. Answers about others rest only on bindings that the caller may read.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from rbac.access.access import Access, ended
from rbac.access.actions import Action, summarize
from rbac.access.differences import differences
from rbac.access.grants import Grant
from rbac.access.subjects import Subject
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.paging import CursorIn, LimitIn, behind, page
from reconciler.web.api.schemas.access import (
    AccessChangeJson,
    AccessSettingsJson,
    DecisionJson,
    HolderJson,
    MeJson,
    RoleHeldJson,
)
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.ports import Ports
from spaces.names import ROOT, SpaceName

router = APIRouter(prefix="/access", tags=["access"])
me = APIRouter(tags=["access"])

SubjectIn = Annotated[
    str, Query(max_length=200, description="`user:alice`, `group:…`, `apiKey:…`, `stack:space/name`.")
]
ActionIn = Annotated[str, Query(max_length=64, description="`stack:update`, `run:confirm`, ….")]
WhereIn = Annotated[str, Query(max_length=63, description="The space.")]

RefIn = Annotated[
    str | None,
    Query(
        max_length=200,
        description="As merging this branch or commit of the configuration would make it; needs `roleBinding:read`.",
    ),
]

_ABOVE = "by a role in a space above"


@me.get("/me")
def get_me(caller: CallerIn) -> MeJson:
    """Return whose token the request carries, and until when it is valid."""
    return MeJson(person=caller.person, until=caller.until)


@router.get("/can")
def can(  # noqa: PLR0917
    ports: PortsIn, caller: CallerIn, subject: SubjectIn, action: ActionIn, space: WhereIn, ref: RefIn = None
) -> DecisionJson:
    """Whether somebody may do something in a space, and the reason."""
    who, what, where = _subject(subject), _action(action), SpaceName(space)
    if who == caller.subject.plain:
        who = caller.subject  # with the groups of their sign-in
    else:
        caller.require(Right.BINDING_READ, where, f"space {space}")
    _exists(ports, caller, where, ref)
    access = _access(ports, caller, ref, where)
    decision = access.decide(who, what, where)
    ports.metrics.access_decided(str(what), allowed=decision.allowed)
    if not decision.allowed:
        over = access.ended(who, what, where)
        told = over is not None and _may_be_told(caller, who, over)
        return DecisionJson(
            allowed=False, because=decision.because + (ended(over, who) if over is not None and told else "")
        )
    visible = decision.grant is None or _may_be_told(caller, who, decision.grant)
    return DecisionJson(allowed=True, because=decision.because if visible else _ABOVE)


@router.get("/settings")
def get_access_settings(ports: PortsIn, caller: CallerIn) -> AccessSettingsJson:
    """Return what the service's settings say about admission, so that `station diff` judges as the service does."""
    settings = ports.admission
    complete = caller.allows(Right.BINDING_READ, ROOT)
    admins = [name for name in settings.admins if complete or str(caller.subject) == f"user:{name}"]
    return AccessSettingsJson(
        identity=settings.identity,
        admins=admins,
        admins_complete=complete,
        identity_forges=list(settings.identity_forges),
        destroy_budget=settings.destroy_budget,
    )


@router.get("/who")
def who_can(
    ports: PortsIn,
    caller: CallerIn,
    *,
    action: ActionIn,
    space: WhereIn,
    ref: RefIn = None,
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[HolderJson]:
    """List everyone who may do something in a space, groups and each of their members."""
    what, where = _action(action), SpaceName(space)
    caller.require(Right.BINDING_READ, where, f"space {space}")
    _exists(ports, caller, where, ref)
    holders = [
        HolderJson(subject=str(holder.subject), because=holder.because)
        for holder in _access(ports, caller, ref, where).who_may(what, where)
        if _may_be_told(caller, holder.subject, holder.grant)
    ]
    cut = behind(sorted(holders, key=_holder), cursor, limit, _holder)
    return page(cut, limit, _holder, lambda holder: holder)


@router.get("/of")
def roles_of(  # noqa: PLR0917
    ports: PortsIn,
    caller: CallerIn,
    subject: SubjectIn,
    ref: RefIn = None,
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[RoleHeldJson]:
    """List every role that somebody holds, one entry for each binding."""
    who = _subject(subject)
    roles = [
        RoleHeldJson(
            role=held.grant.role,
            space=held.grant.space,
            actions=summarize(held.actions),
            because=held.because,
            expires=held.grant.expires,
        )
        for held in _access(ports, caller, ref, None).roles_of(who)
        if _may_be_told(caller, who, held.grant)
    ]
    cut = behind(sorted(roles, key=_place), cursor, limit, _place)
    return page(cut, limit, _place, lambda held: held)


@router.get("/changes")
def access_changes(
    ports: PortsIn,
    caller: CallerIn,
    ref: Annotated[str, Query(max_length=200, description="A branch or commit of the configuration.")],
    limit: LimitIn = 100,
    cursor: CursorIn = None,
) -> Page[AccessChangeJson]:
    """List who would gain or lose which access by merging a branch or commit, in spaces whose bindings one may read."""
    able = caller.spaces(Right.BINDING_READ)
    found = [
        AccessChangeJson(
            subject=str(each.subject),
            space=each.space,
            verb=each.verb,
            actions=summarize(each.actions),
            because=each.because,
            below=each.below,
        )
        for each in differences(ports.access(), _access(ports, caller, ref, None))
        if able is None or each.space in able
    ]
    cut = behind(sorted(found, key=_changed), cursor, limit, _changed)
    return page(cut, limit, _changed, lambda each: each)


def _access(ports: Ports, caller: Caller, ref: str | None, space: SpaceName | None) -> Access:
    """Return the access rules in force, or as merging a branch would make them.

    That costs a fetch and tells of a branch, so it is for those who read the bindings of the space (None: of any).
    """
    if ref is None:
        return ports.access()
    able = caller.spaces(Right.BINDING_READ)
    if able is not None and (not able if space is None else space not in able):
        where = "any space" if space is None else f"space {space}"
        raise not_found(f"{where} for which you have {Right.BINDING_READ}")
    found = ports.access_with(ref, caller.subject)
    if isinstance(found, str):
        raise invalid("ref", found)
    return found


def _exists(ports: Ports, caller: Caller, space: SpaceName, ref: str | None) -> None:
    """Raise 404 for a space that does not exist, to those who may know which there are."""
    if ref is None and caller.sees_everything and not ports.tree().exists(space):
        raise not_found(f"space {space}")


def _changed(change: AccessChangeJson) -> str:
    return f"{change.space} {change.subject} {change.verb} {change.actions}"


def _holder(holder: HolderJson) -> str:
    return holder.subject


def _place(held: RoleHeldJson) -> str:
    return f"{held.space} {held.role} {held.because}"


def _may_be_told(caller: Caller, subject: Subject, grant: Grant) -> bool:
    """Whether the caller may know of a grant: their own, or one in a space whose bindings they may read."""
    return caller.subject.plain == subject or caller.allows(Right.BINDING_READ, grant.space)


def _subject(text: str) -> Subject:
    try:
        return Subject.parse(text)
    except ValueError as wrong:
        raise invalid("subject", str(wrong)) from None


def _action(text: str) -> Action:
    try:
        return Action.parse(text)
    except ValueError as wrong:
        raise invalid("action", str(wrong)) from None
