"""Server-sent events: a run's log while it is written, and what changes about runs and the configuration."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from reconciler.core.runs import RunId
from reconciler.store.queries import Reading
from reconciler.store.stored import AuditRow
from reconciler.web.api import logs, runs
from reconciler.web.api.auth import Caller, CallerIn, PortsIn, Right, authenticate
from reconciler.web.api.errors import ApiError, busy
from reconciler.web.api.schemas.runs import LogJson
from reconciler.web.ports import Ports
from reconciler.web.streams import HEARTBEAT, Beats, EventStream, Streams, TooManyStreams, Topic, event
from spaces.names import SpaceName

router = APIRouter(tags=["events"])

_PIECE = 256 * 1024
_KEPT = 1024 * 1024
_SENT = 64 * 1024
"""Bytes of a log that are read, kept for those who follow it, and sent at once."""
_ROWS = 200
"""How many new rows of the audit are looked at: what more there is comes with the next look."""
_EVENTS = 2000
"""How many changes are kept for streams that are a little behind."""

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "Events, until the client leaves.", "content": {"text/event-stream": {}}}
}
LastIn = Annotated[str, Header(alias="Last-Event-ID", max_length=20, description="The id of the last event that came.")]


@router.get("/runs/{run}/log/events", response_class=EventStream, responses=_ANSWER)
async def follow_log(  # noqa: PLR0917
    request: Request,
    ports: PortsIn,
    caller: CallerIn,
    run: str,
    offset: Annotated[int, Query(ge=0, le=2**40, description="Bytes to skip.")] = 0,
    last: LastIn = "",
) -> Response:
    """Follow a run's log: events `log` with `text` and `next`, the offset after it, and `end` when it is whole."""
    found, _ = await run_in_threadpool(runs.glance, ports, caller, run)
    begin = int(last) if last.isascii() and last.isdecimal() else offset
    return await opened(_log(request, ports, found.id, begin, _whose(caller)))


@router.get("/events", response_class=EventStream, responses=_ANSWER)
async def follow_changes(request: Request, ports: PortsIn, caller: CallerIn) -> Response:
    """Follow what changes: events `run` with `id`, `stack` and `status`, and `configuration` with its revisions.

    After an event `reset` some were left out: ask for what you show anew.
    """
    return await opened(_changes(request, ports, _whose(caller)))


def _whose(caller: Caller) -> str | None:
    return None if caller.access is None else caller.token or caller.person


async def opened(events: AsyncGenerator[bytes, None]) -> Response:
    """Return the stream, once it has begun: where there is no room for it, that is still an answer."""
    try:
        first = await anext(events)
    except TooManyStreams:
        raise busy("too many streams are open: try again later, or ask without a stream") from None
    return EventStream(_behind(first, events))


