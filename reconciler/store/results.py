"""What legs leave behind: plans, and the resources and outputs of stacks.

Many stacks are written with as many statements as one, so that the ends of many legs can be recorded together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, delete, select, update

from reconciler.core.resources import identity
from reconciler.core.results import Output, Planned, Resource
from reconciler.core.runs import RunId
from reconciler.store import dependency_statements, records, statements, tables
from reconciler.store.bases import WritingBase
from reconciler.store.dependencies import DependencyReading
from reconciler.store.provenances import KnownProvenance, ProvenanceReading, ResourceAuthor, provenance
from reconciler.store.selecting import among_ids, among_keys, bind_ids, bind_keys, bind_stacks
from reconciler.store.stored import CannotUnseal
from reconciler.store.texts import canonical, cleaned, dump, load, unpack
from spaces.names import SpaceName, StackId


@dataclass(frozen=True, slots=True)
class StackResults:
    """What there is of a stack after a leg. `resources` None: unknown, none listed; `author`: whose they are."""

    stack: StackId
    resources: Sequence[Resource] | None
    outputs: Sequence[Output]
    author: ResourceAuthor | None = None


class ResultReading(DependencyReading, ProvenanceReading):
    """The questions about what legs left behind, for a `Reading`."""

    def planned(self, run: RunId) -> Planned | None:
        """Return the result of a run's plan; None if it has none yet."""
        return self.plans([run]).get(run)

    def plans(self, wanted: Collection[RunId]) -> dict[RunId, Planned]:
        """Return the results of the plans of those runs that have one."""
        if not wanted:
            return {}
        found = self._connection.execute(_plans(self._dialect), bind_ids(self._dialect, wanted))
        return {RunId(run): records.planned_from_json(load(unpack(body).decode())) for run, body in found}

    def outputs(self, stack: StackId) -> list[Output]:
        """Return the outputs, sensitive ones decrypted."""
        found = self._connection.execute(statements.OUTPUTS, statements.bind_stack(stack))
        return [self._output(row) for row in found]

    def _output(self, row: Row[Any]) -> Output:
        if row.sealed is None:
            return Output(row.name, load(row.value))
        plain = self._keys.open(row.sealed, "outputs", row.stack_id, row.name)
        return Output(row.name, load(plain.decode()), sensitive=True)


class ResultWriting(ResultReading, WritingBase):
    """The changes of what legs left behind, for a `Transaction`."""

    def record_plans(self, plans: Mapping[RunId, Planned]) -> None:
        """Store the results of plans."""
        bodies = {run: dump(records.planned_to_json(planned)).encode() for run, planned in plans.items()}
        self._replace(tables.plans, bodies)

    def record_results(self, results: Sequence[StackResults]) -> None:
        """Replace the resources and outputs of stacks, each named once."""
        if not results:
            return
        keys = self._keys_of({each.stack for each in results})
        authored = [keys[each.stack] for each in results if each.resources and each.author is not None]
        before = self._provenances(authored)
        known = self._known_outputs([each.stack for each in results if each.outputs])
        for table in (tables.resources, tables.outputs):
            self._connection.execute(_forget(self._dialect, table), bind_keys(self._dialect, keys.values()))
        counts = [{"key": keys[each.stack], "count": len(each.resources or ())} for each in results]
        self._connection.execute(_COUNT_RESOURCES, counts)
        rows = [row for each in results for row in _resource_rows(keys[each.stack], each, before)]
        if rows:
            self._connection.execute(tables.resources.insert(), rows)
        rows = [row for each in results for row in self._output_rows(keys[each.stack], each, known)]
        if rows:
            self._connection.execute(tables.outputs.insert(), rows)

    def _known_outputs(self, wanted: Sequence[StackId]) -> dict[StackId, dict[str, tuple[bytes, str]]]:
        """Return the values of outputs, and their marks, by name; of a stack of which none can be read, nothing."""
        if not wanted:
            return {}
        known: dict[StackId, dict[str, tuple[bytes, str]]] = {}
        lost = set()
        query = dependency_statements.outputs(self._dialect)
        for row in self._connection.execute(query, bind_stacks(self._dialect, wanted)):
            stack = StackId(SpaceName(row.space), row.stack_name)
            try:
                output = canonical(self._output(row).value), row.mark or self._mark(row)
            except CannotUnseal:
                lost.add(stack)
            else:
                known.setdefault(stack, {})[row.name] = output
        return {stack: outputs for stack, outputs in known.items() if stack not in lost}

    def _output_rows(
        self, key: int, results: StackResults, known: Mapping[StackId, Mapping[str, tuple[bytes, str]]]
    ) -> list[dict[str, Any]]:
        before = known.get(results.stack, {})
        return [
            self._output_row(key, position, output, before.get(cleaned(output.name)))
            for position, output in enumerate(results.outputs)
        ]

    def _output_row(self, key: int, position: int, output: Output, before: tuple[bytes, str] | None) -> dict[str, Any]:
        name, value, same = cleaned(output.name), dump(output.value), canonical(output.value)
        # A mark stays as long as the value does, even when the key that makes marks changes.
        mark = before[1] if before is not None and before[0] == same else self._keys.mark(same)
        sealed = self._seal(value.encode(), "outputs", key, name) if output.sensitive else None
        shown = None if output.sensitive else value
        return {
            "stack_id": key,
            "position": position,
            "name": name,
            "value": shown,
            "sealed": sealed,
            "mark": mark,
        }


def _resource_rows(
    key: int, results: StackResults, before: Mapping[int, Mapping[str, KnownProvenance]]
) -> list[dict[str, Any]]:
    return [
        {
            "stack_id": key,
            "position": position,
            "address": cleaned(resource.address),
            "type": cleaned(resource.type),
            "provider": cleaned(resource.provider),
            "attributes": (attributes := dump(dict(resource.attributes))),
            "identity": cleaned(known) if (known := identity(resource)) is not None else None,
            **provenance(before.get(key, {}), results.author, resource.address, attributes),
        }
        for position, resource in enumerate(results.resources or ())
    ]


@cache
def _plans(dialect: str) -> Select[Any]:
    return select(tables.plans.c.run_id, tables.plans.c.body).where(among_ids(dialect, tables.plans.c.run_id))


@cache
def _forget(dialect: str, table: Table) -> Any:
    return delete(table).where(among_keys(dialect, table.c.stack_id))


_COUNT_RESOURCES = (
    update(tables.stacks)
    # Most runs leave as many as there were, and a row that is written is a row to tidy up.
    .where(tables.stacks.c.id == bindparam("key"), tables.stacks.c.resources != bindparam("count"))
    .values(resources=bindparam("count"))
)
