"""Takes over what a store of schema 0006 remembers of admission: documents that were kept, left out, or held.

`restore` asks once, at the first start of this version. That version remembered single documents beside the branch's
files; here they become the files in force, and an entry for each document that differs. A held document stays its
person's; a document that did not work stays as it was, until it is repaired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from posixpath import dirname
from typing import Any

from rbac.admission.admit import NOBODY, Admission, Commit, admit
from rbac.admission.entries import Author, Entry, Held, HeldFile
from rbac.admission.held import HeldChange
from rbac.admission.settings import Rules
from rbac.identity import Person, Stranger
from reconciler.git.trees import Trees
from reconciler.loop.desired.files import read_file
from spaces.catalog import SPACE_FILES, YAML, inside
from spaces.composition.reading import FileReading
from spaces.names import ROOT, Revision, StackId
from spaces.reading.texts import DocumentKey, DocumentText, compose, split

_UNRECORDED = Stranger("Unrecorded", "an earlier version did not record whose it is", "")

_Texts = dict[DocumentKey, bytes | None]


def take_over(  # noqa: PLR0917
    trees: Trees,
    files: Mapping[str, bytes],
    revision: Revision,
    remembered: Mapping[str, Any],
    changes: Iterable[HeldChange],
    reading: FileReading,
    rules: Rules,
    now: datetime,
) -> Admission:
    """Return the admission that an earlier version's record means; `files` are the branch's at `revision`."""
    every = list(changes)
    waiting = [each for each in every if each.pin is None]
    broken, held = _instead(trees, files, remembered, waiting)
    force = {path: compose(split(data), {**broken.get(path, {}), **held.get(path, {})}) for path, data in files.items()}
    for path in (broken.keys() | held.keys()) - files.keys():
        force[path] = compose((), {**broken.get(path, {}), **held.get(path, {})})
    rules = replace(rules, destroy_budget=100.0)

    def commit(changed: Mapping[str, bytes | None], person: Person | Stranger = NOBODY) -> Commit:
        return Commit(revision, changed, person, attach=reading.attach, check=reading.check, read=reading.read)

    start = admit(None, commit(force), rules, now)
    assert isinstance(start, Admission)  # noqa: S101 - the first revision is never refused
    # First what does not work, as whoever wrote it had the right to; then what somebody had no right to.
    rest = {path: compose(split(files.get(path)), held.get(path, {})) for path in {*broken, *held}}
    middle = _step(start, commit(rest), replace(rules, judged=False), now)
    tip = {path: files.get(path) for path in held}
    end = _step(middle, commit(tip, _UNRECORDED), rules, now)
    sources = {StackId(each.ref.space, each.ref.name): each for each in every if each.pin is not None}
    return replace(end, held=_with_persons(end.held, waiting), sources=sources)


def _step(before: Admission, commit: Commit, rules: Rules, now: datetime) -> Admission:
    found = admit(before, commit, rules, now, halting=False)
    assert isinstance(found, Admission)  # noqa: S101 - it was told not to halt
    return found


def _instead(
    trees: Trees, files: Mapping[str, bytes], remembered: Mapping[str, Any], waiting: Iterable[HeldChange]
) -> tuple[dict[str, _Texts], dict[str, _Texts]]:
    """Return by file what is in force instead of the branch's documents: of those that are broken, of those held."""
    broken: dict[str, _Texts] = {}
    held: dict[str, _Texts] = {}
    names = {(str(each.ref.kind), each.ref.name) for each in waiting}
    for each in waiting:
        if each.file is not None and each.file in files:
            held.setdefault(each.file, {})[_key(files[each.file], str(each.ref.kind), each.ref.name)] = None
    for each in remembered.get("pending", ()):
        for path in _declaring(files, each):
            where = held if (each["kind"], each["name"]) in names else broken
            where.setdefault(path, {})[_key(files[path], each["kind"], each["name"])] = None
    for each in remembered.get("kept", ()):
        old = split(read_file(trees, Revision(each["revision"]), each["file"]))
        if each["index"] < len(old):
            where = held if each["because"] == "held" else broken
            key = _key(files.get(each["file"]), each["kind"], each["name"])
            where.setdefault(each["file"], {})[key] = old[each["index"]].text
    return broken, held


def _key(data: bytes | None, kind: str, name: str) -> DocumentKey:
    found = (text.key for text in split(data) if text.key is not None and text.key[:2] == (kind, name))
    return next(found, DocumentKey(kind, name))


def _declaring(files: Mapping[str, bytes], ref: Mapping[str, str]) -> list[str]:
    """Return the files that declare a document, as far as its space can be told by the space files above."""
    found = []
    for path, data in files.items():
        for text in split(data) if path.endswith(YAML) else ():
            named = text.key is not None and text.key[:2] == (ref["kind"], ref["name"])
            if named and (ref["kind"] == "Space" or _space(files, path, text) == ref["space"]):
                found.append(path)
    return found


def _space(files: Mapping[str, bytes], path: str, text: DocumentText) -> str:
    if text.space:
        return text.space
    directory = dirname(path)
    while True:
        spaces = [
            each.key.name
            for name in SPACE_FILES
            for each in split(files.get(inside(directory, name)))
            if each.key is not None and each.key.kind == "Space"
        ]
        if spaces or not directory:
            return spaces[0] if spaces else ROOT
        directory = dirname(directory)


def _with_persons(held: Held, changes: Iterable[HeldChange]) -> Held:
    """Return held documents with the persons that were recorded with them."""
    known = {(each.ref.kind.value, each.ref.name): each for each in changes}
    files = {}
    for path, file in held.files.items():
        entries = {key: _with_person(entry, known.get((key.kind, key.name))) for key, entry in file.entries.items()}
        files[path] = HeldFile(file.force, file.tip, entries)
    return Held(files)


def _with_person(entry: Entry, change: HeldChange | None) -> Entry:
    if change is None or entry.author.rightful:
        return entry
    author = Author(change.person, "recorded by an earlier version", change.revision, rightful=False)
    return replace(entry, values={"": author}, missing=change.missing, message=change.message)
