"""Asks the policies over a run, each by itself, and turns their answers into verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from reconciler.core.digest import JUDGING
from reconciler.core.verdicts import (
    Notice,
    Verdict,
    approval_verdict,
    config_verdict,
    notices,
    notification_verdict,
    plan_verdict,
    push_verdict,
)
from reconciler.policies.child import RULES
from reconciler.policies.inputs import Case, input_of, shown_to
from reconciler.policies.process import ask
from spaces.effective.policies import Guardrail
from spaces.model.policy import Enforcement, PolicyType


def judge(policies: Sequence[Guardrail], case: Case) -> tuple[Verdict, ...]:
    """Return the verdict of every policy that decides about a run, in the order of `policies`."""
    return tuple(evaluate([policy for policy in policies if policy.spec.type in JUDGING], input_of(case)))


def notify(policies: Sequence[Guardrail], given: dict[str, Any]) -> list[tuple[Notice, ...] | str]:
    """Return the notices of each notification policy about one input, or why it could not be evaluated."""
    questions = [question(policy, given) for policy in policies]
    return [notices(answer) for answer in ask("judge", questions, shown_to(given, None))]


def evaluate(policies: Sequence[Guardrail], given: dict[str, Any]) -> list[Verdict]:
    """Return the verdicts of these policies about one input."""
    verdicts: dict[str, Verdict] = {}
    for author_counts in (False, True):
        asked = [policy for policy in policies if policy.spec.author_counts is author_counts]
        if not asked:
            continue
        questions = [question(policy, given) for policy in asked]
        answers = ask("judge", questions, shown_to(given, asked[0].spec))
        for policy, answer in zip(asked, answers, strict=True):
            verdicts[policy.name] = verdict(policy, answer)
    return [verdicts[policy.name] for policy in policies]


def question(policy: Guardrail, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of a policy. A recorded input brings parameters for a rule that has none of its own."""
    params = policy.spec.params or given.get("params") or {}
    return {"text": policy.rego.text, "rules": RULES[policy.spec.type.value], "params": json.dumps(params)}


def verdict(policy: Guardrail, answer: dict[str, Any]) -> Verdict:
    """Return the verdict in one policy's answer."""
    mandatory = policy.spec.enforcement is Enforcement.MANDATORY
    match policy.spec.type:
        case PolicyType.PLAN:
            return plan_verdict(policy.name, mandatory=mandatory, answer=answer)
        case PolicyType.APPROVAL:
            return approval_verdict(policy.name, mandatory=mandatory, answer=answer)
        case PolicyType.PUSH:
            return push_verdict(policy.name, mandatory=mandatory, answer=answer)
        case PolicyType.CONFIG:
            return config_verdict(policy.name, mandatory=mandatory, answer=answer)
        case PolicyType.NOTIFICATION:
            return notification_verdict(policy.name, mandatory=mandatory, answer=answer)
        case _:
            assert_never(policy.spec.type)
