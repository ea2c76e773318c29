from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.state import Heading
from reconciler.core.verdicts import (
    Notice,
    NoticeSeverity,
    Result,
    Ruling,
    Verdict,
    approval_verdict,
    heading,
    notices,
    notification_verdict,
    plan_verdict,
    push_verdict,
    rule,
)


@pytest.mark.parametrize(
    ("answers", "result", "messages", "warnings"),
    [
        pytest.param({}, Result.ALLOW, (), (), id="neither rule"),
        pytest.param({"deny": [], "warn": []}, Result.ALLOW, (), (), id="nothing to say"),
        pytest.param({"deny": ["b", "a"]}, Result.DENY, ("a", "b"), (), id="denies, in order"),
        pytest.param({"deny": [{"msg": "a", "more": 1}]}, Result.DENY, ("a",), (), id="an object"),
        pytest.param({"warn": ["w"]}, Result.WARN, (), ("w",), id="warns"),
        pytest.param({"deny": ["d"], "warn": ["w"]}, Result.DENY, ("d",), ("w",), id="both"),
        pytest.param({"confirm": ["c"], "warn": ["w"]}, Result.CONFIRM, ("c",), ("w",), id="wants a person"),
        pytest.param({"deny": ["d"], "confirm": ["c"]}, Result.DENY, ("d",), (), id="a denial before that"),
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


@pytest.mark.parametrize(
    ("answers", "result", "messages"),
    [
        pytest.param({}, Result.TRACK, (), id="nothing said"),
        pytest.param({"ignore": None, "propose": False}, Result.TRACK, (), id="no"),
        pytest.param({"track": True}, Result.TRACK, (), id="track"),
        pytest.param({"ignore": True}, Result.IGNORE, (), id="ignore"),
        pytest.param({"propose": ["b", {"msg": "a"}]}, Result.PROPOSE, ("a", "b"), id="sentences"),
        pytest.param({"ignore": [], "propose": True}, Result.PROPOSE, (), id="an empty set is no"),
        pytest.param({"ignore": ["i"], "propose": ["p"], "track": True}, Result.IGNORE, ("i",), id="ignore wins"),
        pytest.param({"propose": True, "track": True}, Result.PROPOSE, (), id="propose over track"),
    ],
)
def test_what_a_push_policy_says(answers: dict[str, Any], result: Result, messages: tuple[str, ...]) -> None:
    verdict = push_verdict("a/p", mandatory=True, answer={"answers": answers})
    assert verdict == Verdict("a/p", "push", mandatory=True, result=result, messages=messages)


@pytest.mark.parametrize(
    "answer", [{"error": "it died"}, {}, {"answers": {"ignore": 1}}, {"answers": {"track": [1]}}], ids=str
)
def test_whatever_else_it_says_holds_a_change_back(answer: dict[str, Any]) -> None:
    verdict = push_verdict("a/p", mandatory=True, answer=answer)
    assert verdict.error
    assert heading([verdict])[0] is Heading.FAILED
    assert heading([push_verdict("a/p", mandatory=False, answer=answer)]) == (Heading.TRACK, "")


def _push(result: Result, *, error: bool = False, mandatory: bool = True) -> Verdict:
    return Verdict("a/p", "push", mandatory, result, ("because",), error=error)


@pytest.mark.parametrize(
    ("verdicts", "head", "message"),
    [
        pytest.param([], Heading.TRACK, "", id="none"),
        pytest.param([_push(Result.TRACK)], Heading.TRACK, "", id="track"),
        pytest.param(
            [_push(Result.PROPOSE), _push(Result.IGNORE, error=True), _push(Result.IGNORE)],
            Heading.IGNORE,
            "policy a/p ignores it: because",
            id="ignore first",
        ),
        pytest.param(
            [_push(Result.PROPOSE), _push(Result.IGNORE, error=True)],
            Heading.FAILED,
            "policy a/p could not be evaluated: because",
            id="an error next",
        ),
        pytest.param(
            [_push(Result.TRACK), _push(Result.PROPOSE)], Heading.PROPOSE, "policy a/p only proposes it: because", id="propose"
        ),
        pytest.param([_push(Result.IGNORE, mandatory=False)], Heading.TRACK, "", id="advisory"),
    ],
)  # fmt: skip
def test_where_push_policies_send_a_change(verdicts: list[Verdict], head: Heading, message: str) -> None:
    assert heading(verdicts) == (head, message)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"answers": {}}, (), id="nothing"),
        pytest.param(
            {"answers": {"notify": ["b", {"msg": "a", "severity": "error"}]}},
            (Notice("a", NoticeSeverity.ERROR), Notice("b")),
            id="both shapes",
        ),
        pytest.param(
            {"answers": {"notify": [{"msg": "a", "severity": "loud"}]}},
            "the severity of a notification must be info, warning or error",
            id="unknown severity",
        ),
        pytest.param(
            {"answers": {"notify": [{"msg": "a", "severity": ["error"]}]}},
            "the severity of a notification must be info, warning or error",
            id="no text",
        ),
        pytest.param(
            {"answers": {"notify": True}}, "notify must be a set of sentences, or of objects with a msg", id="shape"
        ),
        pytest.param({"error": "it died"}, "it died", id="error"),
    ],
)
def test_what_a_notification_policy_tells(answer: dict[str, Any], expected: object) -> None:
    assert notices(answer) == expected
    told = notification_verdict("a/p", mandatory=True, answer=answer)
    assert told.error is isinstance(expected, str)
    assert (told.result is Result.NOTIFY) is (bool(expected) and not told.error)


def test_only_so_many_notices_are_passed_on() -> None:
    told = notices({"answers": {"notify": [str(number) for number in range(100, 200)]}})
    assert (len(told), told[-1]) == (21, Notice("and 80 more"))
