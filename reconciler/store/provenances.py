"""Which run made a resource, and which changed it last: kept with the resource, from what plans name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Self

from sqlalchemy import Select, select

from reconciler.core.results import Action, ResourceChange
from reconciler.core.runs import RunId
from reconciler.store.bases import ReadingBase
from reconciler.store.selecting import among_keys, bind_keys, is_stack
from reconciler.store.stored import Provenance
from reconciler.store.tables import resources, stacks
from reconciler.store.texts import cleaned
from spaces.names import StackId

_MAKES = frozenset({Action.CREATE, Action.REPLACE})
_CHANGES = frozenset({Action.UPDATE, Action.IMPORT, Action.MOVE})


@dataclass(frozen=True, slots=True)
class ResourceAuthor:
    """A run that applied a plan, and which resources it made or changed, by address."""

    run: RunId
    made: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    origins: Mapping[str, str] = field(default_factory=dict)
    """Where resources were before that have another address now."""
    named: bool = True
    """Whether the plan names changes. Otherwise what is new or differs counts as the run's."""

    @classmethod
    def of(cls, run: RunId, changes: Iterable[ResourceChange]) -> Self:
        """Return the author of planned changes."""
        found = [change for change in changes if change.action is not Action.READ]
        return cls(
            run,
            frozenset(cleaned(change.address) for change in found if change.action in _MAKES),
            frozenset(cleaned(change.address) for change in found if change.action in _CHANGES),
            {cleaned(change.address): cleaned(change.moved_from) for change in found if change.moved_from is not None},
            bool(found),
        )


class KnownProvenance(NamedTuple):
    """What is known of a resource so far."""

    made: str | None
    changed: str | None
    attributes: str


def provenance(
    before: Mapping[str, KnownProvenance], author: ResourceAuthor | None, address: str, attributes: str
) -> dict[str, str | None]:
    """Return the columns of a resource after a run."""
    if author is None:
        return {"made": None, "changed": None}
    address = cleaned(address)
    old = before.get(author.origins.get(address, address))
    if address in author.made or (old is None and not author.named):
        return {"made": author.run, "changed": author.run}
    differs = address in author.changed or (old is not None and not author.named and old.attributes != attributes)
    changed = author.run if differs else old.changed if old is not None else None
    return {"made": old.made if old is not None else None, "changed": changed}


class ProvenanceReading(ReadingBase):
    """The questions about where resources come from, for a `Reading`."""

    def provenance(self, stack: StackId, address: str) -> Provenance | None:
        """Return which runs made a resource and changed it last; None: the stack has no such resource."""
        query = select(resources.c.made, resources.c.changed).join_from(
            resources, stacks, stacks.c.id == resources.c.stack_id
        )
        row = self._connection.execute(query.where(is_stack(stack), resources.c.address == cleaned(address))).first()
        if row is None:
            return None
        return Provenance.of(row.made, row.changed)

    def _provenances(self, keys: Collection[int]) -> dict[int, dict[str, KnownProvenance]]:
        """Return what is known of the resources of stacks, by the stack's key and the address."""
        found: dict[int, dict[str, KnownProvenance]] = {}
        for key, address, *rest in (
            self._connection.execute(_known(self._dialect), bind_keys(self._dialect, keys)) if keys else ()
        ):
            found.setdefault(key, {})[address] = KnownProvenance(*rest)
        return found


@cache
def _known(dialect: str) -> Select[Any]:
    columns = (resources.c.address, resources.c.made, resources.c.changed, resources.c.attributes)
    return select(resources.c.stack_id, *columns).where(among_keys(dialect, resources.c.stack_id))
