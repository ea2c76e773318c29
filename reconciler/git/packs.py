"""Merges packs, so that their number stays small: each fetch leaves one, and every lookup goes through all of them."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pygit2

from reconciler.git.libgit2 import LIBRARY_ERRORS

MOST_PACKS = 40
_MAGIC = b"\xfftOc\x00\x00\x00\x02"
_IDS_AT = 8 + 256 * 4


def compact(directory: Path, most: int = MOST_PACKS) -> bool:
    """Merge all packs of a bare repository except the largest, if there are more than `most`; return whether it did.

    An old pack is removed only when the new one is complete. A failure is not an error: the packs stay as they are.
    """
    packs = sorted((directory / "objects" / "pack").glob("pack-*.pack"), key=lambda pack: pack.stat().st_size)
    if len(packs) <= most:
        return False
    merged = packs[:-1]
    try:
        ids = {object_id for pack in merged for object_id in _ids(pack.with_suffix(".idx"))}
        builder = pygit2.PackBuilder(pygit2.Repository(str(directory)))
        for object_id in ids:
            builder.add(pygit2.Oid(raw=object_id))
        before = set(packs)
        builder.write(str(directory / "objects" / "pack"))
    except LIBRARY_ERRORS:
        return False
    if not set((directory / "objects" / "pack").glob("pack-*.pack")) - before:
        return False
    for pack in merged:
        with suppress(OSError):
            pack.unlink()
            pack.with_suffix(".idx").unlink()
    return True


def _ids(index: Path) -> list[bytes]:
    data = index.read_bytes()
    if not data.startswith(_MAGIC):
        raise ValueError("the pack's index has an unknown version")
    (count,) = struct.unpack_from(">I", data, _IDS_AT - 4)
    return [data[start : start + 20] for start in range(_IDS_AT, _IDS_AT + 20 * count, 20)]
