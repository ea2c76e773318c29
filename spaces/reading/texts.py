"""A file as the texts of its documents, so that each of them can be taken or left alone.

Admission asks: it composes the file that is in force out of texts from several versions of the file. Text that is
nobody's business here (another tool's documents) always goes along with the newest version. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

from spaces.model.base import mapping_at
from spaces.model.blueprint import versioned
from spaces.names import KINDS, Kind
from spaces.reading.documents import OURS, chunks, read_text
from spaces.reading.lfs import is_pointer


class DocumentKey(NamedTuple):
    """A document within its file, as it calls itself; `copy` counts those that call themselves the same.

    The kind `?` stands for text that is meant as a document and does not say which one; an empty kind for the file as a
    whole.
    """

    kind: str
    name: str
    copy: int = 0

    @property
    def identity(self) -> DocumentKey:
        """The key without its number."""
        return self._replace(copy=0)


WHOLE = DocumentKey("", "")
"""Stands for all of a file that cannot be taken apart, or that is no document: one that a document refers to."""

UNKNOWN = "?"
"""The kind of text that is meant as a document, and does not say which one."""


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of one document; `key` is None for another tool's. `line` is the one on which it begins, from 1.

    `space` is as written, empty where the directory decides. `hides` means that a document of ours may be in it that
    cannot be made out.
    """

    key: DocumentKey | None
    text: bytes
    line: int = 1
    space: str = ""
    hides: bool = False


class KnownText(NamedTuple):
    """A document of a file as it was: its key, the mark of its text, and its space as written."""

    key: DocumentKey
    mark: str
    space: str


@lru_cache(maxsize=256)
def split(data: bytes | None) -> tuple[DocumentText, ...]:
    """Return the texts of a file's documents, in order; nothing for a file that is not there."""
    if data is None:
        return ()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or is_pointer(data):
        key = DocumentKey(UNKNOWN, "") if OURS.encode() in data else None
        return (DocumentText(key, data, hides=True),)
    found: list[DocumentText] = []
    copies: dict[DocumentKey, int] = {}
    for line, chunk in chunks(text):
        values = read_text(chunk)
        if values is not None and len(values) > 1:
            # Documents that end with `...` and not with `---` stay together.
            return (DocumentText(WHOLE, data),)
        value = values[0] if values else None
        key, hides = _identify(chunk, value, readable=values is not None, ours=OURS in text)
        if key is not None:
            copy = copies[key] = copies.get(key, -1) + 1
            key = key._replace(copy=copy)
        space = mapping_at(value, "metadata").get("space") if isinstance(value, dict) else None
        found.append(DocumentText(key, chunk.encode(), line, space if isinstance(space, str) else "", hides))
    return tuple(found)


def _identify(chunk: str, value: Any, *, readable: bool, ours: bool) -> tuple[DocumentKey | None, bool]:
    """Return how a document calls itself, and whether it may be any document. `ours`: the file holds some of ours."""
    unknown = DocumentKey(UNKNOWN, "")
    if not readable:
        return (unknown, True) if OURS in chunk else (None, True)
    if not isinstance(value, dict):
        return None, False
    kind, version, name = value.get("kind"), value.get("apiVersion"), mapping_at(value, "metadata").get("name")
    said = isinstance(version, str) and version.startswith(OURS)
    if not (isinstance(kind, str) and kind in KINDS and isinstance(name, str)):
        return (unknown, True) if said else (None, False)
    if not said and (isinstance(version, str) or not ours):
        return None, False
    if kind == Kind.BLUEPRINT and isinstance(number := mapping_at(value, "spec").get("version"), str):
        name = versioned(name, number)
    return DocumentKey(kind, name), False


def compose(texts: Sequence[DocumentText], instead: Mapping[DocumentKey, bytes | None]) -> bytes | None:
    """Return a file with some documents in another version: None takes one out; what it lacks is added at its end.

    Text that cannot be read is left out. None where nothing is left of the file.
    """
    parts = composed(texts, instead)
    return _join(text for _, text in parts)


