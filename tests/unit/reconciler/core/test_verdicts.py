from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.verdicts import Result, Ruling, Verdict, approval_verdict, plan_verdict, rule


@pytest.mark.parametrize(
    ("answers", "result", "messages", "warnings"),
    [
        pytest.param({}, Result.ALLOW, (), (), id="neither rule"),
        pytest.param({"deny": [], "warn": []}, Result.ALLOW, (), (), id="nothing to say"),
        pytest.param({"deny": ["b", "a"]}, Result.DENY, ("a", "b"), (), id="denies, in order"),
        pytest.param({"deny": [{"msg": "a", "more": 1}]}, Result.DENY, ("a",), (), id="an object"),
        pytest.param({"warn": ["w"]}, Result.WARN, (), ("w",), id="warns"),
        pytest.param({"deny": ["d"], "warn": ["w"]}, Result.DENY, ("d",), ("w",), id="both"),
        pytest.param({"deny": ["two\nlines  apart"]}, Result.DENY, ("two lines apart",), (), id="one line"),
    ],
)
def test_what_a_plan_policy_says(
    answers: dict[str, Any], result: Result, messages: tuple[str, ...], warnings: tuple[str, ...]
) -> None:
    verdict = plan_verdict("a/p", mandatory=True, answer={"answers": answers})
    assert verdict == Verdict("a/p", "plan", mandatory=True, result=result, messages=messages, warnings=warnings)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"error": "it took longer than 3 s"}, id="error"),
        pytest.param({}, id="nothing"),
        pytest.param({"answers": {"deny": "text"}}, id="text"),
        pytest.param({"answers": {"deny": True}}, id="yes"),
        pytest.param({"answers": {"deny": [1]}}, id="numbers"),
        pytest.param({"answers": {"deny": [{"message": "m"}]}}, id="object without msg"),
        pytest.param({"answers": {"deny": {"a": "b"}}}, id="object"),
        pytest.param({"answers": {"warn": 1}}, id="warn of another shape"),
    ],
)
def test_whatever_else_it_says_denies(answer: dict[str, Any]) -> None:
    verdict = plan_verdict("a/p", mandatory=True, answer=answer)
    assert (verdict.result, verdict.error) == (Result.DENY, True)
    assert verdict.messages[0].startswith("it could not be evaluated: ")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        pytest.param({"answers": {"approve": True}}, Result.APPROVE, id="yes"),
        pytest.param({"answers": {"approve": False}}, Result.WAIT, id="no"),
        pytest.param({"answers": {"approve": None}}, Result.WAIT, id="undefined"),
        pytest.param({"answers": {"approve": True, "reject": True}}, Result.REJECT, id="both"),
        pytest.param({"answers": {"approve": ["yes"]}}, Result.WAIT, id="another shape"),
        pytest.param({"error": "it died"}, Result.WAIT, id="error"),
    ],
)
def test_what_an_approval_policy_says(answer: dict[str, Any], result: Result) -> None:
    assert approval_verdict("a/p", mandatory=True, answer=answer).result is result


def _said(result: Result, *messages: str, mandatory: bool = True, policy: str = "a/p") -> Verdict:
    return Verdict(policy, "plan", mandatory, result, messages)


@pytest.mark.parametrize(
    ("verdicts", "ruling", "message"),
    [
        pytest.param([], Ruling.PASSES, "", id="nobody"),
        pytest.param(
            [_said(Result.ALLOW), _said(Result.APPROVE), _said(Result.WARN)], Ruling.PASSES, "", id="all well"
        ),
        pytest.param([_said(Result.DENY, "no", mandatory=False)], Ruling.PASSES, "", id="advisory"),
        pytest.param([_said(Result.WAIT, mandatory=False)], Ruling.PASSES, "", id="advisory approval"),
        pytest.param(
            [_said(Result.WAIT), _said(Result.REJECT), _said(Result.DENY, "no", "never")],
            Ruling.DENIED,
            "policy a/p denies it: no; never",
            id="denial wins",
        ),
        pytest.param(
            [_said(Result.WAIT), _said(Result.REJECT)], Ruling.REJECTED, "policy a/p rejects it", id="rejection"
        ),
        pytest.param(
            [_said(Result.WAIT), _said(Result.WAIT, policy="b/q"), _said(Result.APPROVE)],
            Ruling.WAITS,
            "policy a/p does not approve it yet; policy b/q does not approve it yet",
            id="each has to approve",
        ),
        pytest.param(
            [_said(Result.DENY, "1", "2", "3", "4", "5")],
            Ruling.DENIED,
            "policy a/p denies it: 1; 2; 3; and 2 more",
            id="many sentences",
        ),
    ],
)
def test_what_follows(verdicts: list[Verdict], ruling: Ruling, message: str) -> None:
    assert rule(verdicts) == (ruling, message)
