"""The state of the service, and its spaces."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from fastapi import APIRouter

from rbac.access.actions import to_read
from reconciler.git.remote import redact
from reconciler.store.queries import Reading
from reconciler.store.services import leader_of
from reconciler.store.stored import ConfigurationState
from reconciler.version import __version__
from reconciler.web.api import convert
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right
from reconciler.web.api.broken import diagnostics_for
from reconciler.web.api.followed import followed_json
from reconciler.web.api.frozen import open_in
from reconciler.web.api.paging import CursorIn, LimitIn, Part, SpaceIn, behind, named_spaces, page
from reconciler.web.api.rollouts import rollouts_of
from reconciler.web.api.schemas.overview import (
    ConfigurationJson,
    CountsJson,
    FetchJson,
    PinnedJson,
    SealingJson,
    ServiceJson,
    SpaceJson,
    StatusJson,
)
from reconciler.web.api.schemas.shapes import Page
from reconciler.web.ports import Ports
from spaces.names import ROOT, Kind, SpaceName

router = APIRouter(tags=["overview"])


@router.get("/status")
def get_status(ports: PortsIn, caller: CallerIn) -> StatusJson:
    """Return how far the configuration was followed, the problems in it, and counts."""
    with ports.store.reading() as reading:
        state = reading.configuration()
        followed = _configuration(ports, caller, reading, state)
        counted = reading.count_stacks()
        active = reading.count_active()
        pins = reading.pins()
        rollouts = rollouts_of(reading, caller.spaces(Right.RUN_READ))
        services, leader = reading.services(), leader_of(reading, ports.now())
    stacks: Counter[str] = Counter()
    readable, runnable = caller.spaces(Right.STACK_READ), caller.spaces(Right.RUN_READ)
    for (space, _, sync), count in counted.items():
        if readable is None or space in readable:
            stacks[sync] += count.stacks
    runs: Counter[str] = Counter()
    for each in active:
        if runnable is None or each.space in runnable:
            runs[each.status] += each.runs
    everything = caller.sees_everything
    return StatusJson(
        **dict(followed),
        version=__version__,
        ready=ports.ready(),
        kept=[kept for kept in convert.kept_json(state) if caller.may(to_read(Kind(kept.kind)), SpaceName(kept.space))],
        sources=followed_json(state, ports.documents()) if everything else [],
        pins=[
            PinnedJson(stack=str(stack), revision=pin.revision, person=pin.person, note=pin.note, until=pin.until)
            for stack, pin in sorted(pins.items())
            if readable is None or stack.space in readable
        ],
        rollouts=rollouts,
        services=[
            ServiceJson(
                name=it.holder,
                host=it.host,
                version=it.version,
                leads=it.holder == leader,
                answers=it.holder == ports.holder,
                seen_at=it.seen_at,
            )
            for it in (services if everything else ())
        ],
        counts=CountsJson(
            stacks=dict(sorted(stacks.items())),
            runs=dict(sorted(runs.items())),
            documents=dict(state.documents) if everything else {},
        ),
    )


def configuration_json(ports: Ports, caller: Caller) -> ConfigurationJson:
    """Return how far the configuration was followed, for those who ask every few seconds."""
    with ports.store.reading() as reading:
        return _configuration(ports, caller, reading, reading.configuration())


def _configuration(ports: Ports, caller: Caller, reading: Reading, state: ConfigurationState) -> ConfigurationJson:
    held = reading.held_changes() if state.diagnostics else []
    return ConfigurationJson(
        url=redact(state.url, keep_ssh_user=True) if state.url else state.url,
        branch=state.branch,
        generation=state.generation,
        attempted_revision=state.attempted_revision,
        admitted_revision=state.admitted_revision,
        changed_at=state.changed_at,
        halted=convert.halt_json(state, everything=caller.sees_everything),
        diagnostics=diagnostics_for(caller, ports, state.diagnostics, held),
        frozen=open_in(ports.documents(), caller, ports.now()),
    )


@router.post("/fetch", status_code=HTTPStatus.ACCEPTED)
def fetch(ports: PortsIn, caller: CallerIn) -> FetchJson:
    """Fetch all repositories now instead of at the next poll; any valid token may ask."""
    _ = caller
    ports.wake()
    return FetchJson(asked=ports.now())


@router.get("/sealing")
def get_sealing(ports: PortsIn, caller: CallerIn, space: SpaceIn = None) -> SealingJson:
    """Return the public key to which values are sealed, and where a space is, as far as one sees what is above it."""
    path = None
    if space is not None:
        tree = ports.tree()
        (name,) = named_spaces(tree, caller, Part(space)) or ()
        above = [each for each in tree.lineage(name) if each != ROOT]
        path = tree.path(name) if all(caller.allows(Right.SPACE_READ, each) for each in above) else None
    return SealingJson(recipient=ports.recipient, path=path)


@router.get("/spaces")
def list_spaces(ports: PortsIn, caller: CallerIn, limit: LimitIn = 100, cursor: CursorIn = None) -> Page[SpaceJson]:
    """List the spaces by name."""
    cut = behind(all_spaces(ports, caller), cursor, limit, _name)
    return page(cut, limit, _name, lambda space: space)


def all_spaces(ports: Ports, caller: Caller) -> list[SpaceJson]:
    """Return every space that somebody sees, by name."""
    tree = ports.tree()
    visible, readable = caller.spaces(Right.SPACE_READ), caller.spaces(Right.STACK_READ)
    names = sorted(space for space in tree.spaces() if visible is None or space in visible)
    with ports.store.reading() as reading:
        counted = reading.count_stacks()
    stacks: dict[SpaceName, Counter[str]] = {name: Counter() for name in names}
    ready, stalled = Counter[SpaceName](), Counter[SpaceName]()
    for (space, _, sync), count in counted.items():
        if space in stacks and (readable is None or space in readable):
            stacks[space][sync] += count.stacks
            ready[space] += count.ready
            stalled[space] += count.stalled

    def show(space: SpaceName) -> SpaceJson:
        parent = tree.parent(space)
        return SpaceJson(
            name=space,
            parent=parent if visible is None or parent in visible else None,
            inherit=tree.inherits(space),
            stacks=dict(sorted(stacks[space].items())),
            ready=ready[space],
            stalled=stalled[space],
        )

    return [show(name) for name in names]


def _name(space: SpaceJson) -> str:
    return space.name
