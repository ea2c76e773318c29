"""Orders: instances of blueprints in commits that the service makes, each on a branch that a person then merges."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from rbac.access.subjects import SubjectKind
from rbac.identity import LOCAL_OPERATOR
from reconciler.core.orders import Order, Wanted
from reconciler.refusals import OperationRefused, Refusal
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.blueprints import try_out
from reconciler.web.api.errors import invalid, not_found
from reconciler.web.api.paging import CursorIn, LimitIn, page
from reconciler.web.api.schemas.orders import OrderIn, OrderJson
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.ports import Ports
from spaces.diagnostics import printable
from spaces.documents.documents import PlacedDocuments
from spaces.model.base import NAME_HINT
from spaces.model.blueprint import BlueprintInstanceSpec
from spaces.model.people import UserSpec
from spaces.names import ROOT, Kind, ResourceRef, Revision, SpaceName, is_name

blueprints = APIRouter(prefix="/blueprints", tags=["blueprints"])
router = APIRouter(prefix="/blueprint-orders", tags=["blueprints"])


@blueprints.post("/{space}/{name}/order")
def order(ports: PortsIn, caller: CallerIn, space: str, name: str, asked: OrderIn) -> OrderJson:
    """Commit an instance with these inputs on a new branch of the configuration repository, as the caller's.

    A person opens the merge request. The same order again gives the same commit. 409: it cannot be pushed.
    """
    tried = try_out(ports, caller, space, name, asked)
    right = right_to(tried.documents, tried.ref.space, tried.ref.name)
    caller.require(right, tried.ref.space, f"space {tried.ref.space}")
    if not is_name(asked.name):
        raise invalid("name", f"is not a name ({NAME_HINT})")
    for wrong in tried.rendered.diagnostics[:1]:
        raise invalid("inputs", wrong.summary + (f" ({wrong.hint})" if wrong.hint else ""))
    if not tried.rendered.changes:
        detail = f"{tried.ref.space}/{tried.ref.name} is in force just so: there is nothing to order"
        raise OperationRefused(Refusal.NOTHING_TO_ORDER, detail)
    wanted = Wanted(
        subject=caller.subject.plain,
        because=caller.basis(right.action, tried.ref.space),
        space=tried.ref.space,
        name=tried.ref.name,
        blueprint=f"{space}/{name}",
        version=asked.version,
        document=tried.rendered.instance,
        file=tried.file,
        is_new=right is Right.INSTANCE_CREATE,
        address=_address(tried.documents, caller),
    )
    return _Shown.by(ports).order(ports.order(wanted))


def right_to(documents: PlacedDocuments, space: SpaceName, name: str) -> Right:
    """Return the right that it takes to order an instance: one in force is changed by it."""
    there = is_name(name) and documents.written(ResourceRef(Kind.BLUEPRINT_INSTANCE, space, name)) is not None
    return Right.INSTANCE_UPDATE if there else Right.INSTANCE_CREATE


@router.get("")
def list_orders(ports: PortsIn, caller: CallerIn, limit: LimitIn = 100, cursor: CursorIn = None) -> Page[OrderJson]:
    """List the orders of the caller, and those for spaces whose instances they may read, the newest first."""
    spaces = caller.spaces(Right.INSTANCE_READ)
    with ports.store.reading() as reading:
        before = reading.order(Revision(cursor)) if cursor is not None else None
        if cursor is not None and before is None:
            raise invalid("cursor", "this is not the `next` of a page")
        found = reading.orders(spaces, str(caller.subject), before, limit + 1)
    return page(found, limit, lambda each: each.commit, _Shown.by(ports).order)


@router.get("/{commit}")
def get_order(ports: PortsIn, caller: CallerIn, commit: str) -> OrderJson:
    """Return an order."""
    with ports.store.reading() as reading:
        found = reading.order(Revision(commit))
    if found is None or not (found.subject == str(caller.subject) or caller.allows(Right.INSTANCE_READ, found.space)):
        raise not_found(f"order {commit}")
    return _Shown.by(ports).order(found)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Shows orders beside what is in force."""

    documents: PlacedDocuments
    target: str

    @classmethod
    def by(cls, ports: Ports) -> _Shown:
        with ports.store.reading() as reading:
            return cls(ports.documents(), reading.configuration().branch or "")

    def order(self, order: Order) -> OrderJson:
        spec = BlueprintInstanceSpec(blueprint=order.blueprint, version=order.version, inputs=dict(order.inputs))
        placed = self.documents.placed(ResourceRef(Kind.BLUEPRINT_INSTANCE, order.space, order.name))
        return OrderJson(
            commit=order.commit,
            branch=order.branch,
            target=self.target,
            file=printable(order.file),
            person="operator" if order.subject == str(LOCAL_OPERATOR) else order.subject,
            space=order.space,
            name=order.name,
            blueprint=order.blueprint,
            version=order.version,
            at=order.at,
            link=order.link,
            in_force=placed is not None and placed.resource.spec == spec,
        )


def _address(documents: PlacedDocuments, caller: Caller) -> str | None:
    """Return the first address of the caller's User document."""
    if caller.subject.kind is not SubjectKind.USER:
        return None
    placed = documents.placed(ResourceRef(Kind.USER, ROOT, caller.subject.name))
    spec = placed.resource.spec if placed is not None else None
    return spec.emails[0] if isinstance(spec, UserSpec) and spec.emails else None
