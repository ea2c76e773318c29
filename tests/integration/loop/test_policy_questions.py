"""Policies are asked beside the loop."""

from __future__ import annotations

import threading

from reconciler.core.results import Action, Planned, ResourceChange
from reconciler.core.runs import RunStatus
from reconciler.core.verdicts import Result
from reconciler.loop.policies.inquiries import Inquiries
from reconciler.loop.policies.plan import PlanQuestion
from reconciler.policies.inputs import Case
from spaces.effective.policies import Guardrail, Surroundings
from spaces.model.policy import PolicySpec, PolicyType
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.reading.rego import RegoText
from tests.e2e.station import eventually
from tests.factories import NOW, a_run

ENDLESS = (
    "package stationkeeper\ndeny contains i if { some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); "
    "some k in numbers.range(1, 9000); i * j * k == 0.5 }"
)
QUICK = 'package stationkeeper\ndeny contains "no"\n'


def _question(rego: str, run) -> PlanQuestion:
    text = RegoText(PolicyType.PLAN, rego)
    guardrail = Guardrail(ResourceRef(Kind.POLICY, ROOT, "p"), PolicySpec(type=PolicyType.PLAN, rego=rego), text)
    planned = Planned(True, (ResourceChange("a", "b", "c", Action.CREATE),))
    space = Surroundings(SpaceName("root"), {}, (ROOT,))
    case = Case(run, "script", {}, space, planned, None, (), frozenset(), NOW)
    return PlanQuestion((guardrail,), case, "plan")


def test_a_slow_policy_does_not_keep_the_others_waiting() -> None:
    rung = threading.Event()
    inquiries = Inquiries(rung.set)
    slow, quick = a_run("root/slow", status=RunStatus.UNCONFIRMED), a_run("root/quick", status=RunStatus.UNCONFIRMED)
    answers = []

    for run in (slow, quick):
        inquiries.open(
            run.id,
            lambda _now, run=run: _question(ENDLESS if run is slow else QUICK, run),
            lambda question, answer, _now: answers.append((question.case.run, answer)),
        )
    assert inquiries.step(NOW) == 0
    assert inquiries.about == {slow.id, quick.id}
    eventually(lambda: inquiries.step(NOW) or answers, 60)
    assert rung.is_set()
    (about, judged), *_ = answers
    assert about is quick
    assert judged is not None
    judgement = judged.judgement
    assert (judgement.plan_digest, judgement.digest) == ("plan", quick.digest)
    assert [verdict.result for verdict in judgement.verdicts] == [Result.DENY]
    eventually(lambda: inquiries.step(NOW) or len(answers) == 2, 60)
    assert answers[1][1].judgement.verdicts[0].error
    assert not inquiries
    inquiries.close()
