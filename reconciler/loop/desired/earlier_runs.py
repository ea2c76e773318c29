"""Which run of a stack was for what the stack was at a revision: by it a pin knows exactly what it means.

A run is made only for what was in force, so that nothing comes back by a pin that nobody had the right to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from reconciler.core.digest import fingerprint
from reconciler.core.runs import Run
from reconciler.core.state import Component, Fingerprint, StackProblem
from reconciler.loop.desired.earlier import EarlierStacks
from reconciler.loop.desired.sources import snapshot
from spaces.effective.stack import EffectiveStack, effective
from spaces.names import Revision, StackId

MOST_RUNS = 1000
"""How many runs of a stack are looked through, newest first."""

_ID = re.compile(r"[0-9a-f]{7,64}")
_NAMED = 5


def run_at(earlier: EarlierStacks, stack: StackId, at: str, runs: Sequence[Run]) -> Run | str:
    """Return the newest of the runs (newest first) that was for what a stack was; else why there is none, in words.

    `at`: a run's id, or the (abbreviated) id of a commit of the configuration or of the stack's source repository.
    """
    named = next((run for run in runs if run.id == at), None)
    if named is not None:
        return named
    if not _ID.fullmatch(at):
        return f"{at[:80]!r} is no revision (at least seven hexadecimal digits) and no run of {stack}"
    direct = next((run for run in runs if run.revision.startswith(at)), None)
    if direct is not None:
        return direct
    revision = earlier.places.config_trees().find(at)
    if revision is not None:
        return _same(earlier, stack, revision, runs)
    of_source = next((run for run in runs if run.source is not None and run.source.revision.startswith(at)), None)
    return of_source or f"there is no revision {at} in the configuration, nor did a run of {stack} have it as source"


def _same(earlier: EarlierStacks, stack: StackId, revision: Revision, runs: Sequence[Run]) -> Run | str:
    """Return the newest run that was for the same, though the commit that brought it was an earlier one."""
    there = False
    for commit in earlier.commits(revision):
        documents = earlier.state(commit).documents
        if documents.placed(stack.ref) is None:
            continue
        there = True
        found = effective(documents, stack)
        wanted = _seen(earlier, found, commit)
        match = next((run for run in runs if wanted is not None and _part(run.fingerprint, wanted) == wanted), None)
        if match is not None:
            return match
    if not there:
        return f"revision {revision[:12]} does not hold {stack}"
    known = ", ".join(_revisions(runs)) or "none"
    return (
        f"{stack} never had a run for what it is at revision {revision[:12]}; revisions that it had runs for: {known}"
    )


def _seen(
    earlier: EarlierStacks, stack: EffectiveStack, commit: Revision
) -> Mapping[Component, Mapping[str, str]] | None:
    """Return what a commit says of a stack; of a source elsewhere nothing, and None where its own cannot be read."""
    if stack.source is None or stack.source.repository is not None:
        return _part(fingerprint(stack, None))
    source = snapshot(stack, earlier.places.config_trees(), commit)
    return None if isinstance(source, StackProblem) else _part(fingerprint(stack, source))


def _part(marks: Fingerprint, like: Mapping[Component, object] | None = None) -> Mapping[Component, Mapping[str, str]]:
    """Return what of a fingerprint is compared: without policies, and without a source where `like` has none."""
    left_out = (
        {Component.POLICIES} if like is None or Component.SOURCE in like else {Component.POLICIES, Component.SOURCE}
    )
    return {part: dict(items) for part, items in marks.own.items() if items and part not in left_out}


def _revisions(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.revision[:12] for run in runs))[:_NAMED]
