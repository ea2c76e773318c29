"""What is named and not in force: told apart from what is declared nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from posixpath import dirname

from spaces.catalog import Catalog
from spaces.diagnostics import Diagnostic, Position, error
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.references import NameKey
from spaces.model.explain import did_you_mean
from spaces.names import ROOT, Kind, SpaceName
from spaces.rules.rules import KINDS, Violation, names_in_reach, tell, tell_made

_RULES = {kind: rule for rule, kind in KINDS.items()}
_CANNOT_BE_READ = frozenset({"yaml-syntax", "yaml-depth", "not-utf8", "file-too-large"})

_Declared = tuple[SpaceName | None, Position]


@dataclass(frozen=True)
class Absent:
    """The documents that `proposed` declares and that are not among `documents`, those that are held left out."""

    proposed: Catalog
    documents: PlacedDocuments
    held: frozenset[NameKey]

    def tell(self, violation: Violation, placed: Placed, among: PlacedDocuments, *, suggest: bool) -> Diagnostic:
        """Put a violation into words: who names a document that is broken is not told that there is none."""
        if violation.inner is not None:
            made, broken = violation.inner
            return tell_made(placed, self.tell(broken, made, among, suggest=suggest))
        told = tell(violation, placed, among, suggest=suggest)
        kind = KINDS.get(violation.rule)
        if kind is None:
            return told
        where, _, name = violation.name.rpartition("/")
        if (kind, name) in self.held:
            return told
        at = self._find(kind, name, SpaceName(where), placed.ref.space, among)
        if at is not None:
            summary = f"{placed.ref} needs {kind} {violation.name}, which is declared but broken"
            hint = f"repair it at {at.file}:{at.line}:{at.column}"
            return error("needs-broken", summary, told.position, hint)
        if self._unread:
            more = len(self._unread) - 1
            others = f", or in {more} other file{'s' * (more > 1)} that cannot be read either" if more else ""
            summary = (
                f"{placed.ref} needs {kind} {violation.name}, which is not found; "
                f"it may be in {self._unread[0]}, which cannot be read{others}"
            )
            return error(told.code, summary, told.position, told.hint)
        return told

    def tell_flawed(self, suggestions: int) -> Iterator[Diagnostic]:
        """Tell what documents with errors of their own name besides, and is declared nowhere."""
        tree = self.documents.tree
        for path in sorted(self.proposed.broken):
            for flawed in self.proposed.files[path].parsed.flawed if not self._unread else ():
                space = flawed.space or self.proposed.space_of(dirname(path))
                if space is None or not tree.exists(space):
                    continue
                for kind, name, position in flawed.needs:
                    where, _, bare = name.rpartition("/")
                    known = self.documents.lookup(kind, name, space) is not None or (kind, bare) in self.held
                    if known or self._find(kind, bare, SpaceName(where), space, self.documents) is not None:
                        continue
                    near = names_in_reach(kind, space, self.documents, qualified=bool(where)) if suggestions > 0 else []
                    suggestions -= 1
                    summary = f"there is no {kind} {name} for {flawed.kind} {space}/{flawed.name}"
                    yield error(_RULES[kind].value, summary, position, did_you_mean(name, near))

    def _find(self, kind: Kind, name: str, where: str, user: SpaceName, among: PlacedDocuments) -> Position | None:
        for space, position in self._declared.get((kind, name), ()):
            if kind is Kind.SPACE or (kind is Kind.ROLE and space == ROOT) or space is None:
                return position
            if where in ("", space) and among.tree.flows(space, user):
                return position
        return None

    @cached_property
    def _declared(self) -> Mapping[NameKey, list[_Declared]]:
        found: dict[NameKey, list[_Declared]] = {}
        for path in sorted(self.proposed.broken):
            for flawed in self.proposed.files[path].parsed.flawed:
                space = flawed.space or self.proposed.space_of(dirname(path))
                found.setdefault((flawed.kind, flawed.name), []).append((space, flawed.position))
        for ref in self.proposed.refs():
            if ref.kind in KINDS.values() and self.documents.written(ref) is None:
                first = self.proposed.claimants(ref)[0].resource
                at = first.position(("metadata", "name"))
                found.setdefault((ref.kind, ref.name), []).append((ref.space, at))
        return found

    @cached_property
    def _unread(self) -> list[str]:
        files = self.proposed.files
        return [
            path
            for path in sorted(self.proposed.broken)
            if any(told.code in _CANNOT_BE_READ for told in files[path].parsed.diagnostics)
        ]
