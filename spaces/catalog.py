"""Everything that one revision of the repository proposes: its files, read and placed, sound or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from posixpath import basename, dirname
from typing import Self

from spaces.attachments import Attach, no_files
from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.documents import ReadDocuments, read_documents
from spaces.model.space import SpaceSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.placed import Placed
from spaces.rego import CheckRego, unchecked, with_findings
from spaces.resources import ParsedFile, Resource, parse_files

SPACE_FILES = ("space.yaml", "space.yml")
"""The files that say which space their directory belongs to."""

_YAML = (".yaml", ".yml")

Claim = SpaceName | None
"""The space of a directory; None while its space file cannot be understood."""

_HARMLESS = frozenset({"kind-not-supported"})
"""Errors about documents that surely are none of those that can be in force."""


@dataclass(frozen=True, slots=True, eq=False)
class CatalogFile:
    """One file with documents of ours: what was read, and where each document lies."""

    parsed: ParsedFile
    placed: tuple[Placed, ...]
    misplaced: tuple[Diagnostic, ...]

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All that is wrong with this file alone."""
        return (*self.parsed.diagnostics, *self.misplaced)

    @property
    def broken(self) -> bool:
        """Say whether a document may hide in the file that could not be made out."""
        return any(d.severity is Severity.ERROR and d.code not in _HARMLESS for d in self.diagnostics)


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The files of one revision. A function of their bytes and of `overrides` alone, however it was reached."""

    files: Mapping[str, CatalogFile]
    """Every file that holds a document of ours, or something wrong, by its path in the repository."""
    claims: Mapping[str, Claim]
    """Directory to space, for the directories with a space file."""
    overrides: Mapping[str, SpaceName]
    """Directory to space where something else stays in force than the files say."""
    broken: frozenset[str]
    """The files that may hide documents."""
    unreadable: Mapping[str, Diagnostic]
    """Why a file, or a part of it that may be anybody's, cannot be read as YAML: told only if it was ours."""
    others: frozenset[str]
    """The YAML files that can be read and hold nothing of ours, though perhaps something that was meant to be."""
    duplicates: frozenset[ResourceRef]
    """References that several documents claim."""
    _documents: Mapping[ResourceRef, tuple[Placed, ...]] = field(repr=False)
    _faulty: frozenset[str] = field(repr=False, default=frozenset())
    """The files about which there is something to tell."""
    attached: Mapping[str, frozenset[str]] = field(repr=False, default_factory=dict)
    """Paths that documents refer to, each with the files that these documents are in."""

    @classmethod
    def empty(cls) -> Self:
        """Nothing proposed."""
        return cls({}, {}, {}, frozenset(), {}, frozenset(), frozenset(), {})

    def advance(
        self,
        changed: Mapping[str, bytes | None],
        attach: Attach = no_files,
        check: CheckRego = unchecked,
        read: ReadDocuments = read_documents,
    ) -> Self:
        """Take in the files that changed (path to new bytes, None when gone); only these are read.

        Files that are not YAML or hold nothing of ours may be among them and are left alone. A file whose documents
        refer to one that changed has to be among them (`attaching` names those). `attach` reads the new revision.
        A policy whose rule does not pass `check` is broken.
        """
        files: dict[str, CatalogFile] = dict(self.files)
        claims = dict(self.claims)
        unreadable = {path: why for path, why in self.unreadable.items() if path not in changed}
        others = set(self.others.difference(changed))
        for path in files.keys() & changed.keys():
            del files[path]
        yaml = ((path, data) for path, data in changed.items() if data is not None and path.endswith(_YAML))
        for path, parsed in parse_files(yaml, attach, read):
            if parsed.unreadable is not None:
                unreadable[path] = parsed.unreadable
            if parsed.resources or parsed.diagnostics:
                files[path] = CatalogFile(parsed, (), ())
            if parsed.holds_nothing:
                others.add(path)
        fresh = {path: files[path].parsed for path in changed if path in files}
        files.update({path: CatalogFile(parsed, (), ()) for path, parsed in with_findings(fresh, check).items()})
        for directory in {dirname(path) for path in changed if basename(path) in SPACE_FILES}:
            claimed, claim = _claim(directory, files)
            if claimed:
                claims[directory] = claim
            else:
                claims.pop(directory, None)
        attached = _attached(self, files, changed)
        taken_in = replace(self, unreadable=unreadable, others=frozenset(others), attached=attached)
        return taken_in._settled(files, claims, self.overrides, changed)  # noqa: SLF001

    def attaching(self, paths: Iterable[str]) -> frozenset[str]:
        """Name the files whose documents refer to any of these paths."""
        if not self.attached:
            return frozenset()
        return frozenset(file for path in paths for file in self.attached.get(path, ()))

    def override(self, overrides: Mapping[str, SpaceName]) -> Self:
        """Let these directories, and no others, belong to a space whatever their files say."""
        if overrides == self.overrides:
            return self
        return self._settled(dict(self.files), self.claims, dict(overrides), ())

    def placed(self, ref: ResourceRef) -> Placed | None:
        """Find a document; None when there is none, or when several claim the reference."""
        found = self._documents.get(ref, ())
        return found[0] if len(found) == 1 else None

    def declares(self, ref: ResourceRef) -> bool:
        """Say whether any document claims the reference."""
        return ref in self._documents

    def claimants(self, ref: ResourceRef) -> tuple[Placed, ...]:
        """All documents that claim a reference: one, when all is well."""
        return self._documents.get(ref, ())

    def refs(self) -> Iterable[ResourceRef]:
        """Every reference that is claimed."""
        return self._documents.keys()

    def space_of(self, directory: str) -> Claim:
        """Name the space a directory belongs to; None when the space file that decides cannot be understood."""
        return _space_of(directory, self.claims, self.overrides)

    def claim(self, directory: str) -> Claim:
        """Name the space that this very directory stands for; None when it has no claim that can be understood."""
        return self.overrides.get(directory) or self.claims.get(directory)

    def below(self, directories: Iterable[str]) -> Iterator[str]:
        """List the files in these directories, at any depth."""
        prefixes = tuple(f"{directory}/" if directory else "" for directory in directories)
        return (path for path in self.files if path.startswith(prefixes)) if prefixes else iter(())

    def moved_directories(self, other: Catalog) -> frozenset[str]:
        """List the directories whose own claim is another one in the other catalog."""
        if (self.claims == other.claims) and (self.overrides == other.overrides):
            return frozenset()
        directories = {*self.claims, *self.overrides, *other.claims, *other.overrides}
        return frozenset(d for d in directories if self._effective(d) != other._effective(d))

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything wrong with the files themselves, and the documents that are there twice; sorted."""
        told = [d for path in self._faulty for d in self.files[path].diagnostics]
        twice = [placed for ref in self.duplicates for placed in self._documents[ref]]
        # File by file: finding places means reading the file again, and only the last one read is remembered.
        twice.sort(key=lambda placed: (placed.resource.file, placed.resource.index))
        places = {placed: _name_position(placed.resource) for placed in twice}
        for ref in self.duplicates:
            told.extend(_tell_twice(ref, [places[placed] for placed in self._documents[ref]]))
        return tuple(sorted(told, key=lambda d: (d.sort_key, d.summary)))

    def _effective(self, directory: str) -> tuple[bool, Claim]:
        return directory in self.claims or directory in self.overrides, self.claim(directory)

    def _settled(
        self,
        files: dict[str, CatalogFile],
        claims: Mapping[str, Claim],
        overrides: Mapping[str, SpaceName],
        changed: Iterable[str],
    ) -> Self:
        """Place what was read, and again whatever lies where a directory's space is another one now."""
        nothing = frozenset[str]()
        after = type(self)(files, claims, overrides, nothing, self.unreadable, self.others, frozenset(), {})
        touched = set(changed)
        moved = self.moved_directories(after)
        touched.update(self.below(moved), after.below(moved))
        documents = dict(self._documents)
        broken, duplicates, faulty = set(self.broken), set(self.duplicates), set(self._faulty)
        refs: set[ResourceRef] = set()
        for path in touched:
            old = self.files.get(path)
            for placed in old.placed if old else ():
                documents[placed.ref] = tuple(p for p in documents[placed.ref] if p is not placed)
                refs.add(placed.ref)
            broken.discard(path)
            faulty.discard(path)
        for path in touched & files.keys():
            new = files[path] = _place(path, files[path].parsed, after)
            for placed in new.placed:
                documents[placed.ref] = (*documents.get(placed.ref, ()), placed)
                refs.add(placed.ref)
            if new.broken:
                broken.add(path)
            if new.diagnostics:
                faulty.add(path)
        for ref in refs:
            if not documents[ref]:
                del documents[ref]
            elif len(documents[ref]) > 1:
                documents[ref] = tuple(sorted(documents[ref], key=lambda p: (p.resource.file, p.resource.index)))
        duplicates = (duplicates - refs) | {ref for ref in refs if len(documents.get(ref, ())) > 1}
        return replace(
            self,
            files=files,
            claims=claims,
            overrides=overrides,
            broken=frozenset(broken),
            duplicates=frozenset(duplicates),
            _documents=documents,
            _faulty=frozenset(faulty),
        )


