"""What to change in Git so that it says what the real world has, read in the repositories that the service follows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from reconciler.adopting.finding import Adoption, Clone, Difference, Finding
from reconciler.git.errors import GitError
from reconciler.git.trees import Trees
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.world import SourceLocation, World
from spaces.names import Revision, StackId


def adoptions(world: World, places: Places, stack: StackId, differences: Iterable[Difference]) -> list[Adoption]:
    """Return what to change for each difference, where the configuration and the stack's source are in force now."""
    in_force, found, finding = world.in_force, world.effective(stack), Finding()
    if in_force is not None and found is not None:
        place = places.locate(in_force, found)
        source = clone_of(place.trees, place.revision) if isinstance(place, SourceLocation) else None
        here = clone_of(places.config_trees(), in_force.revision)
        finding = Finding(found, in_force.documents, here, source)
    return [adoption for each in differences for adoption in finding.adoptions(each)]


def clone_of(trees: Trees, revision: Revision) -> Clone:
    """Return the files of a commit as text."""
    return Clone(lambda directory: trees.match(revision, [directory]), partial(text_of, trees, revision))


def text_of(trees: Trees, revision: Revision, file: str) -> str | None:
    """Return a file of a commit as text; None where there is none."""
    try:
        return trees.read(revision, file).decode()
    except (GitError, UnicodeDecodeError):
        return None
