from __future__ import annotations

from typing import Any

import pytest

from reconciler.web.api.schemas.drift import AttributeJson, DriftJson
from reconciler.web.api.schemas.runs import PlanJson, ResourceChangeJson
from reconciler.web.views.changes import SHOWN, plan_view
from reconciler.web.views.diffs import compared
from reconciler.web.views.drift import drift_view
from reconciler.web.views.values import pretty
from tests.factories import NOW


def change(action: str, address: str, before: Any = None, after: Any = None) -> ResourceChangeJson:
    return ResourceChangeJson(address=address, type="t", provider="p", action=action, before=before, after=after)


def plan(*changes: ResourceChangeJson) -> PlanJson:
    return PlanJson(
        run="r", has_changes=True, changes=list(changes), drifted=[], outputs=[], facts={}, tool_version=None
    )


def lines(before: Any, after: Any) -> list[str]:
    return [line.sign + line.text for line in compared(before, after).lines]


def test_what_destroys_comes_first_and_in_red() -> None:
    view = plan_view(plan(change("create", "b"), change("update", "c"), change("replace", "d"), change("delete", "a")))
    assert [(it.address, it.tone) for it in view.changes] == [
        ("a", "bad"), ("d", "bad"), ("c", "waiting"), ("b", "good"),
    ]  # fmt: skip
    assert [(it.sign, it.number) for it in view.counts] == [("-", 1), ("±", 1), ("~", 1), ("+", 1)]


def test_a_large_plan_is_shown_in_parts() -> None:
    large = plan(*(change("create", f"r{number:04}") for number in range(SHOWN + 50)))
    first, rest = plan_view(large), plan_view(large, SHOWN)
    assert (len(first.changes), first.more, len(rest.changes), rest.more) == (SHOWN, 50, 50, 0)
    assert rest.changes[0].address == f"r{SHOWN:04}"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 3}, ["-b = 2", "+b = 3"], id="only what differs"),
        pytest.param(None, {"a": "x", "b": None}, ['+a = "x"'], id="created"),
        pytest.param({"a": True}, None, ["-a = true"], id="destroyed"),
        pytest.param([1], [2], ["-[1]", "+[2]"], id="no attributes"),
        pytest.param(
            {"t": "one\ntwo\nthree\nfour\nfive"},
            {"t": "one\ntwo\nthree\nfour\n5"},
            ["@t", "   three", "   four", "-  five", "+  5"],
            id="text by line",
        ),
        pytest.param(
            {"p": '{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*"}'},
            {"p": '{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::a/*"}'},
            [
                "@p",
                "   {",
                '-    "Effect": "Allow",',
                '+    "Effect": "Deny",',
                '     "Action": "s3:GetObject",',
                '     "Resource": "arn:aws:s3:::a/*"',
            ],
            id="JSON in text",
        ),
    ],
)
def test_values_are_compared_inside(before: Any, after: Any, expected: list[str]) -> None:
    assert lines(before, after) == expected


def test_an_enormous_value_is_cut_and_says_so() -> None:
    before, after = "\n".join("ab" * 3000), "\n".join("ba" * 3000)
    (shown,) = plan_view(plan(change("update", "a", {"t": before}, {"t": after}))).changes
    assert (len(shown.lines), shown.left_out) == (299, 11_702)


def test_much_drift_is_shown_in_part_and_its_values_are_cut() -> None:
    attribute = AttributeJson.model_validate({"name": "data", "was": "a" * 50_000, "is": "b\n" * 50_000})
    found = DriftJson(
        stack="a/b", address="r", type="t", provider="p", difference="changed", attributes=[attribute], run="r", at=NOW
    )
    view = drift_view([found] * (SHOWN + 7))
    assert (len(view.changes), view.more) == (SHOWN, 7)
    assert sum(len(line.text) for line in view.changes[0].lines) < 3000
    assert view.changes[0].left_out > 49_000


def test_a_large_value_is_cut_and_says_so() -> None:
    text = pretty({"text": "x" * 5000, "list": list(range(1000))})
    assert len(text) < 5000
    assert text.splitlines()[-1] == "… 705 more lines"
