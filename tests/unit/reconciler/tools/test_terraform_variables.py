from __future__ import annotations

from typing import Any

import pytest

from reconciler.tools.base import StepFailed
from reconciler.tools.terraform.code import Variable, variables
from reconciler.tools.terraform.variables import Given, expression, given


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("plain", '"plain"', id="text"),
        pytest.param("${1 + 1} $${x} %{if} $5 100%", r'"\u0024{1 + 1} $\u0024{x} \u0025{if} $5 100%"', id="templates"),
        pytest.param('"\\\n\t\x00\x7f', r'"\"\\\n\t\u0000\u007f"', id="escapes"),
        pytest.param("ü😀", '"ü😀"', id="beyond ASCII"),
        pytest.param({"${k}": [1, None, True, -2.5]}, r'{"\u0024{k}" = [1, null, true, -2.5]}', id="nested"),
        pytest.param({}, "{}", id="nothing in it"),
        pytest.param(10**30, "1" + "0" * 30, id="a large number"),
    ],
)
def test_nothing_in_an_expression_can_be_evaluated(value: Any, written: str) -> None:
    assert expression(value) == written


NOTHING = Given({}, {})


@pytest.mark.parametrize(
    ("value", "variable", "expected"),
    [
        pytest.param("${x}", Variable(), NOTHING, id="text, no type"),
        pytest.param("${x}", Variable("string"), NOTHING, id="text, string"),
        pytest.param("5", Variable("number"), NOTHING, id="text, number"),
        pytest.param(5, Variable("number"), NOTHING, id="number, number"),
        pytest.param([1], Variable("string"), NOTHING, id="list, string: as JSON"),
        pytest.param("x", Variable("any"), Given({"TF_VAR_v": '"x"'}), id="text, any"),
        pytest.param(["x"], Variable("list"), Given({"TF_VAR_v": '["x"]'}), id="list, list"),
        pytest.param(["x"], Variable(), Given({"TF_VAR_v": '["x"]'}, {"v": "type = any"}), id="list, no type"),
        pytest.param(5, Variable(), Given({"TF_VAR_v": "5"}, {"v": "type = any"}), id="number, no type"),
        pytest.param(None, Variable("number"), Given({}, {"v": "default = null"}), id="null, no default"),
        pytest.param(None, Variable("number", default=True), NOTHING, id="null, a default"),
        pytest.param(None, Variable("number", nullable=False), NOTHING, id="null, not nullable"),
    ],
)
def test_how_an_output_is_given(value: Any, variable: Variable, expected: Given) -> None:
    assert given({}, {"TF_VAR_v": value, "OTHER": "x"}, {"v": variable}) == expected


@pytest.mark.parametrize(
    ("text", "variable", "told"),
    [
        pytest.param('["${x}"]', Variable("list"), {"TF_VAR_v": r'["\u0024{x}"]'}, id="JSON is data"),
        pytest.param('["${x}"]', Variable("string"), {}, id="a string is literal anyway"),
        pytest.param('["${x}"]', Variable(), {}, id="so is what has no type"),
        pytest.param('{a = "b"}', Variable("map"), {}, id="Terraform's own language"),
        pytest.param("[NaN]", Variable("list"), {}, id="no JSON"),
    ],
)
def test_how_text_of_a_document_is_given(text: str, variable: Variable, told: dict[str, str]) -> None:
    assert given({"TF_VAR_v": text}, {}, {"v": variable}) == Given(told)
    assert given({"TF_VAR_v": text}, {}, {}) == NOTHING, "not declared: Terraform leaves it alone"


def test_a_value_that_no_variable_can_hold_is_named_without_its_content() -> None:
    with pytest.raises(StepFailed, match=r"^the value of TF_VAR_v is too long for a variable$"):
        given({}, {"TF_VAR_v": ["x" * 140_000]}, {"v": Variable("list")})


@pytest.mark.parametrize(
    ("text", "is_json", "expected"),
    [
        pytest.param('variable "v" {}', False, Variable(), id="bare"),
        pytest.param('variable "v" {\n type = list(string)\n}', False, Variable("list"), id="type"),
        pytest.param('variable "v" {\n type = "string"\n}', False, Variable("string"), id="quoted type"),
        pytest.param('variable "v" {\n default = null\n}', False, Variable(default=True), id="null default"),
        pytest.param('variable "v" {\n default = "x"\n}', False, Variable(default=True), id="text default"),
        pytest.param('variable "v" {\n nullable = false\n}', False, Variable(nullable=False), id="not nullable"),
        pytest.param(
            'variable "v" {\n validation {\n  condition = true\n }\n}',
            False,
            Variable(),
            id="blocks inside do not count",
        ),
        pytest.param('{"variable": {"v": {"type": "map(string)"}}}', True, Variable("map"), id="JSON"),
        pytest.param('{"variable": [{"v": [{"default": 1}]}]}', True, Variable(default=True), id="JSON lists"),
        pytest.param('{"variable": {"v": {"nullable": false}}}', True, Variable(nullable=False), id="JSON nullable"),
    ],
)
def test_what_a_file_says_of_a_variable(text: str, is_json: bool, expected: Variable) -> None:  # noqa: FBT001
    found = Variable()
    for name, said in variables(text.encode(), is_json=is_json):
        assert name == "v"
        found = found.overridden(said)
    assert found == expected
