import pytest

from spaces.names import Kind
from spaces.reading.documents import read_documents
from tests.unit.spaces.builders import BROKEN, begin, context, go_on, many, names, ref, space, stack


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"a.yaml": stack("s")}, {"Stack root/s"}, id="the top is root"),
        pytest.param({"x/y/a.yaml": stack("s")}, {"Stack root/s"}, id="no space file above"),
        pytest.param(
            {"p/space.yaml": space("prod"), "p/a.yaml": stack("s")}, {"Space prod", "Stack prod/s"}, id="own directory"
        ),
        pytest.param(
            {"p/space.yml": space("prod"), "p/q/r/a.yml": stack("s")},
            {"Space prod", "Stack prod/s"},
            id="from above, yml",
        ),
        pytest.param(
            {"p/space.yaml": space("prod"), "p/q/space.yaml": space("eu"), "p/q/a.yaml": stack("s")},
            {"Space prod", "Space eu", "Stack eu/s"},
            id="nearest wins",
        ),
        pytest.param(
            {"p/space.yaml": space("prod"), "p/a.yaml": stack("s", in_space="root")},
            {"Space prod", "Stack root/s"},
            id="metadata.space wins",
        ),
        pytest.param(
            {"p/space.yaml": many(space("prod"), context("c"))}, {"Space prod", "Context prod/c"}, id="beside the space"
        ),
        pytest.param({"spaces.yaml": many(space("a"), space("b"))}, {"Space a", "Space b"}, id="any other file"),
        pytest.param({"notes.yaml": b"a: 1\n", "x.txt": stack("s")}, set(), id="not ours"),
    ],
)
def test_a_document_lies_in_its_directorys_space(files, expected):
    found = begin(files)
    assert names(found) == expected
    assert found.diagnostics == ()


@pytest.mark.parametrize(
    ("files", "parents"),
    [
        pytest.param({"p/space.yaml": space("a")}, {"a": "root"}, id="top"),
        pytest.param({"space.yaml": space("a")}, {"a": "root"}, id="space file at the top"),
        pytest.param({"p/space.yaml": space("a"), "p/q/space.yaml": space("b")}, {"b": "a"}, id="directory above"),
        pytest.param({"p/space.yaml": space("a"), "p/q/r/space.yaml": space("b")}, {"b": "a"}, id="further above"),
        pytest.param(
            {"p/space.yaml": space("a"), "p/q/space.yaml": space("b", "root")}, {"b": "root"}, id="written parent wins"
        ),
        pytest.param(
            {"p/space.yaml": space("a"), "p/teams.yaml": space("b")}, {"b": "a"}, id="declared in a directory"
        ),
    ],
)
def test_a_space_without_parent_hangs_below_the_directory_above(files, parents):
    catalog = begin(files).documents
    assert {name: catalog.placed(ref(f"Space {name}")).parent for name in parents} == parents


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"a.yaml": many(stack("s"), stack("s"))},
            [("a.yaml", 1, "duplicate-name"), ("a.yaml", 3, "duplicate-name")],
            id="twice in a file",
        ),
        pytest.param(
            {"a.yaml": stack("s"), "b/b.yaml": stack("s")},
            [("a.yaml", 1, "duplicate-name"), ("b/b.yaml", 1, "duplicate-name")],
            id="twice in two files",
        ),
        pytest.param(
            {"p/space.yaml": many(space("a"), space("b"))},
            [("p/space.yaml", 3, "several-spaces")],
            id="two in a space file",
        ),
        pytest.param(
            {"p/space.yaml": space("a"), "p/space.yml": space("b")},
            [("p/space.yml", 1, "several-spaces")],
            id="two space files",
        ),
        pytest.param(
            {"p/space.yaml": BROKEN, "p/a.yaml": stack("s")},
            [("p/a.yaml", 1, "space-not-known"), ("p/space.yaml", 3, "yaml-syntax")],
            id="broken space file",
        ),
    ],
)
def test_what_is_wrong_with_the_files(files, expected):
    found = begin(files).diagnostics
    assert [(d.position.file, d.position.line, d.code) for d in found] == expected


def test_two_new_ones_of_a_name_name_each_other_and_count_for_none():
    before = begin({"a.yaml": stack("s"), "b.yaml": stack("s")})
    first, second = before.diagnostics
    assert "b.yaml:1:" in first.hint
    assert "a.yaml:1:" in second.hint
    assert before.documents.placed(ref("Stack root/s")) is None
    assert go_on(before, {"b.yaml": None}).documents.placed(ref("Stack root/s")) is not None


def test_only_changed_files_are_read():
    before = begin({"p/space.yaml": space("a"), "p/s.yaml": stack("s"), "t.yaml": stack("t")})
    read = []

    def noting(files):
        read.extend(file for file, _ in files)
        return read_documents(files)

    after = go_on(before, {"p/space.yaml": space("b")}, read=noting)
    assert read == ["p/space.yaml"]
    assert names(after) == {"Space b", "Stack b/s", "Stack root/t"}


GOODS = {
    "space.yaml": b"",
    "root.yaml": many(context("common"), context("base")),
    "p/space.yaml": space("platform"),
    "p/c.yaml": context("common"),
    "p/q/space.yaml": space("prod"),
    "p/q/c.yaml": context("own"),
    "t/space.yaml": space("team", inherit=False),
}


@pytest.mark.parametrize(
    ("name", "where", "found"),
    [
        pytest.param("own", "prod", "Context prod/own", id="own space"),
        pytest.param("common", "prod", "Context platform/common", id="nearest above"),
        pytest.param("base", "prod", "Context root/base", id="far above"),
        pytest.param("root/common", "prod", "Context root/common", id="exactly"),
        pytest.param("prod/own", "prod", "Context prod/own", id="exactly, own"),
        pytest.param("prod/own", "platform", None, id="not upwards"),
        pytest.param("base", "team", None, id="no inheritance"),
        pytest.param("root/base", "team", None, id="no inheritance, exactly"),
        pytest.param("platform/common", "team", None, id="a cousin's"),
        pytest.param("gone/common", "prod", None, id="unknown space"),
        pytest.param("common", "gone", None, id="from an unknown space"),
    ],
)
def test_lookup(name, where, found):
    documents = begin(GOODS).documents
    assert documents.lookup(Kind.CONTEXT, name, where) == (ref(found) if found else None)


def test_counts_and_listing():
    in_force = begin(GOODS | {"p/b.yaml": stack("b"), "p/a.yaml": stack("a")})
    assert in_force.documents.counts() == {Kind.SPACE: 3, Kind.CONTEXT: 4, Kind.STACK: 2}
    assert [str(s) for s in in_force.documents.stacks()] == ["platform/a", "platform/b"]
    assert {p.ref.name for p in in_force.documents.of_kind(Kind.SPACE)} == {"platform", "prod", "team"}
    assert [str(r) for r in in_force.documents.visible(Kind.CONTEXT, "team")] == []
