"""The files of one tree, and the documents in them, each in its space.

Admission keeps one: of the tree that is in force. Every file in it is sound, every document has a place, no two have
one name. It is a function of the files' bytes alone, however it was reached: to read the tree again is to restore it.
`composition` works out what would become of it with other files; nothing here judges whether that may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname

from spaces.diagnostics import Diagnostic
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.model.space import SpaceSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.reading.resources import ParsedFile, Resource

SPACE_FILES = ("space.yaml", "space.yml")
"""The files that say which space their directory belongs to."""

YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The documents of a tree's files."""

    files: Mapping[str, ParsedFile] = field(default_factory=dict)
    """The files with documents, or with something to tell, by path."""
    claims: Mapping[str, SpaceName] = field(default_factory=dict)
    """Directory to space, for the directories with a space file."""
    placed: Mapping[str, tuple[Placed, ...]] = field(default_factory=dict)
    """The documents of each file."""
    attached: Mapping[str, frozenset[str]] = field(repr=False, default_factory=dict)
    """Paths that documents refer to, each with the files that these documents are in."""
    documents: PlacedDocuments = field(default_factory=PlacedDocuments.empty)
    """All of them, and those that instances make."""

    def space_of(self, directory: str) -> SpaceName:
        """Return the space that a directory belongs to: by its own space file, or the nearest one above."""
        while directory and directory not in self.claims:
            directory = dirname(directory)
        return self.claims.get(directory, ROOT)

    def place(self, resource: Resource) -> Placed:
        """Return a document in its space: the one that it names, or its directory's."""
        directory, spec = dirname(resource.file), resource.spec
        if not isinstance(spec, SpaceSpec):
            space = resource.space if resource.space is not None else self.space_of(directory)
            return Placed(ResourceRef(resource.kind, space, resource.name), resource)
        ref = ResourceRef(Kind.SPACE, SpaceName(resource.name), resource.name)
        if resource.name == ROOT:
            return Placed(ref, resource)
        if spec.parent is not None:
            return Placed(ref, resource, SpaceName(spec.parent))
        if is_space_file(resource.file):
            return Placed(ref, resource, self.space_of(dirname(directory)) if directory else ROOT)
        return Placed(ref, resource, self.space_of(directory))

    def attaching(self, paths: Iterable[str]) -> frozenset[str]:
        """Return the files whose documents refer to any of these paths."""
        if not self.attached:
            return frozenset()
        return frozenset(file for path in paths for file in self.attached.get(path, ()))

    @property
    def diagnostics(self) -> Iterator[Diagnostic]:
        """What is to be told of the files themselves."""
        return (told for file in self.files.values() for told in file.diagnostics)


def is_space_file(path: str) -> bool:
    """Whether a file says which space its directory belongs to."""
    return basename(path) in SPACE_FILES


def inside(directory: str, name: str) -> str:
    """Return the path of a file in a directory."""
    return f"{directory}/{name}" if directory else name


def follow_attached(
    before: Catalog, files: Mapping[str, ParsedFile], changed: Iterable[str]
) -> Mapping[str, frozenset[str]]:
    """Return who refers to which paths after some files changed."""
    index: dict[str, frozenset[str]] | None = None
    for file in changed:
        old, new = before.files.get(file), files.get(file)
        was, now = (each.attached if each is not None else frozenset() for each in (old, new))
        if was == now:
            continue
        index = dict(before.attached) if index is None else index
        for path in was ^ now:
            users = index.get(path, frozenset()) ^ {file}
            if users:
                index[path] = users
            else:
                del index[path]
    return before.attached if index is None else index
