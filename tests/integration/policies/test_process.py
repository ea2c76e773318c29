"""The process that evaluates Rego: what it answers, and that nothing which it is given gets any further than that."""

from __future__ import annotations

import time
from typing import Any

import pytest

from reconciler.policies import process
from reconciler.policies.process import ask

PACKAGE = "package stationkeeper\n"
LAST = 'deny contains "the last one"'


def judge(*rules: str, given: object = None) -> list[dict[str, Any]]:
    policies = [{"text": PACKAGE + rule, "rules": ["deny", "warn", "approve"]} for rule in rules]
    return ask("judge", policies, {} if given is None else given)


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        pytest.param('deny contains "no"', {"deny": ["no"]}, id="a set"),
        pytest.param('deny contains "no" if input.x', {"deny": []}, id="an empty set"),
        pytest.param("approve if input.x", {"approve": None}, id="undefined"),
        pytest.param("default approve := false\napprove if input.a == 1", {"approve": True}, id="yes"),
        pytest.param(
            'warn contains {"msg": "m", "more": {1, 2}}', {"warn": [{"msg": "m", "more": [1, 2]}]}, id="object"
        ),
        pytest.param('deny contains sprintf("%s ü %d", ["é", input.a])', {"deny": ["é ü 1"]}, id="text"),
        pytest.param("other contains 1", {}, id="no rule that is asked for"),
    ],
)
def test_what_a_rule_says_comes_back(rule: str, answers: dict[str, Any]) -> None:
    assert judge(rule, given={"a": 1}) == [{"answers": answers}]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        pytest.param("deny contains 1 if {", "expecting expression (line 2, column 21)", id="does not parse"),
        pytest.param('deny contains "x" if 1 / input.zero == 1', "divide by zero", id="errs"),
        pytest.param('deny contains "x" if nope(1)', "there is no function nope", id="unknown function"),
        pytest.param('deny contains "x" if {input.nope; nope(1)}', "there is no function nope", id="never reached"),
        pytest.param("deny contains deny", "refers back to itself", id="recursion"),
        pytest.param("f(x) := f(x)\ndeny contains f(1)", "refers back to itself", id="endless recursion"),
        pytest.param(
            "deny contains x if { x := numbers.range(1, 400000000)[_] }", "the engine crashed on it", id="memory"
        ),
        pytest.param(
            'deny contains sprintf("%d filling text", [i]) if some i in numbers.range(1, 30000)',
            "longer than 256 KiB",
            id="huge answer",
        ),
        pytest.param(
            "deny contains x if x := " + "[" * 50000 + "]" * 50000, "it took longer than", id="hangs the parser"
        ),
    ],
)
def test_what_goes_wrong_hides_no_other(rule: str, why: str) -> None:
    bad, last = judge(rule, LAST, given={"zero": 0})
    assert why in bad["error"]
    assert last == {"answers": {"deny": ["the last one"]}}


def test_a_rule_that_does_not_end_is_stopped() -> None:
    endless = (
        "deny contains i if { some i in numbers.range(1, 9000); some j in numbers.range(1, 9000); "
        "some k in numbers.range(1, 9000); i * j * k == 0.5 }"
    )
    bad, last = judge(endless, LAST)
    assert "it took longer than" in bad["error"]
    assert last == {"answers": {"deny": ["the last one"]}}


@pytest.mark.parametrize("function", ["http.send({})", "opa.runtime()", 'net.lookup_ip_addr("localhost")'])
def test_nothing_outside_its_input_is_to_be_had(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "not-for-policies")
    (answer,) = judge(f"deny contains x if x := {function}")
    assert f"a policy may not use {function.partition('(')[0]}" in answer["error"]


def test_several_deaths_cost_themselves_alone() -> None:
    memory = "deny contains x if { x := numbers.range(1, 400000000)[_] }"
    answers = judge(memory, LAST, memory, LAST)
    assert ["error" in answer for answer in answers] == [True, False, True, False]


def test_nobody_waits_for_a_process_that_has_said_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stays = "import time; print('{}', flush=True); time.sleep(60)"
    monkeypatch.setattr(process, "_start", lambda: stays)
    monkeypatch.setattr(process, "_LAST_WORDS", 30.0)
    begun = time.monotonic()
    assert ask("judge", [{}], {}) == [{}]
    assert time.monotonic() - begun < 15


def test_a_large_input_is_no_trouble() -> None:
    changes = [{"address": f"a.b[{n}]", "after": {"text": "x" * 1000}} for n in range(5000)]
    answers = judge('deny contains sprintf("%d", [count(input.changes)])', given={"changes": changes})
    assert answers == [{"answers": {"deny": ["5000"]}}]
