"""Picks out of a tool's masked output the line that says what went wrong."""

from __future__ import annotations

import re

_ERROR = re.compile("^[ \t│]*(Error: .+)$".encode(), re.MULTILINE)
_LONGEST_REST = 1024
_LONGEST = 200


class Hearing:
    """Remembers the first line that begins with `Error: `, since it was told to begin."""

    def __init__(self) -> None:
        self._rest = b""
        self._error: bytes | None = None

    def begin(self) -> None:
        """Forget what was heard: another command starts."""
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
        """Give the line, printable and bounded."""
        found = _ERROR.search(self._rest) if self._error is None else None
        line = self._error or (found[1] if found else None)
        if line is None:
            return None
        text = "".join(letter for letter in line.decode(errors="replace").strip() if letter.isprintable())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