async def _behind(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for each in events:
            yield each
    finally:
        await events.aclose()


async def _caller(request: Request, ports: Ports, run: RunId | None = None) -> Caller | None:
    """Return who follows; None once their token or right has ended, which may be while a stream goes on."""
    try:
        caller = await run_in_threadpool(authenticate, request)
        if run is not None:
            await run_in_threadpool(runs.glance, ports, caller, run)
    except ApiError:
        return None
    return caller


class Written(NamedTuple):
    """What is known of a log: its newest bytes from `base` on."""

    base: int
    data: bytes
    ended: bool


class _Piece(NamedTuple):
    """A piece of a log as an event, which is empty where nothing new is there."""

    sent: bytes
    next: int
    ended: bool

    @classmethod
    def of(cls, piece: LogJson) -> _Piece:
        """Return a piece as an event."""
        sent = event("log", {"text": piece.text, "next": piece.next}, piece.next) if piece.text else b""
        return cls(sent, piece.next, piece.ended)


class LogTopic(Topic[Written | None]):
    """The log of a run that is at work."""

    def __init__(self, ports: Ports, run: RunId) -> None:
        super().__init__(None)
        self._ports = ports
        self._run = run
        self._at: Written | None = None
        self._pieces: dict[int, _Piece] = {}

    async def begin(self, offset: int) -> None:
        """Follow the log from an offset on, unless somebody follows it already; from its beginning if it is shorter."""
        there = await run_in_threadpool(self._ports.live_log, self._run, max(0, offset - 1), 1)
        self.state = self.state or Written(offset if there else 0, b"", ended=False)
        self.start()

    def look(self, state: Written | None) -> Written | None:
        """Return the newest bytes of the log."""
        if state is None or state.ended:
            return state
        with self._ports.store.reading() as reading:
            found = reading.run(self._run)
        end = state.base + len(state.data)
        more = self._ports.live_log(self._run, end, _PIECE) or b""
        if not more:
            ended = found is None or not found.is_active
            return state._replace(ended=True) if ended else state
        data = state.data + more
        cut = len(data) - _KEPT // 2 if len(data) > _KEPT else 0
        return Written(state.base + cut, data[cut:], ended=False)

    def piece(self, offset: int) -> _Piece | None:
        """Return what comes after an offset; None where only the log itself has it."""
        state = self.state
        if state is None or state.ended or offset < state.base:
            return None
        if self._at is not state:
            self._at, self._pieces = state, {}
        found = self._pieces.get(offset)
        if found is None:
            # Mostly all streams are at the same offset: it is put into words once for all of them.
            start = offset - state.base
            data = state.data[start : start + _SENT]
            found = _Piece.of(logs.piece(data, offset, more=start + _SENT < len(state.data), ended=False))
            self._pieces[offset] = found
        return found


async def _log(
    request: Request, ports: Ports, run: RunId, offset: int, whose: str | None
) -> AsyncGenerator[bytes, None]:
    streams: Streams = request.app.state.streams
    with streams.follow(f"log {run}", lambda: LogTopic(ports, run), whose) as topic:
        yield HEARTBEAT
        beats = Beats()
        while not streams.closing:
            # Also where the log never rests.
            if beats.is_due() and await _caller(request, ports, run) is None:
                return
            piece = topic.piece(offset)
            if piece is None:
                piece = _Piece.of(await run_in_threadpool(logs.read, ports, run, offset, _PIECE))
                if topic.state is None and not piece.ended and piece.next == offset:
                    # It has caught up: from here on one look is enough for all.
                    await topic.begin(offset)
            offset = piece.next
            if piece.sent:
                yield piece.sent
            if piece.ended:
                yield event("end", {})
                return
            if piece.sent:
                continue
            before = topic.state
            await topic.changed()
            if topic.state is before:
                yield HEARTBEAT


class _Change(NamedTuple):
    """Something that changed; `space` is that of a run, or of the stack that somebody did something with.

    `sent` is empty for what the API's streams do not tell.
    """

    number: int
    space: SpaceName | None
    sent: bytes

    def is_for(self, able: frozenset[SpaceName] | None) -> bool:
        """Whether it is for somebody who may read the runs in these spaces (None: in all)."""
        return self.space is None or able is None or self.space in able


class _Seen(NamedTuple):
    """What was seen at the last look, and the changes that led there, of which the oldest are left out."""

    statuses: Mapping[RunId, tuple[str, str]]
    configuration: Mapping[str, Any]
    audited: int
    """The number of the newest row of the audit."""
    changes: tuple[_Change, ...] = ()

    @property
    def last(self) -> int:
        """The number of the newest change."""
        return self.changes[-1].number if self.changes else 0


class ChangesTopic(Topic[_Seen | None]):
    """Runs and the configuration."""

    pause = 0.5

    def __init__(self, ports: Ports) -> None:
        super().__init__(None)
        self._ports = ports

    def look(self, state: _Seen | None) -> _Seen:
        """Return what has changed since, by what there was."""
        with self._ports.store.reading() as reading:
            statuses, configuration = reading.active_statuses(), _configuration(reading)
            audited = reading.audit_length()
            if state is None:
                return _Seen(statuses, configuration, audited)
            done = reading.audit(state.audited, _ROWS) if audited > state.audited else []
            gone = [reading.run(run) for run in state.statuses.keys() - statuses.keys()]
        now = dict(statuses) | {run.id: (str(run.stack), run.status.value) for run in gone if run is not None}
        sent = [
            (SpaceName(stack.partition("/")[0]), event("run", {"id": run, "stack": stack, "status": status}))
            for run, (stack, status) in sorted(now.items())
            if state.statuses.get(run) != (stack, status)
        ]
        found: list[tuple[SpaceName | None, bytes]] = list(sent)
        if configuration != state.configuration:
            found.append((None, event("configuration", configuration)))
        found += [(space, b"") for space in {_space_of(row) for row in done}]
        if not found:
            return state
        new = tuple(_Change(number, *each) for number, each in enumerate(found, state.last + 1))
        audited = done[-1].number if done else audited
        return _Seen(statuses, configuration, audited, (*state.changes, *new)[-_EVENTS:])


async def _changes(request: Request, ports: Ports, whose: str | None) -> AsyncGenerator[bytes, None]:
    streams: Streams = request.app.state.streams
    with streams.follow("changes", lambda: ChangesTopic(ports), whose) as topic:
        if topic.state is None:
            # With this the later ones are compared: so nothing is missed that comes after the answer has begun.
            topic.state = await run_in_threadpool(topic.look, None)
        topic.start()
        seen = topic.state.last
        yield HEARTBEAT
        while not streams.closing:
            state = topic.state
            if state is not None and state.last > seen:
                if state.changes[0].number > seen + 1:
                    yield event("reset", {})
                caller = await _caller(request, ports)
                if caller is None:
                    return
                able = caller.spaces(Right.RUN_READ)
                for change in state.changes:
                    if change.number > seen and change.sent and change.is_for(able):
                        yield change.sent
                seen = state.last
                continue
            await topic.changed()
            if topic.state is state:
                if await _caller(request, ports) is None:
                    return
                yield HEARTBEAT


def _space_of(row: AuditRow) -> SpaceName | None:
    """Return the space of the stack that a row of the audit is about; None: it is about none."""
    stack = row.event.details.get("stack")
    return SpaceName(stack.partition("/")[0]) if isinstance(stack, str) and "/" in stack else None


def _configuration(reading: Reading) -> Mapping[str, Any]:
    found = reading.configuration()
    return {
        "attemptedRevision": found.attempted_revision,
        "admittedRevision": found.admitted_revision,
        "halted": found.halted.reason if found.halted is not None else None,
    }
