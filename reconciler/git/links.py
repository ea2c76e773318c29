"""Symbolic links followed inside one revision, so that what a link leads to comes along with it.

Sources ask `follow` which paths a work directory needs beside those that are named; a checkout asks `resolve` before it
writes a link. Both read the tree of the revision alone: no link ever reaches the file system or another revision.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field

from reconciler.git.errors import CheckoutRefused, one_line
from reconciler.git.objects import EntryKind, TreeEntry
from reconciler.git.trees import Trees
from spaces.names import Revision

MOST_HOPS = 40
_LONGEST_TARGET = 4096


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a path leads: `path` without links ("." is the top), what lies there, and the links on the way."""

    path: str
    entry: TreeEntry | None
    links: tuple[tuple[str, TreeEntry], ...] = ()


@dataclass(slots=True)
class FollowedLinks:
    """The paths that a source needs, each with what lies there (None: nothing), and why some cannot be followed."""

    entries: dict[str, TreeEntry | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def resolve(trees: Trees, revision: Revision, path: str) -> Resolved:
    """Return where a path leads, as the system would follow it; CheckoutRefused names a link that leads outside."""
    links: list[tuple[str, TreeEntry]] = []
    at: list[str] = []
    pending = path.split("/")[::-1]
    while pending:
        part = pending.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                raise CheckoutRefused(
                    links[0][0] if links else path, "is a symbolic link that leads outside the repository"
                )
            at.pop()
            continue
        at.append(part)
        here = "/".join(at)
        entry = trees.entry(revision, here)
        if entry is not None and entry.kind is EntryKind.SYMLINK:
            links.append((here, entry))
            if len(links) > MOST_HOPS:
                raise CheckoutRefused(links[0][0], "is a symbolic link that leads back to itself")
            at.pop()
            pending.extend(_target(trees, here, entry)[::-1])
    found = "/".join(at)
    return Resolved(found or ".", trees.entry(revision, found), tuple(links))


def follow(trees: Trees, revision: Revision, paths: Collection[str]) -> FollowedLinks:
    """Return the paths themselves, and at any depth what the links on the way to them and below them lead to."""
    found = FollowedLinks()
    waiting = list(paths)[::-1]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            resolved = resolve(trees, revision, path)
        except CheckoutRefused as refused:
            found.problems.append(refused.message)
            continue
        for link, entry in resolved.links:
            if not _within(link, found.entries):
                found.entries[link] = entry
        if _within(resolved.path, found.entries):
            continue
        there = found.entries[resolved.path] = resolved.entry
        if there is None or there.kind is not EntryKind.TREE:
            found.problems.extend(_submodule(resolved.path, there))
            continue
        for below, special in trees.links_and_submodules(there.id):
            here = below if resolved.path == "." else f"{resolved.path}/{below}"
            found.problems.extend(_submodule(here, special))
            if special.kind is EntryKind.SYMLINK:
                waiting.append(here)
    return found


SUBMODULE = "is a Git submodule, and submodules are not fetched: name its repository as a source, or commit its files"


def _submodule(path: str, entry: TreeEntry | None) -> list[str]:
    return [f"{one_line(path)!r} {SUBMODULE}"] if entry is not None and entry.kind is EntryKind.SUBMODULE else []


def _within(path: str, entries: Collection[str]) -> bool:
    if "." in entries or path in entries:
        return True
    parts = path.split("/")
    return any("/".join(parts[:end]) in entries for end in range(1, len(parts)))


def _target(trees: Trees, path: str, entry: TreeEntry) -> list[str]:
    if trees.blob_size(entry.id) > _LONGEST_TARGET:
        raise CheckoutRefused(path, "is a symbolic link with a target that is too long")
    target = trees.read_blob(entry.id)
    if not target or b"\0" in target:
        raise CheckoutRefused(path, "is a symbolic link without a valid target")
    if target.startswith(b"/"):
        raise CheckoutRefused(path, "is a symbolic link to an absolute path")
    parts = os.fsdecode(target).split("/")
    if any(part.lower() == ".git" for part in parts):
        raise CheckoutRefused(path, "is a symbolic link to a Git directory")
    return parts
