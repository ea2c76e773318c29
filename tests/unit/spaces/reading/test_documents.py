"""Bytes to documents: what is ours, what is refused and where, and that hostile input stays cheap."""

import time

import pytest

from spaces.diagnostics import Position, Severity
from spaces.reading.documents import MAX_FILE_BYTES, locate, parse_documents
from spaces.reading.parser import MAX_ALIASES, MAX_DEPTH, MAX_FINDINGS

OURS = "apiVersion: stationkeeper/v1\n"


def read(text: str | bytes):
    read = parse_documents("a/b.yaml", text if isinstance(text, bytes) else text.encode())
    return read.documents, read.diagnostics


def codes(text: str | bytes) -> list[tuple[str, int, int]]:
    found = []
    for each in read(text)[1]:
        assert each.position is not None
        assert each.position.file == "a/b.yaml"
        found.append((each.code, each.position.line, each.position.column))
    return found


def value(yaml: str):
    documents, diagnostics = read(f"{OURS}x: {yaml}")
    assert diagnostics == []
    return documents[0].value["x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("a: [", [], id="not-yaml-not-ours"),
        pytest.param("\0\1\2", [], id="binary"),
        pytest.param("apiVersion: v1\nkind: Pod\n", [], id="kubernetes"),
        pytest.param("- stationkeeper/v1\n", [], id="a-list-that-mentions-us"),
        pytest.param("stationkeeper/v1\n", [], id="a-scalar-that-mentions-us"),
        pytest.param("apiVersion: v1\na: !x 1\na: 2\nnote: stationkeeper/v1\n", [], id="odd-but-foreign"),
        pytest.param("apiVersion: [stationkeeper/v1]\n", [], id="api-version-is-a-list"),
        pytest.param(f"a: {'[' * 99}\n---\n{OURS}", [1], id="foreign-and-too-deep-beside-ours"),
        pytest.param(f"a: {{\n---\n{OURS}", [1], id="foreign-and-not-yaml-beside-ours"),
        pytest.param(OURS, [0], id="one"),
        pytest.param(f"\ufeff{OURS}", [0], id="byte-order-mark"),
        pytest.param(f"---\n{OURS}---\nb: 1\n---\n{OURS}...\n", [0, 2], id="several"),
        pytest.param(f"# why\n%YAML 1.2\n---\n{OURS}x: {{url: http://x}}\n---\n{OURS}", [0, 1], id="directive"),
        pytest.param(OURS.replace("\n", "\r\n") * 1 + "b: 1\r\n", [0], id="windows-line-ends"),
    ],
)
def test_only_what_carries_our_api_version_is_read(text, expected):
    documents, diagnostics = read(text)
    assert diagnostics == []
    assert [each.index for each in documents] == expected
    assert all(each.sound for each in documents)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("", None), ("~", None), ("null", None), ("Null", None), ("nil", "nil"),
        ("1", 1), ("-12", -12), ("+3", 3), ("007", 7), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("1.2.3", "1.2.3"),
        ("12:30:45", "12:30:45"), ("2024-01-01", "2024-01-01"), ("-", [None]), ("-a", "-a"), ("10.0.0.0/16", "10.0.0.0/16"),
        ("'1'", "1"), ('"true"', "true"), ("''", ""), ("|\n  1\n", "1\n"), (">\n  a\n  b\n", "a b\n"),
        ("{}", {}), ("[]", []), ("[1, [a, {b: c}]]", [1, ["a", {"b": "c"}]]),
        ("{url: http://x, t: [12:30:45]}", {"url": "http://x", "t": ["12:30:45"]}),
        ("'é\U0001f600'", "é\U0001f600"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_the_yaml_1_2_core_schema(yaml, expected):
    if yaml == "-":
        yaml = "\n  -"
    found = value(yaml)
    assert found == expected
    assert type(found) is type(expected)


def test_aliases_stand_for_their_anchor():
    documents, diagnostics = read(f"{OURS}a: &x {{b: &y 1}}\nc: [*x, *y]\n")
    assert diagnostics == []
    assert documents[0].value["c"] == [{"b": 1}, 1]


BOMB = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 4) if i else 'x'}]" for i in range(12))
WIDE = f"a: &a [{', '.join('xx' * 1 for _ in range(3000))}]\nb: [*a, *a, *a, *a]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{OURS}a: b: c\n", [("yaml-syntax", 2, 5)], id="not-yaml"),
        pytest.param(f"{OURS}a: [1\n", [("yaml-syntax", 2, 4)], id="unclosed-list"),
        pytest.param(f"{OURS}a: 'b\n", [("yaml-syntax", 2, 4)], id="unclosed-quote"),
        pytest.param(f"{OURS}a:\n\tb: 1\n", [("yaml-syntax", 3, 1)], id="tab"),
        pytest.param(f"{OURS}a: {{b: c:d\n", [("yaml-syntax", 2, 4)], id="unclosed-mapping"),
        pytest.param(f"{OURS}a: é\x07\n", [("yaml-syntax", 2, 5)], id="control-character"),
        pytest.param(f"{OURS}a: b\0\n", [("yaml-syntax", 2, 5)], id="nul"),
        pytest.param(OURS.encode() + b"a: x\xff\n", [("not-utf8", 2, 5)], id="latin-1"),
        pytest.param(OURS.encode() + b" " * MAX_FILE_BYTES, [("file-too-large", 1, 1)], id="too-large"),
        pytest.param(f"{OURS}a: {'[' * 200_000}", [("yaml-depth", 2, 3 + MAX_DEPTH)], id="200-kB-of-brackets"),
        pytest.param(f"{OURS}a: {'{a: ' * 50_000}", [("yaml-depth", 2, 4 + 4 * (MAX_DEPTH - 1))], id="deep-mappings"),
        pytest.param(OURS + "".join(f"{' ' * i}a:\n" for i in range(99)), [("yaml-depth", 66, 65)], id="deep-blocks"),
        pytest.param(f"{OURS}a: 1\nb: 2\na: 3\n", [("duplicate-key", 4, 1)], id="duplicate-key"),
        pytest.param(f"{OURS}m: {{a: 1, 'a': [2]}}\n", [("duplicate-key", 2, 11)], id="duplicate-key-quoted"),
        pytest.param(f"{OURS}{OURS}", [("duplicate-key", 2, 1)], id="duplicate-api-version"),
        pytest.param(f"{OURS}1: a\n", [("yaml-key", 2, 1)], id="number-as-key"),
        pytest.param(f"{OURS}~: a\n", [("yaml-key", 2, 1)], id="null-as-key"),
        pytest.param(f"{OURS}? [a]\n: b\n", [("yaml-key", 2, 3)], id="list-as-key"),
        pytest.param(f"{OURS}? {{a: 1, a: 2}}\n: {{c: d}}\n", [("yaml-key", 2, 3), ("duplicate-key", 2, 10)], id="mapping-as-key"),
        pytest.param(f"{OURS}a: &a b\n*a : c\n", [("yaml-key", 3, 1)], id="alias-as-key"),
        pytest.param(f"{OURS}a: !!str 1\n", [("yaml-tag", 2, 4)], id="tag"),
        pytest.param(f"{OURS}a: !!python/object:os.system [x]\n", [("yaml-tag", 2, 4)], id="python-tag"),
        pytest.param(f"{OURS}a: !x {{b: c}}\n", [("yaml-tag", 2, 4)], id="tag-on-mapping"),
        pytest.param(f"{OURS}a: &a {{b: c}}\n<<: *a\n", [("yaml-merge-key", 3, 1)], id="merge-key"),
        pytest.param(f"{OURS}a: *b\n", [("yaml-alias", 2, 4)], id="unknown-anchor"),
        pytest.param(f"{OURS}a: &a [*a]\n", [("yaml-alias", 2, 8)], id="alias-to-itself"),
        pytest.param(f"{OURS}a: &a 1\nb: [{', '.join(['*a'] * (MAX_ALIASES + 2))}]\n", [("yaml-alias-limit", 3, 85)], id="aliases"),
        pytest.param(f"{OURS}{BOMB}\n", [("yaml-alias-limit", 8, 10)], id="alias-bomb"),
        pytest.param(f"{OURS}{WIDE}", [("yaml-alias-limit", 3, 17)], id="aliases-of-much"),
        pytest.param(f"{OURS}a: .inf\nb: -.INF\nc: .nan\nd: 1e999\n", [("yaml-number", n, 4) for n in (2, 3, 4, 5)], id="numbers"),
        pytest.param("apiVersion: stationkeeper/v2\n", [("api-version", 1, 13)], id="wrong-version"),
        pytest.param("a: b\n---\nc: d\n---\n'apiVersion': 'stationkeeper/'\n", [("api-version", 5, 15)], id="no-version"),
        pytest.param(f"{OURS}a: 1\na: 2\nb: [1\n", [("duplicate-key", 3, 1), ("yaml-syntax", 4, 4)], id="before-it-broke-off"),
    ],
)  # fmt: skip
def test_bad_input_is_told_with_its_place(text, expected):
    started = time.process_time()
    assert codes(text) == expected
    assert not [each for each in read(text)[0] if each.sound]
    assert time.process_time() - started < 5, "hostile input must stay cheap"


