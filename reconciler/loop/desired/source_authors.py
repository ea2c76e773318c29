"""Who changed the sources of stacks: they count as authors, as those who change the configuration do.

`advance` asks for the stacks of each new generation. The commits between the source as it was desired before and as it
is now are walked, those of merged branches too, and of each its people count if it changed a file that the stack uses.
So do those whose commits are taken back, where a source goes to an earlier version.
A person who is wrongly named is only kept from approving; so names count where nothing proves them. The walk ends after
`MOST_COMMITS`, and what a commit changes is remembered. Of more commits than that in one push, those behind count as if
they changed everything: nobody hides a change behind many others.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from rbac.admission.settings import Rules
from rbac.identity import Person
from reconciler.core.reasons import Reason
from reconciler.core.state import Component, Desired, SourceCommit, StackProblem
from reconciler.core.succession import same_files
from reconciler.git.errors import GitError, GitReason
from reconciler.git.objects import CommitInfo
from reconciler.git.trees import Trees
from reconciler.loop.desired.persons import Persons
from reconciler.loop.desired.repositories import Places
from reconciler.loop.desired.sources import belongs
from reconciler.store.protocol import Store
from spaces.documents.documents import PlacedDocuments
from spaces.effective.stack import EffectiveStack, Layers, ResolvedSource, effective
from spaces.in_force import InForce
from spaces.model.repository import RepositorySpec, SourceIdentity
from spaces.names import Revision, StackId

_log = logging.getLogger(__name__)

MOST_COMMITS = 500
"""Of how many commits it is found out what they change."""
MOST_NAMED = 2000
"""Of how many more commits in one push everybody counts."""
_REMEMBERED = 4096
_WIDE = 2000
"""The most paths of a commit that are remembered."""

Walked = list[tuple[CommitInfo, frozenset[str] | None]]
"""Commits, newest first, each with the paths that it changed; None: they cannot be read, and it may be any."""


class _About(NamedTuple):
    """A walk: from `tip` back to `base`, which brought the source as it was; `followed` was the tip until now."""

    key: str
    base: Revision | None
    followed: Revision | None
    tip: Revision


@dataclass(slots=True)
class SourceAuthors:
    """Finds the people behind the sources of stacks. Only the loop's own thread asks."""

    store: Store
    places: Places
    persons: Persons
    rules: Rules
    _paths: OrderedDict[tuple[Revision, bool], frozenset[str]] = field(default_factory=OrderedDict)

    def credit(
        self,
        in_force: InForce,
        wanted: Mapping[StackId, Desired],
        moves: Iterable[tuple[StackId, StackId]],
        now: datetime,
    ) -> dict[StackId, Desired]:
        """Return the desired states with the commits that brought their sources, and with the people behind those."""
        credited = dict(wanted)
        outside = [stack for stack, desired in wanted.items() if _is_outside(desired)]
        before = self._before(outside, {new: old for old, new in moves})
        walks: dict[_About, Walked] = {}
        layers: Layers = {}
        for stack, desired in wanted.items():
            if desired.source is None:
                continue
            if not _is_outside(desired):
                credited[stack] = replace(desired, source=replace(desired.source, author=desired.person))
                continue
            old = before.get(stack)
            if old is not None and old.source is not None and same_files(old, desired):
                continue
            configured = effective(in_force.documents, stack, layers)
            try:
                credited[stack] = self._credit(in_force, configured, old, desired, walks, now)
            except GitError as error:
                message = f"who changed the source of {stack} cannot be read: {error.message}"
                credited[stack] = replace(
                    desired, problem=StackProblem(Reason.SOURCE_UNAVAILABLE, message), source=None
                )
        return credited

    def _before(self, stacks: Iterable[StackId], origins: Mapping[StackId, StackId]) -> dict[StackId, Desired]:
        asked = {origins.get(stack, stack): stack for stack in stacks}
        if not asked:
            return {}
        with self.store.reading() as reading:
            found = reading.peek(list(asked))
        return {asked[name]: state.desired for name, state in found.items() if state.desired is not None}

    def _credit(  # noqa: PLR0917
        self,
        in_force: InForce,
        configured: EffectiveStack,
        old: Desired | None,
        desired: Desired,
        walks: dict[_About, Walked],
        now: datetime,
    ) -> Desired:
        source, at = configured.source, desired.source
        key = self.places.world.index.repository_of(configured.id)
        assert source is not None and source.repository is not None and at is not None and key is not None  # noqa: S101, PT018
        trees = self.places.source_trees(key)
        base = old.source.revision if old is not None and old.source is not None else None
        followed = self.places.world.tips.get(key) if base is not None else None
        about = _About(key, base, followed if followed is not None and trees.has(followed) else None, at.revision)
        if about not in walks:
            walks[about] = self._walk(trees, about)
        entries = _entries(desired) | (_entries(old) if old is not None else frozenset())
        touching = [commit for commit, paths in walks[about] if _touches(paths, entries, source)]
        taken_back = self._taken_back(trees, about, walks) if base is not None else []
        undone = [commit for commit, paths in taken_back if _touches(paths, entries, source)]
        placed = in_force.documents.placed(source.repository)
        spec = placed.resource.spec if placed is not None else None
        evidence = spec.identity if isinstance(spec, RepositorySpec) else SourceIdentity.NAMED
        people = [self._people(commit, in_force.documents, evidence, now) for commit in touching]
        newest = touching[0].revision if touching else at.revision
        author = next(iter(people[0]), None) if people else None
        lost = (self._people(commit, in_force.documents, evidence, now) for commit in reversed(undone))
        oldest_first = [person for each in (*lost, *reversed(people)) for person in reversed(each)]
        alone = old is not None and not desired.authors and _rest(old) == _rest(desired)
        return replace(
            desired,
            source=SourceCommit(at.repository, newest, author),
            person=author if alone else desired.person or author,
            authors=tuple(dict.fromkeys((*oldest_first, *desired.authors))),
        )

    def _taken_back(self, trees: Trees, about: _About, walks: dict[_About, Walked]) -> Walked:
        """Return the commits that a source had and has no more: another tag, say, can lie before the last one."""
        base = about.base
        if base is None or not trees.has(base) or trees.is_ancestor(base, about.tip):
            return []
        back = _About(about.key, about.tip, None, base)
        if back not in walks:
            walks[back] = self._walk(trees, back)
        return walks[back]

    def _people(
        self, commit: CommitInfo, documents: PlacedDocuments, evidence: SourceIdentity, now: datetime
    ) -> Sequence[str]:
        """Name the people behind a commit; where access does not count yet, whoever it says that it is by."""
        if not self.rules.judges(documents):
            return [commit.author_email] if commit.author_email else []
        found = self.persons.authors(commit, documents, evidence, now)
        return list(dict.fromkeys(str(each.subject) for each in found if isinstance(each, Person)))

    def _walk(self, trees: Trees, about: _About) -> Walked:
        base, tip, behind = about.base, about.tip, 0
        if about.followed is None:
            commits = trees.commits_since(base, tip, MOST_COMMITS)
        else:
            # What was followed before changed nothing of the source, unless that uses now what it did not use then.
            commits = trees.commits_since(about.followed, tip, MOST_COMMITS + MOST_NAMED)
            behind = max(0, len(commits) - MOST_COMMITS)
            if not behind:
                commits += trees.commits_since(base, about.followed, MOST_COMMITS - len(commits))
        if behind:
            _log.warning(
                "the authors of %d commits behind the newest %d of %s count for every stack",
                behind,
                MOST_COMMITS,
                tip[:12],
            )
        near = commits[: len(commits) - behind]
        by_revision = {commit.revision: commit for commit in near}
        chain = set()
        here = by_revision.get(tip)
        while here is not None:
            chain.add(here.revision)
            here = by_revision.get(here.parents[0]) if here.parents else None
        walked: Walked = [(each, self._changed(trees, each, on_chain=each.revision in chain)) for each in near]
        return [*walked, *((each, None) for each in commits[len(near) :])]

    def _changed(self, trees: Trees, commit: CommitInfo, *, on_chain: bool) -> frozenset[str] | None:
        """Return what a commit changed: a merge on the branch all that it brings, another one what no parent has so."""
        known = self._paths.get((commit.revision, on_chain))
        if known is not None:
            self._paths.move_to_end((commit.revision, on_chain))
            return known
        parents: Sequence[Revision | None] = commit.parents[:1] if on_chain else commit.parents
        try:
            sides = [frozenset(trees.changed_paths(parent, commit.revision)) for parent in parents or (None,)]
        except GitError as error:
            # Such a commit counts as one that changes everything. A mirror that is damaged is fetched again.
            if error.reason not in {GitReason.TOO_MANY_FILES, GitReason.REVISION_NOT_FOUND}:
                raise
            return None
        paths = frozenset.intersection(*sides)
        if len(paths) <= _WIDE:
            self._paths[commit.revision, on_chain] = paths
            if len(self._paths) > _REMEMBERED:
                self._paths.popitem(last=False)
        return paths


def _is_outside(desired: Desired) -> bool:
    return desired.source is not None and desired.source.repository is not None


def _entries(desired: Desired) -> frozenset[str]:
    return frozenset(desired.fingerprint.components.get(Component.SOURCE, ()))


def _rest(desired: Desired) -> Mapping[Component, Mapping[str, str]]:
    """Return all that the configuration itself says, without the source's files."""
    return {name: items for name, items in desired.fingerprint.own.items() if name is not Component.SOURCE}


def _touches(paths: frozenset[str] | None, entries: frozenset[str], source: ResolvedSource) -> bool:
    return paths is None or any(belongs(path, entries, source) for path in paths)
