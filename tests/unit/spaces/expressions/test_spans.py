import pytest

from spaces.expressions.spans import is_whole, spans, texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", []),
        ("$ { { x }}", []),
        ("${x} $(y) {{ z }}", []),
        ("${{a}}", ["a"]),
        ("x ${{ a }} y ${{b}}", [" a ", "b"]),
        ('${{ {"a": {"b": 1}}["a"] }}', [' {"a": {"b": 1}}["a"] ']),
        ("${{ \"}}\" + '}}' }}z", [" \"}}\" + '}}' "]),
        (r'${{ "\"}}" }}', [r' "\"}}" ']),
        ("${{ a\n + b }}", [" a\n + b "]),
    ],
)
def test_expressions_are_found(text, found):
    assert [each.source for each in spans(text)] == found
    assert all(each.closed and text[each.start : each.end] == "${{" + each.source + "}}" for each in spans(text))


@pytest.mark.parametrize("text", ["${{ a", "${{ a }", '${{ "}}', "${{ a } }", "x ${{ a }} ${{"])
def test_what_is_not_closed_is_told(text):
    assert [each.closed for each in spans(text)][-1] is False


def test_a_whole_one():
    assert [is_whole(spans(text)[0], text) for text in ("${{ a }}", " ${{ a }}", "${{ a }}-", "${{ a")] == [
        True,
        False,
        False,
        False,
    ]


def test_texts_are_found_in_order():
    assert list(texts({"a": ["x", "${{ 1 }}"], "b": {"c": "${{ 2 }}"}})) == [
        (("a", 1), "${{ 1 }}"),
        (("b", "c"), "${{ 2 }}"),
    ]