def test_a_document_that_is_not_yaml_does_not_hide_the_others():
    text = f"{OURS}n: 1\n---\n{OURS}a: [1\n---\n{OURS}n: 3\n---\n{OURS}a: 'b\n---\n{OURS}n: {{u: http://x}}\n"
    documents, diagnostics = read(text)
    assert [(each.index, each.value["n"]) for each in documents] == [(0, 1), (2, 3), (4, {"u": "http://x"})]
    assert [(each.code, each.position.line) for each in diagnostics if each.position] == [
        ("yaml-syntax", 5),
        ("yaml-syntax", 11),
    ]
    assert [locate("a/b.yaml", text.encode(), each.index).value(("n",)).line for each in documents] == [2, 8, 14]


def test_findings_in_one_document_are_limited_and_it_stays_broken():
    text = f"{OURS}a: [{', '.join(['!x 1'] * 1000)}]\n"
    documents, diagnostics = read(text)
    assert len(diagnostics) == MAX_FINDINGS
    assert [each.sound for each in documents] == [False]


PLACES = f"""{OURS}metadata:
  name: a
spec:
  env: {{A: 'x', B: y}}
  contexts:
    - common
    - {{name: é, priority: &p 1}}
  other: *p
"""


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        pytest.param((), (1, 1), (1, 1), id="document"),
        pytest.param(("metadata",), (2, 1), (3, 3), id="block-mapping"),
        pytest.param(("metadata", "name"), (3, 3), (3, 9), id="scalar"),
        pytest.param(("spec", "env"), (5, 3), (5, 8), id="flow-mapping"),
        pytest.param(("spec", "env", "B"), (5, 17), (5, 20), id="in-flow-mapping"),
        pytest.param(("spec", "contexts", 0), (7, 7), (7, 7), id="item"),
        pytest.param(("spec", "contexts", 1, "priority"), (8, 17), (8, 27), id="after-a-wide-character"),
        pytest.param(("spec", "other"), (9, 3), (9, 10), id="alias"),
        pytest.param(("spec", "other", "deeper", 3), (9, 3), (9, 3), id="absent-below-a-scalar"),
        pytest.param(("spec", "contexts", 9), (6, 3), (6, 3), id="absent-item"),
        pytest.param(("nothing",), (1, 1), (1, 1), id="absent"),
    ],
)  # fmt: skip
def test_places_are_found_again(path, key, value):
    places = locate("a.yaml", PLACES.encode(), 0)
    assert places.key(path) == Position("a.yaml", *key)
    assert places.value(path) == Position("a.yaml", *value)


