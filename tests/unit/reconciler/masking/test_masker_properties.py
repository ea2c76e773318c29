"""Whatever the secrets, the text around them, the form they are printed in and the pieces that come: none survives."""

import base64
import json
import re
import string
import urllib.parse

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.masking.masker import MASK, Masker

_PRINTED = "".join(chr(code) for code in range(33, 127))
_SECRETS = st.one_of(
    st.text(_PRINTED, min_size=8, max_size=90),
    st.text(string.ascii_letters + string.digits + "+/=\n ", min_size=12, max_size=200).filter(
        lambda text: len("".join(text.split())) >= 12
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=8, max_size=40),
)
_WIDTHS = st.tuples(st.sampled_from([0, 57, 64, 76]), st.sampled_from(["", "  ", "\t"]))
_AROUND = st.text(st.sampled_from(".,;\n \t"), max_size=40)


def _go_json(text):
    return json.dumps(text)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


_ENCODERS = {
    "raw": lambda text: text,
    "stripped": str.strip,
    "windows lines": lambda text: text.replace("\n", "\r\n"),
    "indented": lambda text: text.replace("\n", "\n    "),
    "json": lambda text: json.dumps(text)[1:-1],
    "json beyond ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json of go": _go_json,
    "json in json": lambda text: json.dumps(json.dumps(text))[1:-1],
    "url": lambda text: urllib.parse.quote(text, safe=""),
    "url with slashes": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "url in small letters": lambda text: re.sub("%..", lambda at: at[0].lower(), urllib.parse.quote(text, safe="")),
}


def _stream(masker, data, sizes):
    result, at, turn = b"", 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        result += masker.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return result + masker.flush()


def _packed(data):
    return b"".join(data.split())


_SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=5)


@settings(max_examples=120)
@given(
    secrets=st.lists(_SECRETS, min_size=1, max_size=4, unique=True),
    which=st.integers(0, 3),
    encoder=st.sampled_from(sorted(_ENCODERS)),
    around=st.tuples(_AROUND, _AROUND),
    sizes=_SIZES,
)
def test_no_form_survives_any_pieces(secrets, which, encoder, around, sizes):
    secret = secrets[which % len(secrets)]
    printed = _ENCODERS[encoder](secret).encode()
    text = around[0].encode() + printed + around[1].encode()
    masker = Masker(secrets)
    whole, streamed = masker.mask(text), _stream(masker, text, sizes)
    for masked in (whole, streamed):
        assert MASK in masked
        assert _packed(printed) not in _packed(masked)


@settings(max_examples=120)
@given(
    secret=_SECRETS,
    before=st.binary(max_size=70),
    after=st.binary(max_size=70),
    layout=_WIDTHS,
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
    sizes=_SIZES,
)
def test_base64_does_not_survive_anywhere_in_a_wrapped_text(*, secret, before, after, layout, encode, sizes):
    width, indent = layout
    plain = secret.strip().encode()
    text = encode(before + plain + after)
    lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
    wrapped = b"".join(indent.encode() + line + b"\n" for line in lines)
    inside = text[-(-len(before) * 8 // 6) : (len(before) + len(plain)) * 8 // 6]
    masked = _stream(Masker([secret]), wrapped, sizes)
    assert MASK in masked
    assert inside not in _packed(masked)


@settings(max_examples=80)
@given(
    secrets=st.lists(st.text(string.ascii_uppercase, min_size=8, max_size=40), max_size=4),
    text=st.text(string.ascii_lowercase + " \n\t", max_size=2000),
    sizes=_SIZES,
)
def test_text_without_secrets_is_unchanged(secrets, text, sizes):
    data = text.encode()
    masker = Masker(secrets)
    assert _stream(masker, data, sizes) == data
    assert masker.text(text) == text
    assert masker.value({text: [text, 12, None, True]}) == {text: [text, 12, None, True]}


@settings(max_examples=80)
@given(secret=_SECRETS, pieces=st.lists(st.integers(0, 30), max_size=30), sizes=_SIZES)
def test_pieces_make_no_difference(secret, pieces, sizes):
    """Bits of the secret, in any order: masked as a stream no less than as a whole."""
    packed = _packed(secret.encode())
    data = b"".join(packed[at % len(packed) :][: at + 1] + b"\n" * (at % 2) for at in pieces) + secret.encode()
    streamed = _stream(Masker([secret]), data, sizes)
    assert packed not in _packed(streamed)
    assert MASK in streamed
