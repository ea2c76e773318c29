"""The quick way to read documents and the careful one say the same."""

import json

import pytest
from _ruamel_yaml import CParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from spaces.reading.fast_parser import Unusual, read_plain
from spaces.reading.parser import MAX_DEPTH, Builder, TooDeep

scalars = st.sampled_from(["a", "~", "null", "true", "False", "1", "0x1f", "-.5", "1e3", "10.0.0.0/16", "30m", "''", "'1'",
                           '"<<"', "./x", "|\n  t", "ä", "<<", "&a b", "*a", "!t c", ".inf", "1e999", "''''", "? b", "-"])  # fmt: skip
lines = st.builds(
    lambda indent, key, mark, value: f"{' ' * indent}{mark}{key}{value}",
    st.sampled_from([0, 0, 2, 2, 4]),
    st.one_of(st.just(""), scalars.map(lambda key: f"{key}: ")),
    st.sampled_from(["", "", "- "]),
    st.one_of(scalars, st.just(""), st.sampled_from(["{a: 1, b: {c: [d]}}", "[]", "{a: 1, a: 2}", "[*a]", "{[a]: b}"])),
)
texts = st.lists(st.one_of(lines, st.just("---")), max_size=8).map("\n".join)


def carefully(text):
    """What the careful way gives where it has nothing to say, else None."""
    builder = Builder("f.yaml")
    try:
        builder.run(CParser(text.encode()).get_event)
    except (YAMLError, TooDeep):
        return None
    if any(document.diagnostics for document in builder.documents):
        return None
    return [document.value for document in builder.documents]


def quickly(text, depth=MAX_DEPTH):
    try:
        return read_plain(CParser(text.encode()).get_event, depth)
    except (YAMLError, Unusual):
        return None


@settings(max_examples=150)
@given(texts)
@example("")
@example("---\n---\n")
@example("a: [1, {b: ~}]\n---\nc: 'd'\n")
def test_both_ways_give_the_same(text):
    quick, careful = quickly(text), carefully(text)
    if quick is not None:
        # As JSON, for 1 and true and 1.0 are equal in Python.
        assert json.dumps(quick) == json.dumps(careful)
    elif careful is not None:
        assert any(mark in text for mark in ("&", "*", '"<<"'))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &x 1", id="anchor"),
        pytest.param("a: &x {b: 1}", id="anchor-of-a-mapping"),
        pytest.param("&x a: 1", id="anchor-of-a-key"),
        pytest.param("a: &x []", id="anchor-of-a-list"),
        pytest.param("*x : 1", id="alias-as-key"),
        pytest.param("a: !t 1", id="tag"),
        pytest.param("a: !t {}", id="tag-of-a-mapping"),
        pytest.param("a: !!seq []", id="tag-of-a-list"),
        pytest.param("{a: 1, 'a': 2}", id="duplicate"),
        pytest.param("1: a", id="key-is-a-number"),
        pytest.param("~: a", id="key-is-nothing"),
        pytest.param("[a]: b", id="key-is-a-list"),
        pytest.param("{a: b}: c", id="key-is-a-mapping"),
        pytest.param("<<: {a: b}", id="merge"),
        pytest.param("a: 1e999", id="out-of-range"),
        pytest.param("a: .nan", id="not-a-number"),
    ],
)
def test_what_is_unusual_is_left_to_the_careful_way(text):
    with pytest.raises(Unusual):
        read_plain(CParser(text.encode()).get_event, MAX_DEPTH)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nesting_ends_at_the_depth(depth):
    assert quickly("[" * depth + "]" * depth, depth) is not None
    assert quickly("[" * (depth + 1) + "]" * (depth + 1), depth) is None
