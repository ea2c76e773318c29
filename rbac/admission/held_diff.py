"""The diff of a held change: a document as it is in force, against the same document on the branch.

The API shows it beside the change. A held document never changes other documents of its file, so they are not shown.
"""

from __future__ import annotations

from difflib import unified_diff

from rbac.admission.entries import Entry, Held
from spaces.diagnostics import printable
from spaces.reading.texts import DocumentKey, split


def held_diff(held: Held, change: str) -> str | None:
    """Return the diff of a held change by its id, with what comes into force together; None if it is about a source.

    Lines end with a newline; the format is that of `diff -u`, with three lines of context.
    """
    entry = next((each for each in held if held.id_of(each) == change), None)
    if entry is None:
        return None
    others = (held.get(unit) for unit in sorted(held.together([entry.unit])) if unit != entry.unit)
    return "".join(_diff(held, each) for each in (entry, *others) if each is not None)


def _diff(held: Held, entry: Entry) -> str:
    path, key = printable(entry.unit.path), entry.unit.key
    file = held.files[entry.unit.path]
    before, after = _lines(file.force, key), _lines(file.tip, key)
    lines = unified_diff(before, after, f"in force/{path}", f"branch/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _lines(data: bytes | None, key: DocumentKey) -> list[str]:
    text = next((each.text for each in split(data) if each.key == key), b"")
    return text.decode(errors="replace").splitlines(keepends=True)
