"""A number input is one kind of number: what a template makes of 2 it makes of 2.5, or of neither."""

from __future__ import annotations

import pytest

from spaces.names import Kind
from tests.unit.spaces.builders import begin, blueprint, instance, template

VALUES = (2, 2.5, 4, 0.5)


def made(expression: str, value: float, *, optional: bool = False) -> tuple[str | None, list[str]]:
    declared = {"name": "n", "type": "number", **({} if optional else {"default": 1})}
    written = blueprint("web", template("made", kind="Context", env={"N": expression}), inputs=[declared])
    after = begin({"b.yaml": written, "i.yaml": instance("shop", "web", n=value)})
    found = [each for each in after.documents.of_kind(Kind.CONTEXT) if each.ref.name == "made"]
    problems = [f"{each.summary} ({each.hint})" for each in after.diagnostics]
    return (found[0].resource.spec.env["N"] if found else None), problems


@pytest.mark.parametrize("optional", [False, True], ids=["with a default", "optional"])
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("string(inputs.n)", ["2", "2.5", "4", "0.5"]),
        ("string(inputs.n + 1)", ["3", "3.5", "5", "1.5"]),
        ("string(10 / inputs.n)", ["5", "4", "2.5", "20"]),
        ("string((inputs.n - 1) * 2)", ["2", "3", "6", "-1"]),
        ("inputs.n > 2 ? 'more' : 'less'", ["less", "more", "more", "less"]),
        ("inputs.n in [2, 4] ? 'in' : 'out'", ["in", "out", "in", "out"]),
        ("string(int(inputs.n) % 2)", ["0", "0", "0", "0"]),
        ("['a', 'b', 'c', 'd', 'e'][int(inputs.n)]", ["c", "c", "e", "a"]),
        ("'10 + ' + string(inputs.n + 10)", ["10 + 12", "10 + 12.5", "10 + 14", "10 + 10.5"]),
    ],
)
def test_one_template_for_all_numbers(expression: str, expected: list[str], *, optional: bool) -> None:
    found = [made(f"${{{{ {expression} }}}}", value, optional=optional) for value in VALUES]
    assert found == [(each, []) for each in expected]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("'x' + inputs.n", "string(inputs.NAME)"),
        ("inputs.n % 2", "int(inputs.NAME)"),
        ("inputs.n", '"${{ string(inputs.n) }}"'),
    ],
)
def test_what_cannot_be_says_what_to_write(expression: str, hint: str, value: float) -> None:
    text, problems = made(f"${{{{ {expression} }}}}", value)
    assert text is None
    assert any(hint in problem for problem in problems), problems


def test_a_number_beside_text_and_a_division_by_nothing() -> None:
    assert made("size ${{ inputs.n }}!", 2.0) == ("size 2!", [])
    assert made("size ${{ inputs.n }}!", 1234567.5) == ("size 1234567.5!", [])
    assert "divide by zero" in made("${{ string(1 / inputs.n) }}", 0)[1][0]
    assert made("${{ 'inf' }} ${{ string(inputs.n / 2) }}", 4) == ("inf 2", [])
