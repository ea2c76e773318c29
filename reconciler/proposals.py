"""Plans of what nobody has merged yet: a stack as a branch or commit of the configuration would have it.

The API calls `propose` once it knows that the caller may ask. What a merge would make of the stack is worked out in
`loop.desired.proposing`, which also says who may bring what into such a run.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core.dependencies import linked
from reconciler.core.diff import explain
from reconciler.core.identifiers import next_run_id
from reconciler.core.runs import ProposedRef, Run, RunEvent, RunKind, RunStatus
from reconciler.core.state import Desired, StackState
from reconciler.core.transition import new_run
from reconciler.queueing import not_held_up, not_leaving, not_locked, told
from reconciler.refusals import OperationRefused, Refusal, in_force
from reconciler.runs.audit import Asked
from reconciler.runs.outputs import given_by, parents_in
from reconciler.runs.transition import advance
from reconciler.store.protocol import Store
from spaces.model.pool import DEFAULT_POOL
from spaces.names import StackId


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a merge would make of a stack."""

    wanted: ProposedRef
    desired: Desired
    left_out: int = 0
    """How many other changes of it would be held."""


def propose(  # noqa: PLR0917
    store: Store, stack: StackId, proposal: Proposal | str, person: str, now: datetime, because: str = ""
) -> Run:
    """Queue a run that plans a stack as a branch or commit would have it, and applies nothing.

    `proposal` is a sentence where there is none: the request is refused with it. The run only looks: the stack goes on
    by its own runs, and the plan makes way for one that changes something.
    """
    with store.writing() as transaction:
        state, desired = transaction.stack(stack), None
        if state is not None:
            state, desired = in_force(transaction, stack)
        if isinstance(proposal, str):
            raise OperationRefused(Refusal.NOT_PROPOSABLE, proposal)
        if state is None or desired is None:
            state = StackState(stack, None)
        else:
            not_locked(state, now)
            not_leaving(state, desired)
        wanted = linked(proposal.desired, stack, given_by(transaction, parents_in([proposal.desired])))
        # A pool is a place, too, that a stack has only once somebody has merged it.
        wanted = replace(wanted, pool=desired.pool if desired is not None else DEFAULT_POOL)
        not_held_up(transaction, stack, wanted, RunKind.PROPOSED)
        for active in transaction.active_runs([stack]):
            if active.status is not RunStatus.UNCONFIRMED:
                raise OperationRefused(Refusal.ALREADY_RUNNING, f"{stack} already has run {active.id}: {active.status}")
        ref, asked = proposal.wanted, Asked(person, because, {"ref": proposal.wanted.ref})
        left_out = f"; {proposal.left_out} other changes of it would be held" if proposal.left_out else ""
        applied = state.applied.fingerprint if state.applied is not None else None
        run = new_run(
            state.evolve(why=explain(wanted.fingerprint, applied, lambda _was, _is: None)),
            wanted,
            next_run_id(state, now, secrets.token_bytes(10)),
            now,
            kind=RunKind.PROPOSED,
            person=person,
            proposes=ref,
            message=f"plan of {ref.ref} requested by {person}{left_out}",
        )
        return told(advance(transaction, state, run, RunEvent.QUEUE, now, asked))
