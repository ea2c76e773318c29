import base64
import itertools
import json

import pytest

from reconciler.masking.masker import MASK, Masker

SECRET = "s3cr3t-Value/with+chars"
KEY = "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\nEEEEFFFFGGGGHHHH\n-----END KEY-----\n"


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def stream(masker, data, size):
    return b"".join([*(masker.feed(piece) for piece in pieces(data, size)), masker.flush()])


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        pytest.param([], b"nothing hidden", b"nothing hidden", id="no values"),
        pytest.param([""], b"nothing hidden", b"nothing hidden", id="an empty value masks nothing"),
        pytest.param([SECRET], b"a " + SECRET.encode() + b" b", b"a *** b", id="in the middle"),
        pytest.param([SECRET], SECRET.encode(), b"***", id="alone"),
        pytest.param([SECRET], SECRET.encode()[:-1], SECRET.encode()[:-1], id="only its beginning"),
        pytest.param(["abc", "abcdef"], b"xabcdefx abcdx", b"x***x ***dx", id="one begins like another"),
        pytest.param(["xxab", "abcd"], b"-xxabcd-", b"-***-", id="two that overlap"),
        pytest.param(["xxab", "abcd"], b"-xxabce-", b"-***ce-", id="the second does not come"),
        pytest.param(["aXa"], b"aXaXa", b"***", id="overlapping itself"),
        pytest.param(["ab"], b"ababab", b"*********", id="again and again"),
        pytest.param(["größe"], "die größe!".encode(), b"die ***!", id="beyond ASCII"),
        pytest.param([KEY], b"  AAAABBBBCCCCDDDD\n  EEEEFFFFGGGGHHHH\n", b"  ***\n  ***\n", id="lines of a key"),
        pytest.param([KEY], json.dumps({"k": KEY}).encode(), b'{"k": "***"}', id="as JSON prints it"),
    ],
)
def test_values_are_masked_wherever_a_piece_ends(values, text, expected):
    for size in (1, 2, 3, 7, 64, 100_000):
        assert stream(Masker(values), text, size) == expected, size


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_at_any_place_in_a_longer_text(encode):
    secret = "pa?sw>rd-0123~ü"
    for before, after in itertools.product(range(4), range(3)):
        text = encode(b"x" * before + secret.encode() + b"y" * after)
        masked = Masker([secret]).mask(text)
        assert MASK in masked
        # At most the characters that also hold bits of a neighbour are left.
        assert len(masked) - len(MASK) <= len(encode(b"x" * before)) + len(encode(b"y" * after)) + 4, (before, after)


def test_a_whole_is_masked_without_what_stems_from_its_beginning():
    assert Masker(["secret"]).mask(b"cret and secret and so on", skip=5) == b"and *** and so on"
    assert Masker(["secret"]).mask(b"a secret that is cut", skip=4) == b"*** that is cut"


def test_json_values_are_masked_at_every_depth():
    masker = Masker(["secret"])
    value = {"a secret key": ["x secret", 1, None, {"deep": "secret"}], "b": True}
    assert masker.value(value) == {"a *** key": ["x ***", 1, None, {"deep": "***"}], "b": True}


@pytest.mark.parametrize("place", [lambda it: {it: 1}, lambda it: [("x", [{"a": f"b {it}"}])], str, int])
def test_a_value_is_clean_only_without_a_secret_anywhere(place):
    masker = Masker(["1234567890123"])
    assert not masker.is_clean(["before", place("1234567890123"), "after"])
    assert masker.is_clean(["before", place("1234567890124"), None, True, {}])
    assert Masker([]).is_clean([place("1234567890123")])


def test_what_is_held_back_stays_small():
    masker = Masker(["a" * 1000])
    for _ in range(20):
        masker.feed(b"a" * 4096)
        assert len(masker._held) < 1000