def _attached(
    before: Catalog, files: Mapping[str, CatalogFile], changed: Iterable[str]
) -> Mapping[str, frozenset[str]]:
    """Follow who refers to which paths through a change of files."""
    index: dict[str, frozenset[str]] | None = None
    for file in changed:
        old, new = before.files.get(file), files.get(file)
        was = old.parsed.attached if old else frozenset()
        now = new.parsed.attached if new else frozenset()
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


def _space_of(directory: str, claims: Mapping[str, Claim], overrides: Mapping[str, SpaceName]) -> Claim:
    while True:
        if directory in overrides:
            return overrides[directory]
        if directory in claims:
            return claims[directory]
        if not directory:
            return ROOT
        directory = dirname(directory)


def _space_documents(files: Mapping[str, CatalogFile], directory: str) -> list[Resource]:
    """List the spaces that a directory's space files declare: one, when all is well."""
    found = (files.get(_join(directory, name)) for name in SPACE_FILES)
    return [r for r in chain.from_iterable(f.parsed.resources for f in found if f) if r.kind is Kind.SPACE]


def _claim(directory: str, files: Mapping[str, CatalogFile]) -> tuple[bool, Claim]:
    """Read a directory's claim: whether it has one, and which; the first of several spaces has it."""
    declared = _space_documents(files, directory)
    if declared:
        return True, SpaceName(declared[0].name)
    present = [files[path] for name in SPACE_FILES if (path := _join(directory, name)) in files]
    return any(file.broken for file in present), None


