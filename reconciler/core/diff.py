"""Desired against applied: which components differ, and what in them, in words.

Asked when a generation is recorded (`loop.desired.record`), when the outputs of other stacks change (`runs.outputs`),
and about what is not in force (`proposals`, `loop.preview`). `conditions.assess` keeps the answer as `StackState.why`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from reconciler.core.state import OUTPUT_TO, VERSION, Component, Fingerprint, Why, is_noted

CountFiles = Callable[[str, str], int | None]
"""How many files differ between two Git objects; None where one of them is no longer there to look at."""

_APPLIED = "an apply"
"""For a stack that runs each time that the other one is applied."""
_SHOWN = 3
"""How many single items a summary names before it only counts the rest."""


def explain(desired: Fingerprint, applied: Fingerprint | None, count_files: CountFiles) -> tuple[Why, ...]:
    """Return why a stack is out of sync; empty where the fingerprints are equal. `applied` None: it is new."""
    if applied is None:
        return (Why(Component.SPEC, "new stack"),)
    reasons: list[Why] = []
    for component in Component:
        new = desired.components.get(component, {})
        old = applied.components.get(component, {})
        if new != old:
            reasons.extend(Why(component, summary) for summary in _summaries(component, old, new, count_files))
    return tuple(reasons)


def _summaries(  # noqa: PLR0911 - a case for each component
    component: Component, old: Mapping[str, str], new: Mapping[str, str], count_files: CountFiles
) -> list[str]:
    """Word the differences of one component."""
    items = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    match component:
        case Component.SOURCE:
            return _some([_source(path, old.get(path), new.get(path), count_files) for path in items])
        case Component.CONTEXTS:
            return _by_document("context", items, old, new)
        case Component.TOOL:
            return [f"tool {item}" + _change(old.get(item), new.get(item)) for item in items]
        case Component.BLUEPRINT:
            items = [item for item in items if not is_noted(item)]
            return [_with_version(summary, old, new) for summary in _by_document("blueprint", items, old, new)]
        case Component.DEPENDENCIES:
            return _by_parent(items, old, new)
        case Component.POLICIES:
            return _some([f"policy {item}" + (_verb(old.get(item), new.get(item)) or " changed") for item in items])
        case Component.INTEGRATIONS:
            return _by_document("integration", items, old, new)
        case Component.SPEC:
            return [", ".join(_some([item + _verb(old.get(item), new.get(item)) for item in items]))]
        case _:
            assert_never(component)


def _source(path: str, old: str | None, new: str | None, count_files: CountFiles) -> str:
    place = path or "the repository's root"
    if old is None:
        return f"{place} added"
    if new is None:
        return f"{place} no longer used"
    files = count_files(old, new)
    if files is None:
        return f"{place} changed"
    return f"{files} file{'' if files == 1 else 's'} under {place}"


def _by_document(word: str, items: list[str], old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Group "space/name env KEY" items into one summary per document."""
    was, now = ({each.partition(" ")[0] for each in side} for side in (old, new))
    grouped: dict[str, list[str]] = {}
    for item in items:
        document, _, rest = item.partition(" ")
        verb = _verb(old.get(item), new.get(item)) if document in was and document in now else ""
        grouped.setdefault(document, []).append(rest + verb)
    told = []
    for document, words in grouped.items():
        if document not in now:
            told.append(f"{word} {document} no longer used")
        else:
            newly = "" if document in was else " now used"
            told.append(f"{word} {document}{newly}: {', '.join(_some(words))}")
    return told


def _with_version(summary: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Put the versions behind the blueprint's name, where they are two: "blueprint platform/web 1 -> 2: env SIZE"."""
    blueprint, _, rest = summary.partition(": ")
    item = f"{blueprint.partition(' ')[2]} {VERSION}"
    before, after = old.get(item), new.get(item)
    return f"{blueprint} {before} -> {after}: {rest}" if before and after and before != after else summary


def _by_parent(items: list[str], old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Group "space/name OUTPUT -> VARIABLE" items into one summary for each stack that gives outputs."""
    grouped: dict[str, list[str]] = {}
    for item in items:
        parent, _, rest = item.partition(" ")
        output, goes, _ = rest.partition(OUTPUT_TO)
        what = f"output {output}" if goes else _APPLIED
        grouped.setdefault(parent, []).append(what + _verb(old.get(item), new.get(item)))
    return [f"dependency {parent}: {', '.join(_some(rest))}" for parent, rest in grouped.items()]


def _verb(old: str | None, new: str | None) -> str:
    if old is None:
        return " added"
    return " removed" if new is None else ""


def _change(old: str | None, new: str | None) -> str:
    return f": {old or 'any'} -> {new or 'any'}"


def _some(words: list[str]) -> list[str]:
    """Keep a summary short."""
    return words if len(words) <= _SHOWN + 1 else [*words[:_SHOWN], f"{len(words) - _SHOWN} more"]
