"""Everything that one revision of the repository proposes: its files, read and placed, sound or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from posixpath import basename, dirname
from typing import Self

from spaces.attached import follow_attached
from spaces.claimants import Claimants
from spaces.diagnostics import Diagnostic, Severity
from spaces.documents.documents import Placed
from spaces.held_documents import NOTHING_HELD, HeldDocument, HeldDocuments
from spaces.misplaced import name_position, tell_second_space, tell_twice, tell_unknown_directory
from spaces.model.space import SpaceSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.reading.attachments import Attach, no_files
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego, unchecked, with_findings
from spaces.reading.resources import ParsedFile, Resource, parse_files

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
    held: tuple[Placed, ...] = ()
    """Documents in it that do not count, each where it says that it lies."""
    second: tuple[Placed, ...] = ()
    """Spaces that have no place because another one has the directory."""

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All that is wrong with this file alone."""
        return (*self.parsed.diagnostics, *self.misplaced)

    @property
    def broken(self) -> bool:
        """Say whether a document may hide in the file that could not be made out."""
        return _hides_something(self.diagnostics)


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The files of one revision. A function of their bytes, `overrides` and `held` alone, however it was reached.

    A document that is held is there, and does not count: it takes no name, and no directory, from any other.
    """

    files: Mapping[str, CatalogFile]
    """Every file that holds a document of ours, or something wrong, by its path in the repository."""
    claims: Mapping[str, Claim]
    """Directory to space, for the directories with a space file; what is held claims none."""
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
    _documents: Claimants = field(repr=False)
    _faulty: frozenset[str] = field(repr=False, default=frozenset())
    """The files about which there is something to tell."""
    attached: Mapping[str, frozenset[str]] = field(repr=False, default_factory=dict)
    """Paths that documents refer to, each with the files that these documents are in."""
    held: HeldDocuments = field(repr=False, default=NOTHING_HELD)
    """The documents that do not count. One that is not there any more, or says something else, means nothing."""
    _held_at: Mapping[ResourceRef, tuple[Placed, ...]] = field(repr=False, default_factory=dict)

    @classmethod
    def empty(cls) -> Self:
        """Nothing proposed."""
        return cls({}, {}, {}, frozenset(), {}, frozenset(), frozenset(), Claimants())

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
        claims = self._claims_after(changed, files, self.held)
        attached = follow_attached(self, files, changed)
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

    def hold(self, documents: Iterable[HeldDocument]) -> Self:
        """Let these documents, and no others, not count."""
        held = HeldDocuments.make(documents)
        if held.every == self.held.every:
            return self
        changed = {each.file for each in held.every ^ self.held.every}
        claims = self._claims_after(changed, self.files, held)
        return replace(self, held=held)._settled(dict(self.files), claims, self.overrides, changed)  # noqa: SLF001

    def placed(self, ref: ResourceRef) -> Placed | None:
        """Find a document; None when there is none, or when several claim the reference."""
        found = self._documents.of(ref)
        return found[0] if len(found) == 1 else None

    def declares(self, ref: ResourceRef) -> bool:
        """Say whether any document claims the reference."""
        return bool(self._documents.of(ref))

    def claimants(self, ref: ResourceRef) -> tuple[Placed, ...]:
        """All documents that claim a reference: one, when all is well."""
        return self._documents.of(ref)

    def held_at(self, ref: ResourceRef) -> tuple[Placed, ...]:
        """Give the documents that would claim a reference, and are held."""
        return self._held_at.get(ref, ())

    def held_refs(self) -> Iterable[ResourceRef]:
        """Every reference that a document which is held would claim."""
        return self._held_at.keys()

    def refs(self) -> Iterator[ResourceRef]:
        """Every reference that is claimed."""
        return self._documents.refs()

    def space_of(self, directory: str) -> Claim:
        """Name the space a directory belongs to; None when the space file that decides cannot be understood."""
        return _space_of(directory, self.claims, self.overrides)

    def space_said(self, resource: Resource) -> SpaceName | None:
        """Name the space that a document's directory would have by a space file that is held; None: by no such one."""
        directory = dirname(resource.file)
        own_file = isinstance(resource.spec, SpaceSpec) and is_space_file(resource.file)
        said_itself = resource.space if not isinstance(resource.spec, SpaceSpec) else resource.spec.parent
        if said_itself is not None or (own_file and not directory):
            return None
        return _space_said(dirname(directory) if own_file else directory, self)

    def claim(self, directory: str) -> Claim:
        """Name the space that this very directory stands for; None when it has no claim that can be understood."""
        return self.overrides.get(directory) or self.claims.get(directory)

    def below(self, directories: Iterable[str]) -> Iterator[str]:
        """List the files in these directories, at any depth."""
        prefixes = tuple(f"{directory}/" if directory else "" for directory in directories)
        return (path for path in self.files if path.startswith(prefixes)) if prefixes else iter(())

    def moved_files(self, other: Catalog) -> Iterator[str]:
        """List the files that may be placed otherwise than in the other catalog although their bytes are the same."""
        moved = self.moved_directories(other)
        yield from other.below(moved)
        yield from self.below(moved)
        again = self.held.by_file.keys() | other.held.by_file.keys()
        if self.claims != other.claims:
            # Another space file of the directory may say now whose it is, although somebody else keeps it.
            differ = (d for d in {*self.claims, *other.claims} if self._claimed(d) != other._claimed(d))
            again |= {_join(directory, name) for directory in differ for name in SPACE_FILES}
        for path in again:
            if self.files.get(path) is not other.files.get(path):
                yield path

    def moved_directories(self, other: Catalog) -> frozenset[str]:
        """List the directories whose own claim is another one in the other catalog."""
        same = self.claims is other.claims or self.claims == other.claims
        if same and self.overrides == other.overrides:
            return frozenset()
        directories = {*self.claims, *self.overrides, *other.claims, *other.overrides}
        return frozenset(d for d in directories if self._effective(d) != other._effective(d))

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything wrong with the files themselves, and the documents that are there twice; sorted."""
        told = [d for path in self._faulty for d in self.files[path].diagnostics]
        twice = [placed for ref in self.duplicates for placed in self.claimants(ref)]
        # File by file: finding places means reading the file again, and only the last one read is remembered.
        twice.sort(key=lambda placed: (placed.resource.file, placed.resource.index))
        places = {placed: name_position(placed.resource) for placed in twice}
        for ref in self.duplicates:
            told.extend(tell_twice(ref, [places[placed] for placed in self.claimants(ref)]))
        return tuple(sorted(told, key=lambda d: (d.sort_key, d.summary)))

    def _claimed(self, directory: str) -> tuple[bool, Claim]:
        return directory in self.claims, self.claims.get(directory)

    def _effective(self, directory: str) -> tuple[bool, Claim]:
        return directory in self.claims or directory in self.overrides, self.claim(directory)

    def _to_place(self, after: Catalog, changed: set[str]) -> set[str]:
        """Name the files to be placed again: those that changed, and whatever lies in other spaces for them."""
        moved = self.moved_directories(after)
        directories = {dirname(path) for path in changed if is_space_file(path)}
        touched = changed.union(self.below(moved), after.below(moved))
        if moved or directories:
            # Which space of several has a directory, and where what is held lies, may hang on what else is there.
            touched.update(self.held.by_file)
            touched.update(_join(directory, name) for directory in directories for name in SPACE_FILES)
        return touched

    def _claims_after(
        self, changed: Iterable[str], files: Mapping[str, CatalogFile], held: HeldDocuments
    ) -> Mapping[str, Claim]:
        directories = {dirname(path) for path in changed if is_space_file(path)}
        if not directories:
            return self.claims
        claims = dict(self.claims)
        for directory in directories:
            claimed, claim = _claim(directory, files, held)
            if claimed:
                claims[directory] = claim
            else:
                claims.pop(directory, None)
        return claims

    def _settled(
        self,
        files: dict[str, CatalogFile],
        claims: Mapping[str, Claim],
        overrides: Mapping[str, SpaceName],
        changed: Iterable[str],
    ) -> Self:
        """Place what was read, and again whatever lies where a directory's space is another one now."""
        after = replace(self, files=files, claims=claims, overrides=overrides)
        # In order, also for the processor's sake: what lies side by side in memory is found much faster.
        touched = sorted(self._to_place(after, set(changed)))
        broken, faulty = set(self.broken).difference(touched), set(self._faulty).difference(touched)
        gone = [placed for path in touched if path in self.files for placed in self.files[path].placed]
        come: list[Placed] = []
        for path in (each for each in touched if each in files):
            new = files[path] = _place(path, files[path].parsed, after)
            come += new.placed
            if new.diagnostics:
                faulty.add(path)
                if new.broken:
                    broken.add(path)
        documents = self._documents.evolve(gone, come)
        refs = {placed.ref for placed in chain(gone, come)}
        duplicates = self.duplicates.difference(refs).union(ref for ref in refs if len(documents.of(ref)) > 1)
        return replace(
            self,
            files=files,
            claims=claims,
            overrides=overrides,
            broken=frozenset(broken),
            duplicates=duplicates,
            _documents=documents,
            _faulty=frozenset(faulty),
            _held_at=_held_at(files[path] for path in sorted(self.held.by_file) if path in files),
        )


