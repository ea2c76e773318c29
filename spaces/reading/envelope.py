"""What every document has around its spec: apiVersion, kind and metadata.

Each function yields or returns the problems of one part of a document as written; the spec's own are its model's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spaces.model.base import Problem
from spaces.model.explain import did_you_mean, dotted, shape_of
from spaces.model.kinds import SPECS
from spaces.model.role import RESERVED_NAMES
from spaces.names import Kind

_KEYS = ("apiVersion", "kind", "metadata", "spec")
_KIND_OF = {kind.value: kind for kind in Kind}


def outer_problems(raw: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a document's own keys."""
    for key in raw:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or f"known are {', '.join(_KEYS)}"
            yield Problem((key,), "unknown-key", f"{dotted((key,))} is not known", hint, at_key=True)
    if "metadata" not in raw:
        yield Problem((), "missing-key", "metadata is missing", "it needs at least metadata.name")
    elif not isinstance(raw["metadata"], dict):
        summary = f"metadata must be a mapping, is {shape_of(raw['metadata'])}"
        yield Problem(("metadata",), "wrong-type", summary, at_key=True)
    if not isinstance(raw.get("spec"), dict | None):
        yield Problem(("spec",), "wrong-type", f"spec must be a mapping, is {shape_of(raw['spec'])}", at_key=True)


def kind_of(raw: dict[str, Any]) -> tuple[Kind | None, list[Problem]]:
    """Return the kind that a document names, or None and why it is none."""
    if "kind" not in raw:
        return None, [Problem((), "missing-key", "kind is missing", f"one of {', '.join(SPECS)}")]
    word = raw["kind"]
    if not isinstance(word, str):
        return None, [Problem(("kind",), "wrong-type", f"kind must be text, is {shape_of(word)}")]
    kind = _KIND_OF.get(word)
    if kind is None:
        hint = did_you_mean(word, list(Kind)) or f"one of {', '.join(SPECS)}"
        return None, [Problem(("kind",), "unknown-kind", f"the kind {word[:80]!r} is not known", hint)]
    return kind, []


def metadata_problems(kind: Kind, raw: dict[str, Any]) -> Iterator[Problem]:
    """Yield what the metadata of this kind cannot say."""
    if kind is Kind.SPACE and "space" in raw:
        summary, hint = "a Space has no metadata.space", "name its parent in spec.parent"
        yield Problem(("metadata", "space"), "invalid-value", summary, hint, at_key=True)
    if isinstance(raw.get("name"), str) and raw["name"] in RESERVED_NAMES.get(kind, ()):
        summary = f"the {kind} {raw['name']} is built in"
        yield Problem(("metadata", "name"), "reserved-name", summary, "give it another name")
    if kind is not Kind.STACK and "movedFrom" in raw:
        summary = f"metadata.movedFrom is for stacks; this is a {kind}"
        yield Problem(("metadata", "movedFrom"), "invalid-value", summary, "leave it out", at_key=True)
