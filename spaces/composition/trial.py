"""What would become of a catalog if some of its files were others.

`step` asks, as often as it takes to find what of a commit can come into force. A trial shows every change of a
document, every directory that would belong to another space, and documents that would have no place. It decides none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from posixpath import dirname
from typing import NamedTuple

from spaces.blueprints.derived import evolve, remade
from spaces.catalog import SPACE_FILES, Catalog, follow_attached, inside, is_space_file
from spaces.diagnostics import Diagnostic, error
from spaces.documents.changes import DocumentChange, Verb, changes
from spaces.documents.documents import Placed
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.reading.resources import ParsedFile
from spaces.rules.messages import name_position, tell_second_space, tell_twice

_NAMED = 5
"""How many documents a message names."""


class Clash(NamedTuple):
    """A document that has no place because another one has it, and what is to be told about it."""

    placed: Placed
    other: Placed
    told: tuple[Diagnostic, Diagnostic]


class Claim(NamedTuple):
    """A directory that would belong to another space by a space file of its own: the space before, and after."""

    directory: str
    before: SpaceName
    after: SpaceName


@dataclass(slots=True)
class Trial:
    """A catalog with some files changed."""

    before: Catalog
    after: Catalog
    changed: frozenset[str]
    changes: tuple[DocumentChange, ...]
    """What documents would be otherwise, those that instances make among them."""
    renamed: Sequence[DocumentChange]
    """Documents that say the same in another file of their directory: who writes them there needs the right."""
    clashes: Sequence[Clash]
    claimed: Sequence[Claim]

    @classmethod
    def of(cls, before: Catalog, changed: Mapping[str, ParsedFile | None]) -> Trial:
        """Try files in the place of others; None if there is none."""
        files, claims, placed = dict(before.files), dict(before.claims), dict(before.placed)
        for path, parsed in changed.items():
            if parsed is None or not (parsed.resources or parsed.diagnostics or parsed.attached):
                files.pop(path, None)
            else:
                files[path] = parsed
        seconds = _follow_claims(before, files, claims, changed)
        touched = {*changed, *_moved(before, files, claims)}
        after = replace(before, files=files, claims=claims, attached=follow_attached(before, files, changed))
        gone = [each for path in touched for each in before.placed.get(path, ())]
        come: list[Placed] = []
        # In order, also for the processor's sake: what lies side by side in memory is found much faster.
        for path in sorted(touched):
            new = tuple(map(after.place, files[path].resources)) if path in files else ()
            come += new
            if new:
                placed[path] = new
            else:
                placed.pop(path, None)
        delta: dict[ResourceRef, Placed | None] = {each.ref: None for each in gone}
        twice: list[tuple[Placed, Placed]] = []
        for each in come:
            other = delta.get(each.ref)
            if each.ref not in delta:
                other = before.documents.written(each.ref)
            if other is None:
                delta[each.ref] = each
            else:
                twice.append((each, other))
        documents = evolve(before.documents, delta)
        after = replace(after, placed=placed, documents=documents)
        refs = {*delta, *remade(before.documents, documents)}
        clashes = [_twice(each, other) for each, other in twice]
        clashes += [_second(after, each, first) for each, first in seconds]
        found = changes(before.documents, documents, refs)
        return cls(
            before, after, frozenset(changed), found, _renamed(before, after, refs), clashes, _claimed(before, after)
        )

    @property
    def refs(self) -> set[ResourceRef]:
        """The documents that would be others, the old places of those that would move among them."""
        return {ref for change in self.changes for ref in (change.ref, change.origin) if ref is not None}

    def abandoned(self) -> Iterator[tuple[str, Diagnostic]]:
        """Yield the space files that would leave although unchanged documents take their space from the directory."""
        for directory in self.before.claims.keys() - self.after.claims.keys():
            prefix = f"{directory}/" if directory else ""
            below = (path for path in self.before.placed if path.startswith(prefix) and path not in self.changed)
            users = [
                was
                for path in sorted(below)
                for was, now in zip(self.before.placed[path], self.after.placed.get(path, ()), strict=False)
                if (was.ref, was.parent) != (now.ref, now.parent)
            ]
            if not users:
                continue
            take = "still takes" if len(users) == 1 else "still take"
            named = ", ".join(f"{user.ref.kind} {user.ref.name}" for user in users[:_NAMED])
            more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
            told = error(
                "still-in-use",
                f"Space {self.before.claims[directory]} cannot leave: {named}{more} {take} it from its directory",
                name_position(users[0].resource),
                "say metadata.space (with movedFrom, for a stack), or move the file",
            )
            for name in SPACE_FILES:
                if inside(directory, name) in self.changed:
                    yield inside(directory, name), told


def _follow_claims(
    before: Catalog, files: Mapping[str, ParsedFile], claims: dict[str, SpaceName], changed: Iterable[str]
) -> list[tuple[Placed, Placed]]:
    """Note whose the directories are with these files; return the spaces that would be second in a directory."""
    seconds: list[tuple[Placed, Placed]] = []
    for directory in {dirname(path) for path in changed if is_space_file(path)}:
        here = (files.get(inside(directory, name)) for name in SPACE_FILES)
        spaces = [each for file in here if file for each in file.resources if each.kind is Kind.SPACE]
        # Of several the space that has the directory already keeps it.
        spaces.sort(key=lambda each: (before.claims.get(directory) != each.name, each.file, each.index))
        if spaces:
            claims[directory] = SpaceName(spaces[0].name)
            first = before.place(spaces[0])
            seconds += [(before.place(each), first) for each in spaces[1:]]
        else:
            claims.pop(directory, None)
    return seconds


def _moved(before: Catalog, files: Mapping[str, ParsedFile], claims: Mapping[str, SpaceName]) -> Iterator[str]:
    """Yield the files that lie in another space although they are the same."""
    directories = {each for each in {*claims, *before.claims} if claims.get(each) != before.claims.get(each)}
    prefixes = tuple(f"{each}/" if each else "" for each in directories)
    return (path for path in files if path.startswith(prefixes)) if prefixes else iter(())


def _claimed(before: Catalog, after: Catalog) -> list[Claim]:
    if before.claims == after.claims:
        return []
    directories = sorted(each for each in after.claims if before.claims.get(each) != after.claims[each])
    return [Claim(each, before.space_of(each), after.claims[each]) for each in directories]


def _renamed(before: Catalog, after: Catalog, refs: Iterable[ResourceRef]) -> list[DocumentChange]:
    found = []
    for ref in refs:
        old, new = before.documents.written(ref), after.documents.written(ref)
        if old is not None and new is not None and old.same(new) and old.resource.file != new.resource.file:
            found.append(DocumentChange(ref, Verb.UPDATE, old, new))
    return found


def _twice(each: Placed, other: Placed) -> Clash:
    first, second = tell_twice(each.ref, [name_position(other.resource), name_position(each.resource)])
    return Clash(each, other, (second, first))


def _second(after: Catalog, each: Placed, first: Placed) -> Clash:
    told = tell_second_space(each.resource, first.resource)
    return Clash(after.place(each.resource), first, (told, told))
