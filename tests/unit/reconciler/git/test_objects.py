import pytest

from reconciler.git.errors import one_line
from reconciler.git.objects import EntryKind, RawEntry, TreeEntry, read_commit, read_tree, split_tree
from spaces.names import Revision

ID = bytes(range(20))
HEX = ID.hex()


def tree(*entries):
    return b"".join(mode + b" " + name + b"\0" + ID for mode, name in entries)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (b"40000", EntryKind.TREE),
        (b"040000", EntryKind.TREE),
        (b"100644", EntryKind.BLOB),
        (b"100664", EntryKind.BLOB),
        (b"100755", EntryKind.EXECUTABLE),
        (b"120000", EntryKind.SYMLINK),
        (b"160000", EntryKind.SUBMODULE),
    ],
)
def test_kinds_by_mode(mode, kind):
    assert read_tree(tree((mode, b"x"))) == {"x": TreeEntry(HEX, kind)}


def test_names_that_are_not_utf8_survive():
    (name,) = read_tree(tree((b"100644", b"a\xff")))
    assert name.encode("utf-8", "surrogateescape") == b"a\xff"
    assert one_line(name) == "a?"


@pytest.mark.parametrize("name", [b"a/b", b"/", b".", b".."])
def test_names_that_no_file_can_have_are_left_out(name):
    assert read_tree(tree((b"100644", name), (b"100644", b"x"))).keys() == {"x"}


@pytest.mark.parametrize("data", [b"garbage", tree((b"100644", b"x"))[:-1], tree((b"100644", b"x")) + b"!"])
def test_malformed_trees_are_errors(data):
    with pytest.raises(ValueError, match="malformed"):
        read_tree(data)


HEAD = b"tree " + HEX.encode() + b"\nparent " + b"1" * 40 + b"\nauthor A <a@x> 10 +0200\ncommitter C <c@x> 20 -0100\n"
SIGNATURE = b"gpgsig -----BEGIN\n line one\n line two\n"


def test_a_commit():
    info = read_commit(Revision("f" * 40), HEAD + b"\nFirst\n\nbody\n")
    assert (info.tree, info.parents) == (HEX, ("1" * 40,))
    assert (info.author_name, info.author_email, info.committer_email, info.time) == ("A", "a@x", "c@x", 20)
    assert (info.summary, info.signature) == ("First", None)


def test_the_signed_bytes_are_the_commit_without_its_signature():
    info = read_commit(Revision("f" * 40), HEAD + SIGNATURE + b"encoding x\n\nFirst\n")
    assert info.signature == (b"-----BEGIN\nline one\nline two", HEAD + b"encoding x\n\nFirst\n")


def test_two_signatures_count_as_none():
    assert read_commit(Revision("f" * 40), HEAD + SIGNATURE + SIGNATURE + b"\nFirst\n").signature is None


@pytest.mark.parametrize(
    "head",
    [
        b"tree " + HEX.encode() + b"\ncommitter A <a@x> 1 +0000\ncommitter B <b@x> 1 +0000\n",
        b"tree " + HEX.encode() + b"\ncommitter nobody\n",
        b"tree " + HEX.encode() + b"\n",
    ],
    ids=["two committers", "no address", "no committer"],
)
def test_an_unclear_committer_is_nobody(head):
    assert read_commit(Revision("f" * 40), head + b"\nx\n").committer_email == ""


def test_a_commit_without_a_tree_is_an_error():
    with pytest.raises(ValueError, match="malformed"):
        read_commit(Revision("f" * 40), b"author A <a@x> 1 +0000\n\nx\n")


def test_a_tree_cut_into_its_entries_loses_none():
    data = tree((b"40000", b".."), (b"100644", b"a b\xff"), (b"160000", b"100644 x"), (b"100755", b"\n"))
    cut = split_tree(data)
    assert b"".join(cut) == data
    assert [(entry.mode, entry.name, entry.id) for entry in map(RawEntry.read, cut)] == [
        (b"40000", b"..", ID),
        (b"100644", b"a b\xff", ID),
        (b"160000", b"100644 x", ID),
        (b"100755", b"\n", ID),
    ]
    assert RawEntry.read(cut[0]).kind is EntryKind.TREE
    assert RawEntry.read(cut[2]).kind is EntryKind.SUBMODULE
    assert split_tree(b"") == []


@pytest.mark.parametrize(
    "data", [b"x", tree((b"100644", b"a"))[:-1], b"junk" + tree((b"100644", b"a")), b"100644 \0" + ID]
)
def test_a_malformed_tree_is_not_cut(data):
    with pytest.raises(ValueError):
        split_tree(data)
