"""What contexts that attach themselves change, and who goes back where their files are in each other's way."""

import pytest

from spaces.effective.stack import effective
from spaces.in_force import affected
from spaces.reading.resources import parse_file
from tests.unit.spaces.builders import (
    begin,
    codes,
    context,
    go_on,
    kept,
    many,
    names,
    space,
    stack,
    stack_id,
)

ATTACHING = {
    "tier.yaml": context("tier", {"T": "1"}, attach={"matchLabels": {"tier": "web"}}),
    "all.yaml": context("all", {"N": "1"}, in_space="p", attach={}),
    "both.yaml": context("both", {"B": "1"}, attach={"matchLabels": {"tier": "web", "env": "prod"}}),
    "spaces.yaml": many(space("p"), space("q", "p"), space("alone", "p", inherit=False), space("below", "alone")),
    "top.yaml": stack("top", labels={"tier": "web"}),
    "p.yaml": stack("s", in_space="p", labels={"tier": "web", "env": "prod"}),
    "q.yaml": many(stack("s", in_space="q", labels={"tier": "db"}), stack("plain", in_space="q")),
    "alone.yaml": stack("s", in_space="alone", labels={"tier": "web", "env": "prod"}),
    "below.yaml": stack("s", in_space="below", labels={"tier": "web"}),
}
WEB = {"matchLabels": {"tier": "web"}}


@pytest.mark.parametrize(
    ("changed", "stacks"),
    [
        pytest.param({"tier.yaml": context("tier", {"T": "2"}, attach=WEB)}, {"root/top", "p/s"}, id="its content"),
        pytest.param(
            {"tier.yaml": context("tier", {"T": "1"}, attach={"matchLabels": {"tier": "db"}})},
            {"root/top", "p/s", "q/s"},
            id="other labels: those that had it and those that get it",
        ),
        pytest.param({"tier.yaml": context("tier", {"T": "1"})}, {"root/top", "p/s"}, id="attached no more"),
        pytest.param({"tier.yaml": None}, {"root/top", "p/s"}, id="gone"),
        pytest.param({"all.yaml": None}, {"p/s", "q/s", "q/plain"}, id="one for all of a subtree, gone"),
        pytest.param({"both.yaml": None}, {"p/s"}, id="one that needs two labels, gone"),
        pytest.param(
            {"new.yaml": context("new", attach={}, in_space="alone")}, {"alone/s", "below/s"}, id="a new one for all"
        ),
        pytest.param(
            {"top.yaml": stack("top", labels={"tier": "db"})}, {"root/top"}, id="another label of a stack, itself"
        ),
        pytest.param(
            {"spaces.yaml": many(space("p"), space("q", "p"), space("alone", "p"), space("below", "alone"))},
            {"alone/s", "below/s"},
            id="a space that inherits now, and what inherits from it",
        ),
        pytest.param(
            {
                "spaces.yaml": many(
                    space("p"), space("q", "root"), space("alone", "p", inherit=False), space("below", "alone")
                )
            },
            {"q/s", "q/plain"},
            id="another parent",
        ),
    ],
)
def test_affected_by_what_attaches_itself(changed, stacks):
    before = begin(ATTACHING)
    assert before.in_force.diagnostics == ()
    after = go_on(before, changed)
    assert affected(before.in_force, after.in_force) == {stack_id(text) for text in stacks}
    was = {each: effective(before.in_force.documents, each) for each in before.in_force.documents.stacks()}
    now = {each: effective(after.in_force.documents, each) for each in after.in_force.documents.stacks()}
    assert {each for each, found in now.items() if found != was.get(each)} == {stack_id(text) for text in stacks}


A_FILE = {"c.yaml": context("deep", files={"a/b": "1"}), "s.yaml": stack("s", "deep", labels={"tier": "web"})}
IN_THE_WAY = context("flat", attach=WEB, files={"./a": "2"})


def test_a_context_that_attaches_itself_goes_back_when_it_breaks_a_stack():
    before = begin(A_FILE)
    after = go_on(before, {"flat.yaml": IN_THE_WAY})
    assert names(after) == names(before)
    assert [str(each.ref) for each in after.held_changes] == ["Context root/flat"]
    assert [(d.code, d.summary, d.position.file) for d in after.in_force.diagnostics] == [
        (
            "file-below-file",
            (
                "Context root/flat does not come into force, for Stack root/s: with it, Stack root/s gets a/b from "
                "Context root/deep inside a, which is a file from Context root/flat"
            ),
            "flat.yaml",
        )
    ]
    mended = go_on(after, {"flat.yaml": context("flat", attach=WEB, files={"c": "2"})}, "r2")
    assert (names(mended) - names(before), mended.in_force.diagnostics) == ({"Context root/flat"}, ())


def test_a_stack_that_takes_on_the_labels_goes_back_itself():
    before = begin(A_FILE | {"flat.yaml": IN_THE_WAY, "s.yaml": stack("s", "deep")})
    after = go_on(before, {"s.yaml": stack("s", "deep", labels={"tier": "web"})})
    assert before.in_force.diagnostics == ()
    assert set(kept(after)) == {"Stack root/s"}
    assert [(d.code, d.position.file) for d in after.in_force.diagnostics] == [("file-below-file", "s.yaml")]
    assert effective(after.in_force.documents, stack_id("root/s")).files.keys() == {"a/b"}


def test_a_space_that_would_inherit_trouble_stays_as_it_was():
    files = {"flat.yaml": IN_THE_WAY, "p/space.yaml": space("p", inherit=False)}
    files |= {f"p/{path}": data for path, data in A_FILE.items()}
    before = begin(files)
    after = go_on(before, {"p/space.yaml": space("p")})
    assert set(kept(after)) == {"Space p"}
    assert not after.in_force.documents.tree.inherits("p")
    assert [(d.code, d.position.file) for d in after.in_force.diagnostics] == [("still-in-use", "p/s.yaml")]


@pytest.mark.parametrize(
    ("own", "place"),
    [
        pytest.param({"files": {"a/b/c": "x"}}, ("spec", "files", "a/b/c"), id="its own file below a context's"),
        pytest.param({"files": {"a": "x"}}, ("spec", "files", "a"), id="its own file above a context's"),
        pytest.param({"contexts": ["deep", {"name": "flat", "priority": 3}]}, ("spec", "contexts", 0), id="two named"),
    ],
)
def test_files_below_files(own, place):
    files = A_FILE | {"flat.yaml": context("flat", files={"a": "2"})}
    files |= {"s.yaml": stack("s", **({"contexts": ["deep"]} | own))}
    in_force = begin(files)
    assert codes(in_force) == ["file-below-file"]
    assert in_force.in_force.diagnostics[0].position == parse_file("s.yaml", files["s.yaml"]).resources[0].position(
        place
    )