def _place(path: str, parsed: ParsedFile, catalog: Catalog) -> CatalogFile:
    """Give each document of a file its space."""
    directory = dirname(path)
    is_space_file = basename(path) in SPACE_FILES
    first = next(iter(_space_documents(catalog.files, directory)), None) if is_space_file else None
    placed: list[Placed] = []
    misplaced: list[Diagnostic] = []
    for resource in parsed.resources:
        spec = resource.spec
        if isinstance(spec, SpaceSpec):
            if is_space_file and resource is not first:
                misplaced.append(_tell_second_space(resource, first))
                continue
            around = catalog.space_of(dirname(directory)) if is_space_file and directory else None
            implied = around if is_space_file and directory else ROOT if is_space_file else catalog.space_of(directory)
            parent = SpaceName(spec.parent) if spec.parent is not None else implied
            space: Claim = SpaceName(resource.name)
            known = parent is not None
        else:
            parent = None
            space = resource.space if resource.space is not None else catalog.space_of(directory)
            known = space is not None
        if space is None or not known:
            misplaced.append(_tell_unknown_directory(resource, directory))
        else:
            placed.append(Placed(ResourceRef(resource.kind, space, resource.name), resource, parent))
    return CatalogFile(parsed, tuple(placed), tuple(misplaced))


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _name_position(resource: Resource) -> Position:
    return resource.position(("metadata", "name"))


def _tell_second_space(resource: Resource, first: Resource | None) -> Diagnostic:
    other = f"it belongs to {first.name} by {first.file}" if first else "another one has it"
    return error(
        "several-spaces",
        f"a directory belongs to one space, so {basename(resource.file)} cannot declare {resource.name} too",
        _name_position(resource),
        f"{other}; declare further spaces in a file of another name",
    )


def _tell_unknown_directory(resource: Resource, directory: str) -> Diagnostic:
    return error(
        "space-not-known",
        f"which space {resource.kind} {resource.name} lies in is not known: "
        f"the space file that {directory or 'the top directory'} belongs to cannot be understood",
        _name_position(resource),
        "repair that file, or say metadata.space",
    )


def _tell_twice(ref: ResourceRef, places: Sequence[Position]) -> Iterator[Diagnostic]:
    for index, here in enumerate(places):
        other = places[index - 1] if index else places[1]
        yield error(
            "duplicate-name",
            f"{ref} is declared more than once; none of them comes into force",
            here,
            f"the other one is at {other.file}:{other.line}:{other.column}",
        )