def composed(
    texts: Sequence[DocumentText], instead: Mapping[DocumentKey, bytes | None]
) -> list[tuple[DocumentKey | None, bytes]]:
    """Return the documents of a composed file in their order."""
    parts: list[tuple[DocumentKey | None, bytes]] = []
    for each in texts:
        known = each.key is not None and each.key in instead
        text = instead[each.key] if known and each.key is not None else each.text
        if text is not None and (known or not each.hides):
            parts.append((each.key, text))
    there = {each.key for each in texts}
    parts += [
        (key, text) for key, text in sorted(instead.items(), key=itemgetter(0)) if text is not None and key not in there
    ]
    return parts


def _join(parts: Iterable[bytes]) -> bytes | None:
    joined = b""
    for part in parts:
        if joined and not joined.endswith(b"\n"):
            joined += b"\n"
        if joined and not part.startswith((b"---", b"%")):
            joined += b"---\n"
        joined += part
    return joined or None


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two texts of a document say the same, whatever their layout and comments."""
    if one == other:
        return True
    if one is None or other is None:
        return False
    values = read_value(one), read_value(other)
    return None not in values and _typed(values[0]) == _typed(values[1])


@lru_cache(maxsize=1024)
def read_value(text: bytes) -> Any:
    """Return what a text says; None where it cannot be read, or says nothing."""
    try:
        values = read_text(text.decode())
    except UnicodeDecodeError:
        return None
    return values[0] if values else None


def _typed(value: Any) -> str:
    # 1, 1.0 and true are equal in Python and not in YAML.
    return repr(_ordered(value))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=str)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def mark(text: bytes | None) -> str:
    """Return a short hash of a text, to be remembered in its place; empty for none."""
    return "" if text is None else blake2b(text, digest_size=12).hexdigest()


def known(texts: Iterable[DocumentText]) -> list[KnownText]:
    """Return the documents of a file as they are to be remembered."""
    return [KnownText(each.key, mark(each.text), each.space) for each in texts if each.key is not None]


def align(
    texts: Sequence[DocumentText], before: Sequence[KnownText], held: Collection[DocumentKey] = ()
) -> tuple[DocumentText, ...]:
    """Return a file's documents with the numbers of copies that they had before.

    A text that is still there keeps its number, of two alike one of the `held` first. The others take the numbers that
    are left, those of the held last: first by the same space as written, then in order.
    """
    if _single([each.key for each in texts]) and _single([each.key for each in before]):
        return tuple(texts)
    left = list(before)
    numbers: dict[int, DocumentKey] = {}
    for fits in (_same_text, _same_space, _same_name):
        exact = fits is _same_text
        left.sort(key=lambda each: ((each.key in held) is not exact, each.key))
        for index, each in enumerate(texts):
            if each.key is None or index in numbers:
                continue
            found = next((old for old in left if old.key.identity == each.key.identity and fits(old, each)), None)
            if found is not None:
                numbers[index] = found.key
                left = [old for old in left if old.key != found.key]
    taken = {*numbers.values(), *(each.key for each in before)}
    for index, each in enumerate(texts):
        if each.key is not None and index not in numbers:
            free = next(key for copy in count() if (key := each.key._replace(copy=copy)) not in taken)
            numbers[index] = free
            taken.add(free)
    return tuple(replace(each, key=numbers.get(index)) for index, each in enumerate(texts))


def _single(keys: Sequence[DocumentKey | None]) -> bool:
    """Whether no document of a file calls itself as another one does."""
    here = [key for key in keys if key is not None]
    return not any(key.copy for key in here) and len({*here}) == len(here)


def _same_text(old: KnownText, new: DocumentText) -> bool:
    return old.mark == mark(new.text)


def _same_space(old: KnownText, new: DocumentText) -> bool:
    return old.space == new.space


def _same_name(_old: KnownText, _new: DocumentText) -> bool:
    return True
