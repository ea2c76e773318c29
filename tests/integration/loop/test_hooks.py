"""What hooks of documents say and learn, in runs of the whole service."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler import operations
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine

NOT_DEAR = """package stationkeeper
deny contains sprintf("%d a month", [input.facts.cost.monthly]) if input.facts.cost.monthly > 100
deny contains "nobody knows what it costs" if not input.facts.cost
"""


def _asks(cost: int) -> dict[str, dict[str, list[str]]]:
    return {"after": {"plan": [f'echo \'{{"monthly": {cost}}}\' > "$STATION_FACTS/cost.json"']}}


def test_policies_see_the_facts_of_hooks(repo: Repo, machine: Machine) -> None:
    repo.commit(
        {
            "p.yaml": document("Policy", "cost", {"type": "plan", "rego": NOT_DEAR}),
            "dear.yaml": a_script("dear", "true", hooks=_asks(101)),
            "cheap.yaml": a_script("cheap", "true", hooks=_asks(100), autodeploy=False),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/dear": "failed", "root/cheap": "unconfirmed"}
    dear = next(run for run in look.runs if run.status is RunStatus.FAILED)
    assert dear.message == "policy root/cost denies it: 101 a month"
    machine.confirm("root/cheap")
    assert machine.reconcile().ran == {"root/cheap": "finished"}


def test_hooks_and_tools_learn_which_run_it_is_and_nothing_of_that_starts_one(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    words = ("SPACE", "STACK", "RUN_KIND", "BRANCH", "REVISION", "PERSON", "LABELS")
    say = " ".join(f'"$STATION_{word}"' for word in words)
    hooks = {"before": {"destroy": [f"printf '%s\\n' {say} > {ran}"]}}
    stack = a_script(
        "a", f"printf '%s\\n' {say} > {ran}", destroy="true", hooks=hooks, labels={"tier": "web", "a": "b"}
    )
    revision = repo.commit({"a.yaml": stack})
    machine.reconcile()
    *others, labels = lines(ran)
    assert others[:5] == ["root", "root/a", "tracked", "main", revision]
    assert json.loads(labels) == {"a": "b", "tier": "web"}
    repo.commit({"other.txt": "a later revision"})
    assert machine.reconcile().ran == {}
    operations.request_destroy(machine.service.store, StackId.parse("root/a"), "ada", utc_now())
    machine.reconcile()
    machine.confirm("root/a")
    machine.reconcile()
    assert lines(ran)[2] == "destroy"
    assert lines(ran)[5] == "ada"


def test_a_hook_sets_what_takes_over_only_where_its_own_document_does(repo: Repo, machine: Machine, ran: Path) -> None:
    machine.restart(env_takeover_allowed=("PYTHONPATH",))
    sets = {"before": {"init": ['echo PYTHONPATH=/by-hook >> "$STATION_ENV"']}}
    env = {"PYTHONPATH": "/by-document"}
    repo.commit(
        {
            "own.yaml": a_script("own", f"echo $PYTHONPATH >> {ran}", env=env, hooks=sets),
            "c.yaml": document("Context", "c", {"hooks": sets}),
            "other.yaml": a_script("other", "true", env=env, contexts=["c"]),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/own": "finished", "root/other": "failed"}
    assert lines(ran) == ["/by-hook"]
    assert "takes over a process" in look.stacks["root/other"].conditions["Ready"].message


def test_what_hooks_said_waits_with_the_run(repo: Repo, machine: Machine, ran: Path) -> None:
    said = 'T="a-$((41 + 1))-token"; echo "TOKEN=$T" >> "$STATION_ENV"; echo "$T" >> "$STATION_MASK"'
    hooks = {"before": {"init": [said]}}
    repo.commit({"a.yaml": a_script("a", f"echo $TOKEN | tee {ran}", hooks=hooks, autodeploy=False)})
    machine.reconcile()
    kept = [path.read_bytes() for path in machine.settings.data_dir.rglob("*") if path.is_file()]
    assert not any(b"a-42-token" in data for data in kept)
    machine.restart()
    machine.confirm("root/a")
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, ["a-42-token"])
    assert "a-42-token" not in machine.log(look.runs[0])
    task = f'echo "task $TOKEN" | tee {ran}'
    operations.request_task(machine.service.store, StackId.parse("root/a"), task, "user:ada", utc_now())
    look = machine.reconcile()
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, ["task a-42-token"])
    assert "a-42-token" not in machine.log(look.runs[0])
