"""A small installation in which every text that comes from outside is markup."""

from __future__ import annotations

from dataclasses import replace

from rbac.access.actions import Action as Right
from rbac.admission.held import HeldChange
from reconciler.core.conditions import assess
from reconciler.core.phases import Phase
from reconciler.core.results import Action, ChangeCounts, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.core.runs import Run, RunKind, RunStatus
from reconciler.core.state import Component, Need, Observed, SourceCommit, Why
from reconciler.core.verdicts import Judgement, Result, Review, Verdict
from reconciler.store.protocol import Store
from reconciler.store.provenances import ResourceAuthor
from reconciler.store.stored import AuditEvent, ConfigurationState
from spaces.documents.changes import Verb
from spaces.documents.documents import PlacedDocuments
from spaces.effective.stack import EffectiveStack, effective
from spaces.model.dependency import OutputUse
from spaces.names import Kind, ResourceRef, SpaceName
from spaces.validate import examine_files
from tests.factories import NOW, REVISION, a_desired, a_run, a_stack, a_stack_id, an_applied, an_outcome, record_results

CANARY = """<script>alert("xss")</script>'"><img src=x onerror=alert(1)> javascript:alert(1)"""
NETWORK, BASE, DRIFTED, SECRET = (
    a_stack_id(name) for name in ("production/network", "production/base", "production/drifted", "root/secret")
)
HELD = HeldChange(
    "held-1",
    ResourceRef(Kind.STACK, SpaceName("production"), "network"),
    Verb.UPDATE,
    f"user:{CANARY}",
    (Right.parse("stack:update"), SpaceName("production")),
    REVISION,
    CANARY,
    file=f"{CANARY}.yaml",
)
LOG = f"station[plan]: $ tofu plan\n{CANARY}\n\x1b[31m{CANARY}\x1b[0m\n".encode()
_FILES = {
    "production/space.yaml": "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {name: production}\n",
    "production/network.yaml": """\
apiVersion: stationkeeper/v1
kind: Stack
metadata: {name: network, space: production}
spec:
  tool: script
  script: {apply: "true"}
  env:
    MARKUP: '<script>alert("xss")</script>'
    TOKEN: {file: token}
  files: {note.txt: "<script>\\n</script>\\n"}
  hooks: {before: {plan: ["echo '<img src=x onerror=alert(1)>'"]}}
""",
}


def documents() -> PlacedDocuments:
    """Give the documents of the network."""
    examined = examine_files({path: text.encode() for path, text in _FILES.items()})
    assert not examined.diagnostics, examined.diagnostics
    return examined.documents


def configuration() -> EffectiveStack:
    """Give the effective configuration of the network."""
    return effective(documents(), NETWORK)


def put_fleet(store: Store) -> dict[str, Run]:
    """Store stacks with a waiting, a failed and a finished run, and something held."""
    change = ResourceChange(CANARY, CANARY, CANARY, Action.DELETE, {CANARY: CANARY, "t": f"{CANARY}\n{CANARY}"}, None)
    waiting = a_run(
        NETWORK,
        status=RunStatus.UNCONFIRMED,
        phase=Phase.PLAN,
        reason="WaitsForConfirmation",
        message=CANARY,
        person=f"user:{CANARY}",
        why=(Why(Component.SPEC, CANARY),),
        changes=ChangeCounts(delete=1, outputs=1),
        source=SourceCommit("production/infra", REVISION, f"user:{CANARY}"),
        needs_confirmation=True,
        phase_seconds={Phase.PLAN: 1.5},
        attempt=1,
    )
    failed = a_run(BASE, status=RunStatus.FAILED, reason="ToolFailed", message=CANARY, phase=Phase.APPLY)
    found = Planned(has_changes=True, changes=(replace(change, action=Action.UPDATE, after={CANARY: [CANARY]}),))
    check = a_run(DRIFTED, kind=RunKind.DRIFT, status=RunStatus.FINISHED, reason="Drifted", phase=Phase.PLAN)
    drifted = a_stack(DRIFTED, applied=an_applied(), observed=Observed(check.id, NOW, check.digest, drifted=1))
    secret = a_run(SECRET, status=RunStatus.UNCONFIRMED, message="most-secret")
    network = a_stack(
        NETWORK,
        desired=a_desired(
            labels={"owner": CANARY},
            autodeploy=False,
            needs=(Need(BASE, {"vpc": OutputUse(env="VPC")}),),
            digest=waiting.digest,
        ),
        last=an_outcome(run=waiting.id, status="unconfirmed", message=CANARY),
    )
    base = a_stack(BASE, applied=an_applied(), last=an_outcome(run=failed.id, status="failed", message=CANARY))
    states = [
        assess(network, waiting, (Why(Component.SPEC, CANARY),), NOW),
        assess(base.evolve(failed=base.last), None, (), NOW),
        assess(drifted, None, (), NOW),
        assess(a_stack(SECRET), secret, (), NOW),
    ]
    with store.writing() as transaction:
        transaction.put_stacks(states)
        transaction.put_dependencies({NETWORK: [BASE]})
        transaction.add_runs([waiting, failed, check, secret])
        transaction.record_plans({check.id: found})
        outputs = (OutputChange(CANARY, Action.UPDATE, CANARY, CANARY + CANARY),)
        transaction.record_plans(
            {waiting.id: Planned(has_changes=True, changes=(change,), outputs=outputs, facts={CANARY: [CANARY]})}
        )
        verdict = Verdict(f"production/{CANARY}", "plan", True, Result.WARN, (CANARY,), (CANARY,))
        transaction.record_judgement(waiting.id, Judgement(waiting.digest, None, 1, NOW, (verdict,)))
        transaction.put_review(waiting.id, Review(f"user:{CANARY}", True, CANARY, NOW))
        transaction.record_logs({failed.id: LOG})
        resource = Resource(CANARY, CANARY, CANARY, {CANARY: CANARY, "id": CANARY, "health": {"status": "failed"}})
        record_results(
            transaction,
            NETWORK,
            [resource],
            [Output(CANARY, CANARY), Output("password", "hunter2-hunter2", sensitive=True)],
            ResourceAuthor(waiting.id, named=False),
        )
        record_results(transaction, DRIFTED, [resource, Resource("same", "t", "p")], [])
        record_results(transaction, SECRET, [Resource("most.secret", "t", "p"), resource], [])
        transaction.put_held_changes([HELD], NOW)
        details = {"stack": CANARY, "run": CANARY, "revision": CANARY, "policy": CANARY, "result": CANARY, "x": CANARY}
        transaction.append_audit([AuditEvent("policy-decided", NOW, f"user:{CANARY}", {**details, "because": CANARY})])
        broken = {"severity": "error", "code": "x", "summary": CANARY, "hint": CANARY, "file": CANARY, "line": 3}
        transaction.put_configuration(ConfigurationState(diagnostics=(broken | {"column": 1},)))
    return {"waiting": waiting, "failed": failed, "secret": secret}
