"""Documents to resources: identity, content digest, places, and everything wrong with a file at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.diagnostics import Position, Severity
from spaces.model.kinds import SPECS
from spaces.names import Kind
from spaces.reading.resources import ParsedFile, parse_file, parse_files

SPACE = "apiVersion: stationkeeper/v1\nkind: Space\nmetadata: {name: a}\n"
STACK = "apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {name: net, space: a}\nspec: {tool: terraform, source: {path: .}}\n"


def read(text: str) -> ParsedFile:
    return parse_file("team/stacks.yaml", text.encode())


def test_a_resource_knows_what_it_is_and_where():
    data = f"{SPACE}---\nforeign: true\n---\n{STACK}".encode()
    parsed = parse_file("team/stacks.yaml", data)
    assert parsed.diagnostics == ()
    space, stack = parsed.resources
    assert (space.kind, space.name, space.space, space.index) == (Kind.SPACE, "a", None, 0)
    assert (stack.kind, stack.name, stack.space, stack.index) == (Kind.STACK, "net", "a", 2)
    assert stack.file == "team/stacks.yaml"
    assert stack.data is data
    assert stack.position() == Position("team/stacks.yaml", 7, 1)
    assert stack.position(("spec", "source", "path")) == Position("team/stacks.yaml", 10, 40)
    assert stack.position(("spec", "contexts", 3)) == Position("team/stacks.yaml", 10, 1)


def test_files_of_others_hold_nothing():
    broken = read("a: [")
    assert (broken.resources, broken.diagnostics) == ((), ())
    assert broken.unreadable.code == "yaml-syntax"


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param(STACK, True, id="same"),
        pytest.param("# why\n\n" + STACK, True, id="comment"),
        pytest.param(STACK.replace("{tool: terraform, source: {path: .}}", "\n  source:\n    path: '.'\n  'tool': terraform"), True, id="layout"),
        pytest.param(STACK.replace("net", "nets"), False, id="name"),
        pytest.param(STACK.replace(", space: a", ""), False, id="space"),
        pytest.param(STACK.replace("path: .", "path: ./"), False, id="spec"),
        pytest.param(STACK.replace("path: .}", "path: .}, protected: false"), False, id="default-written-out"),
        pytest.param(STACK.replace("space: a", "space: a, labels: {b: c}"), False, id="labels"),
    ],
)  # fmt: skip
def test_the_content_digest_follows_what_is_written(changed, same):
    before, after = read(STACK).resources[0].content, read(changed).resources[0].content
    assert (before == after) is same
    assert len(before) == 32


def test_kinds_with_the_same_words_differ():
    context = SPACE.replace("Space", "Context")
    assert read(SPACE).resources[0].content != read(context).resources[0].content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(SPACE.replace("Space", "Spacee"), [("unknown-kind", 2, 7)], id="unknown-kind"),
        pytest.param(SPACE.replace("Space", "[Space]"), [("wrong-type", 2, 7)], id="kind-is-a-list"),
        pytest.param(SPACE.replace("kind: Space\n", ""), [("missing-key", 1, 1)], id="no-kind"),
        pytest.param(SPACE + "specs: {}\n", [("unknown-key", 4, 1)], id="unknown-key"),
        pytest.param(SPACE + "status: {}\n", [("unknown-key", 4, 1)], id="status"),
        pytest.param(SPACE + "spec: [a]\n", [("wrong-type", 4, 1)], id="spec-is-a-list"),
        pytest.param(SPACE.replace("metadata: {name: a}\n", ""), [("missing-key", 1, 1)], id="no-metadata"),
        pytest.param(SPACE.replace("{name: a}", "a"), [("wrong-type", 3, 1)], id="metadata-is-text"),
        pytest.param(SPACE.replace("{name: a}", ""), [("wrong-type", 3, 1)], id="metadata-is-empty"),
        pytest.param(SPACE.replace("{name: a}", "{}"), [("missing-key", 3, 1)], id="no-name"),
        pytest.param(SPACE.replace("name: a", "name: 7"), [("wrong-type", 3, 18)], id="name-is-a-number"),
        *(
            pytest.param(SPACE.replace("name: a", f"name: {name}"), [("invalid-name", 3, 18)], id=f"name-{case}")
            for case, name in {
                "slash": "a/b", "newline": '"a\\nb"', "newline-last": '"a\\n"', "capitals": "Net", "empty": "''", "dash-first": "-a", "dash-last": "a-",
                "dots": "..", "dot": "a.b", "underscore": "a_b", "space": "a b", "long": "a" * 64, "foreign": "é", "digits-elsewhere": '"\\u0661"', "nul": '"a\\0"',
            }.items()
        ),
        pytest.param(SPACE.replace("a}", "a, nmae: b}"), [("unknown-key", 3, 21)], id="metadata-key"),
        pytest.param(
            SPACE.replace("a}", "root}") + "spec: {parent: b, inherit: true}\n",
            [("invalid-value", 4, 8), ("invalid-value", 4, 19)],
            id="root with a place",
        ),
        pytest.param(SPACE.replace("a}", "a, space: b}"), [("invalid-value", 3, 21)], id="space-of-a-space"),
        pytest.param(SPACE.replace("a}", "a, movedFrom: b/c}"), [("invalid-value", 3, 21)], id="moved-space"),
        pytest.param(STACK.replace("space: a", "movedFrom: b"), [("invalid-name", 3, 34)], id="moved-from-a-bare-name"),
        pytest.param(STACK.replace("space: a", "movedFrom: b/c/d"), [("invalid-name", 3, 34)], id="moved-from-too-much"),
        pytest.param(SPACE.replace("a}", "a, labels: {b: 1, 'c d': e, f: 'g,h', i: ''}}"),
                     [("wrong-type", 3, 33), ("invalid-label", 3, 36), ("invalid-label", 3, 49)], id="labels"),
        pytest.param(SPACE.replace("a}", "a, labels: [b]}"), [("wrong-type", 3, 29)], id="labels-is-a-list"),
        pytest.param(SPACE.replace("a}", 'a, description: "b\\0"}'), [("invalid-value", 3, 34)], id="description"),
    ],
)  # fmt: skip
def test_bad_documents_are_refused_with_their_place(text, expected):
    parsed = read(text)
    assert parsed.resources == ()
    assert [
        (each.code, each.position.line, each.position.column) for each in parsed.diagnostics if each.position
    ] == expected
    assert all(each.severity is Severity.ERROR for each in parsed.diagnostics)


def test_longest_name_and_metadata_of_a_stack():
    name = "a" * 63
    text = STACK.replace(
        "name: net", f"name: {name}, movedFrom: b/c, description: 'x\ty', labels: {{k.io/a_b: V-1, e: ''}}"
    )
    metadata = read(text).resources[0].metadata
    assert (metadata.name, metadata.moved_from, metadata.labels) == (name, "b/c", {"k.io/a_b": "V-1", "e": ""})


def test_a_missing_kind_names_the_supported_ones():
    found = read("apiVersion: stationkeeper/v1\nmetadata: {name: a}\n").diagnostics
    assert [each.hint for each in found] == [f"one of {', '.join(SPECS)}"]


def test_everything_wrong_with_a_file_is_told_at_once_and_good_documents_stay():
    text = f"{SPACE}{SPACE}---\n{STACK}---\n{STACK.replace('tool', 'tol')}---\n{SPACE}spec: {{a: [}}\n---\n{SPACE}"
    parsed = read(text)
    assert [(each.kind, each.index) for each in parsed.resources] == [(Kind.STACK, 1), (Kind.SPACE, 4)]
    assert [(each.code, each.position.line) for each in parsed.diagnostics if each.position] == [
        ("duplicate-key", 4),
        ("duplicate-key", 5),
        ("duplicate-key", 6),
        ("missing-key", 16),
        ("unknown-key", 16),
        ("yaml-syntax", 21),
    ]


def test_a_document_with_a_structural_fault_is_no_resource():
    parsed = read(SPACE + "spec: {parent: &a b}\nkind: Space\n")
    assert parsed.resources == ()
    assert [each.code for each in parsed.diagnostics] == ["duplicate-key"]


def test_every_resource_of_a_large_file_finds_its_place_quickly():
    parsed = read("---\n".join(STACK.replace("net", f"net{n}") for n in range(2000)))
    lines = [resource.position(("metadata", "name")).line for resource in parsed.resources]
    assert lines == [3 + 5 * n for n in range(2000)]


WORDS = st.sampled_from(
    ["name", "space", "labels", "tool", "terraform", "script", "source", "path", "env", "files", "hooks", "before", "after", "run", "plan", "contexts",
     "priority", "timeout", "url", "credentials", "password", "sshKey", "file", "onDelete", "ansible", "parent", "branch", "repository", "", "A", "\ud800"]
)  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(kind=st.sampled_from(["Space", "Stack", "Context", "Repository", "Role"]), metadata=VALUES, spec=VALUES)
def test_any_shape_of_values_is_either_good_or_told(kind, metadata, spec):
    import json

    text = json.dumps({"apiVersion": "stationkeeper/v1", "kind": kind, "metadata": metadata, "spec": spec})
    parsed = read(text)
    assert len(parsed.resources) + bool(parsed.diagnostics) == 1
    for each in parsed.diagnostics:
        assert each.position is not None
        assert str(each).isprintable()


@settings(max_examples=150)
@given(tail=st.text(alphabet="ab:-?[]{},'\"|>&*!%#@\\ \n\t0.<~", max_size=60))
def test_any_text_is_either_good_or_told(tail):
    parsed = read(SPACE + tail)
    assert all(each.position is not None and each.position.line <= 64 for each in parsed.diagnostics)
    assert len(parsed.resources) <= 1


def test_many_files_are_parsed_as_each_one_is():
    long = STACK + "# " + "x" * 40_000
    files = {
        f"{number}.yaml": text.encode() for number, text in enumerate([STACK, long, SPACE, "a: [", long, long, ""])
    }
    assert list(parse_files(files.items())) == [(file, parse_file(file, data)) for file, data in files.items()]
