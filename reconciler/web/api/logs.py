"""Logs are bytes. A reader gets them as text, without a character cut in two."""

from __future__ import annotations

from reconciler.core.runs import RunId
from reconciler.web.api.schemas.runs import LogJson
from reconciler.web.ports import Ports

_LONGEST_CHARACTER = 4
_PIECE = 1024 * 1024
_MOST = 64
"""Pieces of a log that are read: more than the service keeps of one."""


def whole(ports: Ports, run: RunId, *, active: bool) -> tuple[bytes, bool]:
    """Return a log as far as it is written, and whether it has ended. The caller has checked the right to read it."""
    return since(ports, run, 0, active=active)


def since(ports: Ports, run: RunId, offset: int, *, active: bool) -> tuple[bytes, bool]:
    """Return a log from an offset on, and whether it has ended."""
    if not active:
        with ports.store.reading() as reading:
            stored = reading.log(run)
        if stored is not None:
            return stored[offset:], True
    pieces: list[bytes] = []
    for _ in range(_MOST):
        piece = ports.live_log(run, offset, _PIECE) or b""
        pieces.append(piece)
        offset += len(piece)
        if len(piece) < _PIECE:
            break
    return b"".join(pieces), not active


def read(ports: Ports, run: RunId, offset: int, limit: int) -> LogJson:
    """Return a piece of a log, even while it is being written. The caller has checked the right to read it."""
    with ports.store.reading() as reading:
        found = reading.run(run)
        active = found is not None and found.is_active
        stored = None if active else reading.log(run)
    if stored is not None:
        return piece(stored[offset : offset + limit], offset, more=offset + limit < len(stored), ended=True)
    data = ports.live_log(run, offset, limit) or b""
    return piece(data, offset, more=len(data) == limit, ended=not active)


def piece(data: bytes, offset: int, *, more: bool, ended: bool) -> LogJson:
    """Return a piece of a log from the bytes at `offset`.

    `more`: there are bytes after these. `ended`: nothing more will be written. An incomplete character is left for the
    next piece, unless its rest cannot come any more.
    """
    whole = data if ended and not more else data[: _whole(data)]
    return LogJson(
        text=whole.decode(errors="replace"),
        next=offset + len(whole),
        ended=ended and not more and len(whole) == len(data),
    )


def _whole(data: bytes) -> int:
    """Return the number of bytes up to the end of the last complete character."""
    for back in range(1, min(_LONGEST_CHARACTER, len(data)) + 1):
        byte = data[-back]
        if byte & 0b1100_0000 == 0b1000_0000:
            continue
        needed = 4 if byte >= 0b1111_0000 else 3 if byte >= 0b1110_0000 else 2 if byte >= 0b1100_0000 else 1
        return len(data) - back if needed > back else len(data)
    return len(data)
