"""One file that a commit changes: as it is in force and as the commit has it, document by document.

`step` composes from it what would be in force: the commit's file, with some documents as they were. A file that is no
YAML is one that documents refer to, and one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from spaces.catalog import YAML
from spaces.diagnostics import Diagnostic
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.reading.resources import ParsedFile, Resource
from spaces.reading.texts import (
    WHOLE,
    DocumentKey,
    DocumentText,
    align,
    compose,
    composed,
    known,
    read_value,
    same,
    split,
)


class Unit(NamedTuple):
    """One document in one file: what can be held by itself."""

    path: str
    key: DocumentKey


@dataclass(slots=False)
class ChangedFile:
    """`force` is the file as it is in force, `tip` as it is proposed; None if there is none.

    `number` gives the documents of `tip` the numbers that they had before.
    """

    path: str
    force: bytes | None
    tip: bytes | None
    number: Callable[[tuple[DocumentText, ...]], tuple[DocumentText, ...]] | None = field(default=None, repr=False)

    @cached_property
    def texts(self) -> tuple[DocumentText, ...]:
        """The texts of `tip`."""
        if not self.path.endswith(YAML):
            return () if self.tip is None else (DocumentText(WHOLE, self.tip),)
        if self.number is not None:
            return self.number(split(self.tip))
        return align(split(self.tip), known(split(self.force)))

    @property
    def force_documents(self) -> tuple[DocumentText, ...]:
        """The texts of `force`."""
        if not self.path.endswith(YAML):
            return () if self.force is None else (DocumentText(WHOLE, self.force),)
        return split(self.force)

    @cached_property
    def force_texts(self) -> dict[DocumentKey, bytes]:
        """The documents that are in force, by key."""
        return {each.key: each.text for each in self.force_documents if each.key is not None}

    @cached_property
    def tip_texts(self) -> dict[DocumentKey, bytes]:
        """The documents that are proposed, by key."""
        return {each.key: each.text for each in self.texts if each.key is not None}

    @cached_property
    def differing(self) -> frozenset[DocumentKey]:
        """The documents that would be others."""
        force, tip = self.force_texts, self.tip_texts
        return frozenset(key for key in force.keys() | tip.keys() if not same(force.get(key), tip.get(key)))

    @cached_property
    def _copies(self) -> bool:
        """Whether documents call themselves the same."""
        return any(key.copy for key in (*self.force_texts, *self.tip_texts))

    @cached_property
    def _clear(self) -> Mapping[DocumentKey, bytes | None]:
        """The proposed documents that can be made out."""
        return {each.key: each.text for each in self.texts if each.key is not None and not each.hides}

    @property
    def lost(self) -> frozenset[DocumentKey]:
        """The documents that would leave."""
        return frozenset(self.force_texts.keys() - self.tip_texts.keys())

    @property
    def hides(self) -> bool:
        """Whether a document may be in the proposed file that cannot be made out."""
        return any(each.hides for each in self.texts)

    def text(self, key: DocumentKey) -> bytes | None:
        """Return a document as it is proposed."""
        return self.tip_texts.get(key)

    def was_there(self, key: DocumentKey) -> bool:
        """Whether a document is in force."""
        return key in self.force_texts

    def space(self, key: DocumentKey) -> str:
        """Return the space of a proposed document as written; empty where the directory decides."""
        return next((each.space for each in self.texts if each.key == key), "")

    def line(self, key: DocumentKey) -> int:
        """Return the line of the proposed file on which a document begins."""
        return next((each.line for each in self.texts if each.key == key), 1)

    def origin(self, key: DocumentKey) -> ResourceRef | None:
        """Return which stack a proposed one says that it was before."""
        value = read_value(self.tip_texts[key]) if key in self.tip_texts else None
        metadata = value.get("metadata") if isinstance(value, dict) else None
        said = metadata.get("movedFrom") if isinstance(metadata, dict) else None
        if not isinstance(said, str) or "/" not in said or key.kind != Kind.STACK:
            return None
        space, _, name = said.partition("/")
        return ResourceRef(Kind.STACK, SpaceName(space), name)

    def composed(self, instead: Mapping[DocumentKey, bytes | None]) -> bytes | None:
        """Return the proposed file with some documents as they are in `instead`; None takes one out."""
        if WHOLE in instead:
            return instead[WHOLE]
        return compose(self.texts, instead)

    def key_of(self, resource: Resource, instead: Mapping[DocumentKey, bytes | None] | None) -> DocumentKey:
        """Return which text a document of the composed file is; of the one in force where `instead` is None."""
        identity = DocumentKey(resource.kind.value, resource.name)
        if not self._copies and not any(key.copy for key in instead or ()):
            there = self.force_texts if instead is None else instead if identity in instead else self._clear
            return identity if there.get(identity) is not None else WHOLE
        keys = list(self.force_texts) if instead is None else self.composed_keys(instead)
        alike = [key for key in keys if key.identity == identity]
        if len(alike) <= 1:
            return alike[0] if alike else WHOLE
        return alike[min(self._rank(resource, identity), len(alike) - 1)]

    def composed_keys(self, instead: Mapping[DocumentKey, bytes | None]) -> list[DocumentKey]:
        """Return the documents of the composed file in their order."""
        return [key for key, _ in composed(self.texts, instead) if key is not None]

    @staticmethod
    def _rank(resource: Resource, identity: DocumentKey) -> int:
        """Return how many documents before this one in its file call themselves the same."""
        before = split(resource.data)[: resource.index]
        return sum(1 for each in before if each.key is not None and each.key.identity == identity)

    def broken(
        self, parsed: ParsedFile, errors: Collection[Diagnostic]
    ) -> Iterator[tuple[DocumentKey, list[Diagnostic]]]:
        """Yield the proposed documents that are not sound, each with its errors."""
        good = [DocumentKey(each.kind.value, each.name) for each in parsed.resources]
        left = list(errors)
        ends = [each.line for each in self.texts[1:]] + [10**9]
        for text, end in zip(self.texts, ends, strict=False):
            if text.key is None:
                continue
            if text.key.identity in good:
                good.remove(text.key.identity)
                continue
            # What was left open is found out where the next document begins.
            lines = range(text.line, end + text.hides)
            here = [told for told in left if _is_in(told, self.path, lines)]
            here = here or [told for told in left if told.position is None or told.position.file != self.path]
            left = [told for told in left if told not in here]
            yield text.key, here


def _is_in(told: Diagnostic, path: str, lines: range) -> bool:
    at = told.position
    return at is not None and at.file == path and at.line in lines
