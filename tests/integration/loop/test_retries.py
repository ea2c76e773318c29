"""A tool that fails is tried again by the service, and each run says which retry it is."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from spaces.names import StackId
from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine


def wait_no_longer(machine: Machine, stack: str = "root/a") -> None:
    """Let the next retry be due now."""
    with machine.service.store.writing() as transaction:
        state = transaction.stack(StackId.parse(stack))
        assert state is not None
        assert state.due_at is not None
        assert state.due_at > utc_now()
        transaction.put_stacks([state.evolve(retry_at=utc_now(), due_at=utc_now())])


def test_a_plan_that_fails_is_tried_again_until_it_works(repo: Repo, machine: Machine, ran: Path) -> None:
    plan = f"echo x >> {ran}; [ $(wc -l < {ran}) = 3 ] && exit 2 || exit 7"
    repo.commit({"a.yaml": a_script("a", "true", plan=plan, retry={"limit": 2, "backoff": "1h"})})
    look = machine.reconcile()
    assert [(run.status, run.retry) for run in look.runs] == [(RunStatus.FAILED, 0)]
    assert look.stacks["root/a"].conditions["Reconciling"].reason == "Due"
    wait_no_longer(machine)
    assert [(run.status, run.retry) for run in machine.reconcile().runs] == [(RunStatus.FAILED, 1)]
    wait_no_longer(machine)
    look = machine.reconcile()
    assert [(run.status, run.retry) for run in look.runs] == [(RunStatus.FINISHED, 2)]
    assert look.sync == {"root/a": "Synced"}
