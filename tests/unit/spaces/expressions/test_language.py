"""What an expression gives, what is wrong with it and where, and that none takes long."""

import sys

import pytest

from spaces.expressions.language import Failed, Sort, compile_expression

SORTS = {
    "inputs.app": Sort.TEXT,
    "inputs.n": Sort.ANY,
    "inputs.on": Sort.FLAG,
    "context.labels": Sort.TEXTS,
}
VALUES = {"inputs.app": "shop", "inputs.n": 3, "inputs.on": True, "context.labels": {"tier": "web"}}
TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"


def evaluate(source, **values):
    return compile_expression(source, SORTS).evaluate(VALUES | {f"inputs.{key}": each for key, each in values.items()})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.app", "shop"),
        (' inputs.app + "-web" ', "shop-web"),
        ("inputs.n * 2", 6),
        ("inputs.on ? 1 : 2", 1),
        ("inputs.n > 2 && !inputs.on", False),
        ("context.labels.tier", "web"),
        ('has(context.labels.other) ? "a" : "b"', "b"),
        ('"tier" in context.labels', True),
        ("context.labels", {"tier": "web"}),
        ('"a,b".split(",").filter(x, x != "a").map(x, x + "!").join(" ")', "b!"),
        ("[1, 2].map(x, x > 1, x * 10)", [20]),
        ('{"a": [null, true, 1.5]}', {"a": [None, True, 1.5]}),
        ("inputs.app.upperAscii().replace('S', 'x')", "xHOP"),
        ("string(inputs.n) + string(1.5)", "31.5"),
        ("int('7') % 4", 3),
        ("math.greatest(1, inputs.n)", 3),
        ("r'a\\d' + \"é\"", "a\\dé"),
        ("'x'.matches('^(a+)+$')", False),
    ],
)
def test_values(source, expected):
    assert evaluate(source) == expected


@pytest.mark.parametrize(
    ("source", "code", "at", "words"),
    [
        ("inputs.ap", "invalid-expression", 0, "there is no inputs.ap"),
        ('"é" + inputs.x', "invalid-expression", 6, "there is no inputs.x"),
        ("inputs", "invalid-expression", 0, "there is no inputs"),
        ("context.lables.x", "invalid-expression", 0, "there is no context.lables"),
        ("1 + foo(1)", "invalid-expression", 4, "there is no function foo"),
        ("inputs.app.upcase()", "invalid-expression", 11, "there is no function upcase"),
        ('string(timestamp("x"))', "invalid-expression", 7, "the function timestamp is not available"),
        ("inputs.app + 1", "invalid-expression", 11, "no matching overload"),
        ("inputs.on ? 1 : 'a'", "invalid-expression", 10, "no matching overload"),
        ("inputs.n +", "invalid-expression", 10, "Syntax error"),
        ('"abc', "invalid-expression", 0, "Syntax error"),
        ("  ", "invalid-expression", 0, "is empty"),
        ("1 / 0", "expression-failed", 0, "divide by zero"),
        ("1 / (inputs.n - 3)", "expression-failed", 0, "divide by zero"),
        ("inputs.n + 'x'", "expression-failed", 0, "No matching overloads"),
        ("context.labels.other", "expression-failed", 0, "Key not found"),
        ("int('x')", "expression-failed", 0, "cannot convert"),
        ("9223372036854775807 + 1", "expression-failed", 0, "overflow"),
        ("'a'.matches('(')", "expression-failed", 0, "invalid regular expression"),
        ("1.0 / 0.0", "expression-failed", 0, "no document can hold"),
        ("{1: 2}", "expression-failed", 0, "no document can hold"),
        ("'\ud800'", "invalid-expression", 0, "surrogate"),
        ("b'a'", "expression-failed", 0, "no document can hold"),
    ],
)
def test_mistakes(source, code, at, words):
    with pytest.raises(Failed) as failed:
        evaluate(source)
    first = failed.value.mistakes[0]
    assert (first.code, first.at) == (code, at)
    assert words in first.summary


# Each of them would take seconds, or all of the memory, if nothing stopped it.
@pytest.mark.parametrize(
    "source",
    [
        pytest.param("x" * 1001, id="long"),
        pytest.param("(" * 400 + "1" + ")" * 400, id="deep"),
        pytest.param("+".join(["1"] * 300), id="a long sum"),
        pytest.param("['x']" + ".map(a, a + a)" * 30 + "[0]", id="a text doubled and doubled"),
        pytest.param("[[1]]" + ".map(a, a + a)" * 30 + "[0].size()", id="a list doubled and doubled"),
        pytest.param("['xxxxxxxxxx']" + ".map(a, a.replace('', a))" * 8, id="a text replaced by itself"),
        pytest.param("[['xxxxxxxxxx']]" + ".map(a, a.map(b, (a + a + a).join(b)))" * 6, id="joined by itself"),
        pytest.param(
            f"{TEN}.map(a, {TEN}.map(b, {TEN}.map(c, {TEN}.map(d, {TEN}.map(e, {TEN}.map(f, 1))))))",
            id="loops in loops",
        ),
        pytest.param("inputs.n.all(a, inputs.n.all(b, inputs.n.all(c, true)))", id="loops over what is given"),
        pytest.param("inputs.app.split('').map(a, inputs.app).join('')", id="a square"),
    ],
)
def test_no_end(source):
    with pytest.raises(Failed) as failed:
        evaluate(source, n=["x"] * 1000, app="x" * 30_000)
    assert [each.code for each in failed.value.mistakes] == ["expression-limit"]


def test_a_result_has_a_limit():
    with pytest.raises(Failed) as failed:
        evaluate("inputs.app + inputs.app + inputs.app", app="x" * 30_000)
    assert failed.value.mistakes[0].code == "expression-limit"


@pytest.mark.parametrize("source", ["null", "[null, {'a': null}]", "inputs.n", "inputs.n == null"])
def test_nulls_cost_no_references(source):
    """Where None can die, it must not die of expressions."""
    before = sys.getrefcount(None)
    for _ in range(1000):
        evaluate(source, n=None)
    assert sys.getrefcount(None) > before - 200


def test_suggestions_come_from_what_there_is():
    with pytest.raises(Failed) as failed:
        evaluate("inputs.ap + foo(1)")
    assert [(each.word, "inputs.app" in each.known) for each in failed.value.mistakes] == [
        ("inputs.ap", True),
        ("foo", False),
    ]


def test_what_an_expression_uses():
    assert compile_expression("[inputs.app].map(x, x + context.labels.tier)", SORTS).uses == {
        "inputs.app",
        "context.labels",
    }


@pytest.mark.parametrize("odd", ["\ud800", 2**70, -(2**70), object()])
def test_values_that_the_language_cannot_hold(odd):
    with pytest.raises(Failed):
        compile_expression("inputs.n", SORTS).evaluate(VALUES | {"inputs.n": odd})


@pytest.mark.parametrize("source", ["1 + foo(1)", "inputs.app +", "1 / 0", "inputs.nope"])
def test_whoever_is_told_of_a_mistake_is_told_what_to_do(source):
    with pytest.raises(Failed) as failed:
        evaluate(source)
    assert all(mistake.hint or mistake.known for mistake in failed.value.mistakes)
