"""A plan as JSON, the same shape for every tool: what policies get as `input.plan`, and hooks in `$STATION_PLAN`.

The run's own process imports this module, so it stays on the standard library.
"""

from __future__ import annotations

from typing import Any

from reconciler.core.results import OutputChange, Planned, ResourceChange


def plan_to_json(planned: Planned) -> dict[str, Any]:
    """Return the changes and the changed outputs, documented in docs/policies.md. The shape only ever grows."""
    return {
        "changes": [_change(change) for change in planned.changes],
        "outputs": [_output(change) for change in planned.outputs],
    }


def _change(change: ResourceChange) -> dict[str, Any]:
    return {
        "address": change.address,
        "type": change.type,
        "provider": change.provider,
        "action": change.action.value,
        "before": change.before,
        "after": change.after,
        "movedFrom": change.moved_from,
        "importedId": change.imported_id,
    }


def _output(change: OutputChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "action": change.action.value,
        "before": change.before,
        "after": change.after,
        "sensitive": change.sensitive,
    }