def is_space_file(path: str) -> bool:
    """Say whether a file may say which space its directory belongs to."""
    return path.endswith(SPACE_FILES) and basename(path) in SPACE_FILES


def _held_at(files: Iterable[CatalogFile]) -> Mapping[ResourceRef, tuple[Placed, ...]]:
    found: dict[ResourceRef, list[Placed]] = {}
    for file in files:
        for placed in file.held:
            found.setdefault(placed.ref, []).append(placed)
    return {ref: tuple(placed) for ref, placed in found.items()}


def _space_of(directory: str, claims: Mapping[str, Claim], overrides: Mapping[str, SpaceName]) -> Claim:
    while True:
        if directory in overrides:
            return overrides[directory]
        if directory in claims:
            return claims[directory]
        if not directory:
            return ROOT
        directory = dirname(directory)


def _space_said(directory: str, catalog: Catalog) -> SpaceName | None:
    while True:
        if catalog.held.every:
            for resource in _space_documents(catalog.files, directory):
                if any(catalog.held.meaning(resource)):
                    return SpaceName(resource.name)
        if not directory or directory in catalog.overrides or directory in catalog.claims:
            return None
        directory = dirname(directory)


def _space_documents(files: Mapping[str, CatalogFile], directory: str) -> list[Resource]:
    """List the spaces that a directory's space files declare: one, when all is well."""
    found = (files.get(_join(directory, name)) for name in SPACE_FILES)
    return [r for r in chain.from_iterable(f.parsed.resources for f in found if f) if r.kind is Kind.SPACE]


