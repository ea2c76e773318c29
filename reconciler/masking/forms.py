"""The forms in which tools print a value: plain, escaped, in URLs, in base64, line by line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import cache

_LINE = 8
"""The shortest line of a multi-line value that is searched by itself: tools print such values line by line."""
_ENCODED = 6
"""The shortest value whose base64 forms are searched: shorter ones would match by chance."""
_WRAPPED = (76, 64)
"""The line lengths at which tools wrap base64."""

_ALWAYS_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
_ALSO_PLAIN = (b"", b"/", b"!'()*", b"/:@!$&'()*+,;=")
"""The characters that URL encoders leave alone besides letters and digits; encoders differ in this."""
_HTML = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"))
"""The escapes of JSON encoders whose output is safe inside HTML."""
_TEMPLATE = (("${", "$${"), ("%{", "%%{"))
"""The escapes of HCL for text that would begin a template."""
_SHELL = (("'", "'\\''"), ("'", "'\"'\"'"))
"""The ways to write a quote inside quotes, as `set -x` and others print it."""


def forms(value: str) -> Iterator[bytes]:
    """Yield every form of a non-empty value; some come more than once."""
    plain = value.strip() or value
    yield from map(_bytes, _written(value, plain))
    if "\n" in plain or "\r" in plain:
        for line in plain.splitlines():
            if len(line := line.strip()) >= _LINE:
                yield from map(_bytes, _written(line, line))
                yield from _in_urls(_bytes(line))
    raw = _bytes(plain)
    yield from _in_urls(raw)
    if len(raw) >= _ENCODED:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield from (_aligned(encode, raw, before) for before in range(3))
        yield from _lines_of_base64(raw)


def _written(value: str, plain: str) -> Iterator[str]:
    """Yield a value as it is, and with the escapes of JSON (once and twice), HCL and shells."""
    yield value
    yield plain
    for text in (value, plain, _replaced(plain, _TEMPLATE)):
        for ascii_only in (True, False):
            once = _json(text, ascii_only=ascii_only)
            yield from (once, _replaced(once, _HTML), _json(once, ascii_only=ascii_only))
    for quote in _SHELL:
        yield _replaced(plain, (quote,))


def _json(text: str, *, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _replaced(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _in_urls(raw: bytes) -> Iterator[bytes]:
    if not raw.translate(None, _ALWAYS_PLAIN):
        return
    for also in _ALSO_PLAIN:
        for digits in (b"%%%02X", b"%%%02x"):
            encoded = b"".join(map(_url_table(also, digits).__getitem__, raw))
            yield encoded
            yield encoded.replace(b"%20", b"+")


@cache
def _url_table(also: bytes, digits: bytes) -> list[bytes]:
    plain = _ALWAYS_PLAIN + also
    return [bytes((byte,)) if byte in plain else digits % byte for byte in range(256)]


def _aligned(encode: Callable[[bytes], bytes], raw: bytes, before: int) -> bytes:
    """Return the base64 characters that depend only on `raw`, where `before` bytes precede it in its group."""
    text = encode(b"\0" * before + raw)
    first = -(-before * 8 // 6)
    last = (before + len(raw)) * 8 // 6
    return text[first:last]


def _lines_of_base64(raw: bytes) -> Iterator[bytes]:
    """Yield the lines of wrapped base64: each may be printed with a prefix."""
    text = _aligned(base64.b64encode, raw, 0)
    for width in _WRAPPED:
        if len(text) > width:
            lines = (text[at : at + width] for at in range(0, len(text), width))
            yield from (line for line in lines if len(line) >= _LINE)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
