"""A script that says what it changes: policies, counts and resources see it like that of any other tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.core.results import Resource
from reconciler.core.runs import RunStatus
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine

KEEPS = """package stationkeeper
deny contains sprintf("%s would be deleted", [c.address]) if { some c in input.plan.changes; c.action == "delete" }
"""


def _change(address: str, action: str, **after: Any) -> dict[str, Any]:
    return {"address": address, "type": "record", "action": action, "after": after or None}


def _stack(ran: Path, *changes: dict[str, Any]) -> str:
    plan = json.dumps({"changes": changes})
    # The apply reads what was confirmed, whatever happened to the file since.
    hooks = {"before": {"init": ['echo a-long-secret > "$STATION_MASK"'], "apply": ['echo "{}" > "$STATION_PLAN"']}}
    apply = f'grep -o dns.[a-z]* "$STATION_PLAN" >> {ran}'
    return a_script("a", apply, plan='echo "$PLANNED" > "$STATION_PLAN"; exit 2', env={"PLANNED": plan}, hooks=hooks)


def test_a_script_that_names_its_changes(repo: Repo, machine: Machine, ran: Path) -> None:
    www, api = _change("dns.www", "create", ttl=60), _change("dns.api", "create", key="of a-long-secret")
    repo.commit(
        {"p.yaml": document("Policy", "keeps", {"type": "plan", "rego": KEEPS}), "a.yaml": _stack(ran, www, api)}
    )
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, ["dns.www", "dns.api"])
    assert look.runs[0].changes.create == 2

    def resources() -> list[Resource]:
        with machine.service.store.reading() as reading:
            return list(reading.resources(StackId.parse("root/a")))

    assert resources() == [
        Resource("dns.www", "record", "script", {"ttl": 60}),
        Resource("dns.api", "record", "script", {"key": "of ***"}),
    ]
    repo.commit({"a.yaml": _stack(ran, _change("dns.www", "update", ttl=300))})
    machine.reconcile()
    assert [each.attributes for each in resources()] == [{"ttl": 300}, {"key": "of ***"}]
    repo.commit({"a.yaml": _stack(ran, _change("dns.www", "delete"))})
    look = machine.reconcile()
    assert look.runs[0].status is RunStatus.FAILED
    assert "dns.www would be deleted" in look.runs[0].message
    assert len(resources()) == 2