def test_places_of_a_document_that_is_not_there():
    assert locate("a.yaml", OURS.encode(), 7).value(("spec",)) == Position("a.yaml", 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("? " * 100_000, id="question-marks"),
        pytest.param("- " * 100_000, id="dashes"),
        pytest.param("\n? " * 60_000, id="keys-without-end"),
        pytest.param("[" + "*a, " * 60_000 + "]", id="aliases"),
        pytest.param("[" + "{u: http://x}, " * 60_000 + "]", id="much-for-the-pure-parser"),
        pytest.param("\n---\n" * 100_000 + "[", id="many-documents"),
        pytest.param("1" * 200_000, id="long-number"),
        pytest.param("1e" + "9" * 200_000, id="long-exponent"),
        pytest.param('"' + "\\" * 200_000, id="backslashes"),
        pytest.param("\n---\napiVersion: stationkeeper/v1\na: [{u: http://x}\n" * 5_000, id="many-broken"),
    ],
)
def test_hostile_files_are_cheap(text):
    started = time.process_time()
    read(f"{OURS}x: {text}")
    assert time.process_time() - started < 20


MISSPELT = "apiVersion: {}\nkind: {}\nmetadata: {{name: a}}\nspec: {{}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(MISSPELT.format("stationkeper/v1", "Stack"), "1:13 api-version", id="a letter less"),
        pytest.param(MISSPELT.format("StationKeeper/v1", "Stack"), "1:13 api-version", id="capitals"),
        pytest.param(MISSPELT.format("stationkeeper", "Space"), "1:13 api-version", id="no version"),
        pytest.param(
            "a: 1\n---\n" + MISSPELT.format('"stationkeper/v1"', "Stack"), "3:13 api-version", id="the second"
        ),
        pytest.param(OURS + "---\n" + MISSPELT.format("stationkeper/v1", "Stack"), "api-version", id="beside ours"),
        pytest.param(
            "- apiVersion: stationkeeper/v1\n  kind: Stack\n  metadata: {}\n", "1:1 document-in-list", id="a list"
        ),
        pytest.param(MISSPELT.format("stationkeper/v1", "Deployment"), "", id="no kind of ours"),
        pytest.param(MISSPELT.format("stationkeper/v1", "[Stack]"), "", id="no kind at all"),
        pytest.param(MISSPELT.format("apps/v1", "Stack"), "", id="somebody else's Stack"),
        pytest.param(MISSPELT.format("station.example.org/v1", "Stack"), "", id="somebody else's station"),
        pytest.param(
            "- kind: Role\n  metadata: {}\n  apiVersion: v1\n- stationkeeper/v1\n", "", id="somebody else's list"
        ),
        pytest.param("kind: [stationkeeper/v1]\nmetadata: {}\n", "", id="a kind that is a list"),
    ],
)
def test_a_near_miss_of_ours_is_told_and_nobody_else_is_bothered(text, expected):
    documents, diagnostics = read(text)
    told = [f"{it.position.line}:{it.position.column} {it.code}" for it in diagnostics]
    assert len(told) == bool(expected)
    assert all(
        it.severity is Severity.WARNING and each.endswith(expected) for it, each in zip(diagnostics, told, strict=True)
    )
    assert len(documents) == text.startswith(OURS)
