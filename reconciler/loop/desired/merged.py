"""When what a run applies was committed: from then on somebody waits for it."""

from __future__ import annotations

from reconciler.core.runs import Run
from reconciler.core.state import Component
from reconciler.git.errors import GitError
from reconciler.git.trees import Trees
from reconciler.loop.desired.follower import Follower
from spaces.names import Revision


def merged_at(follower: Follower, run: Run) -> float | None:
    """Return the time of the newest commit that a run applies, in seconds of UTC.

    None where no commit caused the run: somebody asked for it, or an output of another stack changed.
    """
    if not {why.component for why in run.why} - {Component.DEPENDENCIES}:
        return None
    # A commit of either can bring it about: one of the source, or one of the configuration that follows another tag.
    times = [_time(follower.configuration_trees(), run.revision)]
    if run.source is not None and run.source.repository is not None:
        times.append(_time(follower.source_trees_of(run.stack), run.source.revision))
    return max((time for time in times if time is not None), default=None)


def _time(trees: Trees | None, revision: Revision) -> float | None:
    try:
        return float(trees.commit(revision).time) if trees is not None else None
    except GitError:
        return None