def _counting_spaces(files: Mapping[str, CatalogFile], directory: str, held: HeldDocuments) -> list[Resource]:
    return held.without(_space_documents(files, directory))


def _claim(directory: str, files: Mapping[str, CatalogFile], held: HeldDocuments) -> tuple[bool, Claim]:
    """Read a directory's claim: whether it has one, and which; the first of several spaces has it."""
    declared = _counting_spaces(files, directory, held)
    if declared:
        return True, SpaceName(declared[0].name)
    present = [files[path] for name in SPACE_FILES if (path := _join(directory, name)) in files]
    return any(_hides_something(file.parsed.diagnostics) for file in present), None


def _hides_something(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR and d.code not in _HARMLESS for d in diagnostics)


def _place(path: str, parsed: ParsedFile, catalog: Catalog) -> CatalogFile:
    """Give each document of a file its space."""
    directory = dirname(path)
    spaces = _counting_spaces(catalog.files, directory, catalog.held) if is_space_file(path) else []
    placed: list[Placed] = []
    held: list[Placed] = []
    second: list[Placed] = []
    left = set(catalog.held.by_file.get(path, ()))
    misplaced: list[Diagnostic] = []
    for resource in parsed.resources:
        space, parent = _scope(resource, catalog)
        if left and (found := _as_held(resource, space, parent, catalog, left)) is not None:
            held.append(found)
        elif resource.kind is Kind.SPACE and spaces and resource is not spaces[0]:
            misplaced.append(tell_second_space(resource, spaces[0]))
            second.append(Placed(ResourceRef(Kind.SPACE, SpaceName(resource.name), resource.name), resource, parent))
        elif space is None or (resource.kind is Kind.SPACE and parent is None):
            misplaced.append(tell_unknown_directory(resource, directory))
        else:
            placed.append(Placed(ResourceRef(resource.kind, space, resource.name), resource, parent))
    return CatalogFile(parsed, tuple(placed), tuple(misplaced), tuple(held), tuple(second))


def _scope(resource: Resource, catalog: Catalog) -> tuple[Claim, Claim]:
    """Find the space that a document lies in and, for a space, the one above it; None where that is not known."""
    directory, spec = dirname(resource.file), resource.spec
    if not isinstance(spec, SpaceSpec):
        return resource.space if resource.space is not None else catalog.space_of(directory), None
    if spec.parent is not None:
        return SpaceName(resource.name), SpaceName(spec.parent)
    if not is_space_file(resource.file):
        return SpaceName(resource.name), catalog.space_of(directory)
    return SpaceName(resource.name), catalog.space_of(dirname(directory)) if directory else ROOT


def _as_held(
    resource: Resource, space: Claim, parent: Claim, catalog: Catalog, left: set[HeldDocument]
) -> Placed | None:
    """Place a document as one that is held, and take that one out of `left`; None when it counts."""
    said = catalog.space_said(resource)
    for each in catalog.held.meaning(resource):
        is_space = each.ref.kind is Kind.SPACE
        # Where nobody can know which space it lies in, it is still what was held.
        if each in left and (is_space or space is None or each.ref.space in (space, said)):
            left.remove(each)
            return Placed(each.ref, resource, (said or parent or ROOT) if is_space else None)
    return None


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
