"""The run's log file: masked, capped, with its head and its end; memory stays bounded whatever a tool prints."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

from reconciler.core.phases import Phase
from reconciler.masking.masker import Masker

_ERROR = re.compile(
    r"^[ \t│]*("
    r"(?:[Ee]rror: (?!(?:update|preview|refresh|destroy) failed$|Resource monitor has terminated|Traceback \()|"
    r"ERROR! |\[ERROR\]: |"
    # ansible-galaxy's: its error is only what to do about it
    r"\[WARNING\]: - \S+ was NOT installed successfully: |"
    # what ends a traceback of Python, in Pulumi's diagnostics for example
    r"[A-Za-z_][\w.]*(?:Error|Exception): |"
    # kubectl's own, which also hands on what the API server says
    r"Error from server|Unable to connect to the server: |The connection to the server |The \S+ \".+\" is invalid: |"
    r"Apply failed with ).+)$".encode(),
    re.MULTILINE,
)
_LONGEST_REST = 1024
_LONGEST = 200


class Hearing:
    """Remembers the first line of a command's output that tools begin like an error."""

    def __init__(self) -> None:
        self._rest = b""
        self._error: bytes | None = None

    def begin(self) -> None:
        """Forget what was printed before: another command starts."""
        self._rest, self._error = b"", None

    def hear(self, data: bytes) -> None:
        """Take the next piece of the output; only a bounded part of an unfinished line is kept."""
        if self._error is not None:
            return
        text = self._rest + data
        end = text.rfind(b"\n") + 1
        found = _ERROR.search(text, 0, end)
        if found is not None:
            self._error = found[1]
        self._rest = text[end : end + _LONGEST_REST]

    @property
    def error(self) -> str | None:
        """The line, printable and bounded; None where there was none."""
        found = _ERROR.search(self._rest) if self._error is None else None
        line = self._error or (found[1] if found else None)
        if line is None:
            return None
        text = "".join(letter for letter in line.decode(errors="replace").strip() if letter.isprintable())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


TAIL_BYTES = 64 * 1024
"""How much of the end is kept of a log that is cut."""


class RunLog:
    """Appends to the log of one leg. When the disk is full it goes quiet and `broken` says why; the tool goes on."""

    def __init__(self, path: Path, limit: int, masker: Masker, look: Callable[[], None] | None = None) -> None:
        """`look` is called before each piece of output is masked: the masker may have to learn something first."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._masker = masker
        self._look = look
        self._tail_bytes = min(TAIL_BYTES, limit // 4)
        self._room = limit - self._tail_bytes
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._left_out = 0
        self._cut = False
        self._in_line = False
        self.broken: str | None = None
        self.hearing = Hearing()
        self.listen: Callable[[], None] = lambda: None
        """Called before output is taken: whoever knows of new values to mask tells the masker then."""

    def feed(self, data: bytes) -> None:
        """Take a piece of the tool's output."""
        self._learn()
        self.listen()
        if self._cut:
            self._keep(data)
            return
        self._write(self._masker.feed(data))
        if self._cut:
            # From here on pieces are kept as they come, and masked as one when they are written.
            self._keep(self._masker.take())

    def settle(self) -> None:
        """Write what was held back: one command has ended."""
        self._learn()
        if not self._cut:
            self._write(self._masker.flush())

    def _learn(self) -> None:
        if self._look is not None:
            self._look()

    def say(self, phase: Phase, text: str) -> None:
        """Write one line of the runner's own."""
        self.settle()
        line = b"station[%s]: %s\n" % (phase.encode(), text.encode(errors="replace").replace(b"\n", b" "))
        self.feed(b"\n" + line if self._in_line else line)
        self.settle()

    def close(self) -> None:
        """Write the kept end, and close."""
        self.settle()
        if self._cut:
            kept, excess = b"".join(self._tail), max(self._tail_size - self._tail_bytes, 0)
            # A value whose beginning was dropped can reach this far into what is left: that much is dropped too.
            skip = excess if self._left_out or excess else 0
            left_out = self._left_out + skip
            if left_out:
                self._put(b"\nstation: %d bytes omitted here\n" % left_out)
            self._put(self._masker.mask(kept, skip))
        os.close(self._descriptor)

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        wanted = self._tail_bytes + self._masker.overlap
        while self._tail_size - len(self._tail[0]) >= wanted:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self._left_out += dropped
        if data:
            self._in_line = not data.endswith(b"\n")

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._in_line = not data.endswith(b"\n")
        self.hearing.hear(data)
        self._put(data[: self._room])
        if len(data) > self._room:
            self._cut = True
            self._keep(data[self._room :])
        self._room -= min(len(data), self._room)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and self.broken is None:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            self.broken = os.strerror(error.errno or 0)
