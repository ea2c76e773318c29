"""Git's objects parsed from their bytes: the entries of a tree, the headers of a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, assert_never

from spaces.names import Revision


class EntryKind(StrEnum):
    """The kinds of entries in a tree."""

    TREE = "tree"
    BLOB = "blob"
    EXECUTABLE = "executable"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, executable or not."""
        match self:
            case EntryKind.BLOB | EntryKind.EXECUTABLE:
                return True
            case EntryKind.TREE | EntryKind.SYMLINK | EntryKind.SUBMODULE:
                return False
            case _:
                assert_never(self)


class TreeEntry(NamedTuple):
    """One entry of a tree: the object's id (40 hexadecimal digits) and its kind."""

    id: str
    kind: EntryKind


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit. `time` is the committer's, in seconds UTC; `signature` is (signature, signed bytes)."""

    revision: Revision
    tree: str
    parents: tuple[Revision, ...]
    author_name: str
    author_email: str
    committer_email: str
    time: int
    summary: str
    signature: tuple[bytes, bytes] | None


_WHOLE_ENTRY = re.compile(rb"[0-7]{5,6} [^\0]+\0.{20}", re.DOTALL)
_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0]+)\0(.{20})", re.DOTALL)
_PERSON = re.compile(r"(?P<name>[^<]*)<(?P<email>[^>]*)>(?:\s+(?P<time>\d{1,15}))?")
_NO_NAMES = (b".", b"..")
_KINDS = {0o040000: EntryKind.TREE, 0o120000: EntryKind.SYMLINK, 0o160000: EntryKind.SUBMODULE}


class RawEntry(NamedTuple):
    """One entry of a tree as written, whatever its name, with the object's id in 20 bytes."""

    mode: bytes
    name: bytes
    id: bytes

    @classmethod
    def read(cls, entry: bytes) -> RawEntry:
        """Parse one item of `split_tree`."""
        mode, _, rest = entry.partition(b" ")
        return cls(mode, rest[:-21], rest[-20:])

    @property
    def kind(self) -> EntryKind:
        """The kind of the entry."""
        return _kind(self.mode)


def split_tree(data: bytes) -> list[bytes]:
    """Split a tree object into its entries, which is enough to compare it; raise ValueError if it is malformed."""
    entries: list[bytes] = _WHOLE_ENTRY.findall(data)
    if sum(map(len, entries)) != len(data):
        raise ValueError("the tree object is malformed")
    return entries


def read_tree(data: bytes) -> dict[str, TreeEntry]:
    """Parse a tree object; raise ValueError if it is malformed. Names that are not UTF-8 get surrogate escapes.

    Names that no file can have are left out: a path with one of them would be taken for another path.
    """
    entries: dict[str, TreeEntry] = {}
    length = 0
    for mode, name, object_id in _ENTRY.findall(data):
        if b"/" not in name and name not in _NO_NAMES:
            entries[name.decode("utf-8", "surrogateescape")] = TreeEntry(object_id.hex(), _kind(mode))
        length += len(mode) + len(name) + 22
    if length != len(data):
        raise ValueError("the tree object is malformed")
    return entries


@lru_cache(maxsize=64)
def _kind(mode: bytes) -> EntryKind:
    if mode == b"100644":
        return EntryKind.BLOB
    bits = int(mode, 8)
    special = _KINDS.get(bits & 0o170000)
    if special is not None:
        return special
    return EntryKind.EXECUTABLE if bits & 0o100 else EntryKind.BLOB


def read_commit(revision: Revision, data: bytes) -> CommitInfo:
    """Parse a commit object; raise ValueError if it is malformed. Grafts and replacements do not count."""
    head, _, body = data.partition(b"\n\n")
    headers: list[tuple[bytes, bytes]] = []
    signatures = 0
    signature: list[bytes] = []
    unsigned: list[bytes] = []
    in_signature = False
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if line.startswith(b" "):
            (signature if in_signature else unsigned).append(value if in_signature else line)
            continue
        in_signature = key == b"gpgsig"
        if in_signature:
            signatures += 1
            signature.append(value)
            continue
        unsigned.append(line)
        headers.append((key, value))
    trees = [value for key, value in headers if key == b"tree"]
    if len(trees) != 1:
        raise ValueError("the commit object is malformed")
    author = _person(headers, b"author")
    committer = _person(headers, b"committer")
    signed = b"\n".join(unsigned) + b"\n\n" + body
    return CommitInfo(
        revision=revision,
        tree=trees[0].decode("ascii"),
        parents=tuple(Revision(value.decode("ascii")) for key, value in headers if key == b"parent"),
        author_name=author[0],
        author_email=author[1],
        committer_email=committer[1],
        time=committer[2],
        summary=body.decode("utf-8", "replace").strip().partition("\n")[0].strip(),
        # With two signatures nobody can tell which one counts, so neither does.
        signature=(b"\n".join(signature), signed) if signatures == 1 else None,
    )


def _person(headers: list[tuple[bytes, bytes]], key: bytes) -> tuple[str, str, int]:
    lines = [value for name, value in headers if name == key]
    match = _PERSON.fullmatch(_without_zone(lines[0])) if len(lines) == 1 else None
    if match is None:
        return ("", "", 0)
    return (match["name"].strip(), match["email"].strip(), int(match["time"] or 0))


def _without_zone(line: bytes) -> str:
    return re.sub(r"(>\s+\d+)\s+[-+]?\d+\s*$", r"\1", line.decode("utf-8", "replace"))
