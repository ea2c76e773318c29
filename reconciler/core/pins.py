"""What a stack is and was, as hashes: by them a pin finds an earlier revision again, and learns of changes since then.

`loop.desired.pinning` asks.
"""

from __future__ import annotations

from reconciler.core.digest import short_hash
from reconciler.core.state import Component, Desired, Fingerprint, Need

_ELSEWHERE = frozenset({Component.CONTEXTS, Component.INTEGRATIONS, Component.POLICIES})
"""What other documents say: the rest of the branch may go on without an end of the pin."""


def mark_of(fingerprint: Fingerprint) -> str:
    """Hash what a stack is: all that goes into its runs, but for policies, which are always those of the moment."""
    parts = fingerprint.own.items()
    return short_hash({part: dict(items) for part, items in parts if items and part is not Component.POLICIES})


def branch_mark(desired: Desired) -> str:
    """Hash what the branch says of a stack itself: its document, and behind a colon its source.

    Nothing is behind the colon while the source cannot be read.
    """
    parts = desired.fingerprint.own.items()
    own = {part: dict(items) for part, items in parts if part not in _ELSEWHERE and part is not Component.SOURCE}
    needs = [_said(need) for need in sorted(desired.needs, key=lambda need: str(need.parent))]
    source = desired.fingerprint.components.get(Component.SOURCE)
    seen = "" if desired.lacks_source else short_hash(dict(source) if source is not None else None)
    return f"{short_hash([own, needs])}:{seen}"


def _said(need: Need) -> list[object]:
    uses = {output: use.model_dump(exclude_none=True) for output, use in need.outputs.items()}
    return [str(need.parent), need.always, uses]


def went_on(before: str, after: str) -> bool:
    """Whether the branch changed a stack between two of its `branch_mark`s."""
    (document, source), (document_now, source_now) = (mark.split(":") for mark in (before, after))
    return document != document_now or ("" not in {source, source_now} and source != source_now)
