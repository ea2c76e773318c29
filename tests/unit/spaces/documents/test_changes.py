import pytest

from spaces.documents.changes import changes
from spaces.in_force import differing
from tests.unit.spaces.builders import begin, context, go_on, space, stack

BASE = {"p/space.yaml": space("prod"), "p/a.yaml": stack("a"), "c.yaml": context("c")}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"p/b.yaml": stack("b")}, ["create Stack prod/b"], id="create"),
        pytest.param({"p/a.yaml": stack("a", suspended=True)}, ["update Stack prod/a"], id="update"),
        pytest.param({"p/a.yaml": None}, ["delete Stack prod/a"], id="delete"),
        pytest.param({"p/a.yaml": b"# hello\n" + BASE["p/a.yaml"]}, [], id="layout only"),
        pytest.param({"p/a.yaml": None, "p/z.yaml": stack("a")}, [], id="another file of the directory"),
        pytest.param(
            {"p/a.yaml": None, "p/z/a.yaml": stack("a")},
            ["update Stack prod/a"],
            id="another directory: paths start there",
        ),
        pytest.param(
            {"p/a.yaml": stack("b", moved_from="prod/a")}, ["move Stack prod/b from Stack prod/a"], id="renamed"
        ),
        pytest.param(
            {"p/a.yaml": None, "a.yaml": stack("a", moved_from="prod/a")},
            ["move Stack root/a from Stack prod/a"],
            id="moved",
        ),
        pytest.param(
            {"p/a.yaml": stack("b")}, ["delete Stack prod/a", "create Stack prod/b"], id="renamed without saying so"
        ),
        pytest.param(
            {"p/b.yaml": stack("b", moved_from="prod/gone")}, ["create Stack prod/b"], id="from what never was"
        ),
        pytest.param({"p/space.yaml": space("prod", inherit=False)}, ["update Space prod"], id="a space"),
        pytest.param({"c.yaml": None}, ["delete Context root/c"], id="a context"),
    ],
)
def test_changes(changed, expected):
    before = begin(BASE)
    after = go_on(before, changed)
    quick = changes(before.documents, after.documents, differing(before, after))
    told = [f"{c.verb} {c.ref}" + (f" from {c.origin}" if c.origin else "") for c in quick]
    assert told == expected
    assert changes(before.documents, after.documents) == quick


def test_a_change_carries_both_versions():
    before = begin(BASE)
    after = go_on(before, {"p/a.yaml": stack("b", moved_from="prod/a")})
    (move,) = changes(before.documents, after.documents)
    assert (move.before.ref.name, move.after.ref.name) == ("a", "b")


def test_a_parent_from_the_directory_counts_as_part_of_a_space():
    before = begin({"p/q/space.yaml": space("eu")})
    after = go_on(before, {"p/space.yaml": space("prod")})
    assert [f"{c.verb} {c.ref}" for c in changes(before.documents, after.documents)] == [
        "update Space eu",
        "create Space prod",
    ]
