from itertools import pairwise

import pytest

from spaces.in_force import affected
from spaces.rules.dependencies import Cycles, dependents_of, descendants_of, parents_of, waves
from tests.unit.spaces.builders import begin, codes, doc, go_on, kept, many, names, space, stack, stack_id


def script(name, *parents, in_space=None, share=(), **metadata):
    metadata |= {"space": in_space} if in_space else {}
    return doc("Stack", name, {
        "tool": "script", "script": {"apply": "true"}, "dependsOn": list(parents), "shareOutputs": list(share)
    }, **metadata)  # fmt: skip


def told(in_force):
    return [f"{d.position.file}:{d.position.column} {d.code} {d.summary}" for d in in_force.diagnostics]


SPACES = {"s.yaml": many(space("platform"), space("team", "platform"), space("apart", "platform", inherit=False))}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"a.yaml": script("a"), "b.yaml": script("b", "a")}, [], id="in one space"),
        pytest.param({"a.yaml": script("a", in_space="platform"), "b.yaml": script("b", "a", in_space="team")}, [], id="from above"),
        pytest.param(
            {"a.yaml": script("a", in_space="platform"), "b.yaml": script("b", "a", in_space="apart")},
            ["b.yaml:168 unknown-stack there is no Stack a for Stack apart/b"], id="where it does not flow",
        ),
        pytest.param(
            {"a.yaml": script("a", in_space="platform"), "b.yaml": script("b", "platform/a", in_space="apart")},
            ["b.yaml:168 unknown-stack there is no Stack platform/a for Stack apart/b"], id="named where it does not flow",
        ),
        pytest.param(
            {"b.yaml": script("b", "platform/a", in_space="apart")},
            ["b.yaml:168 unknown-stack there is no Stack platform/a for Stack apart/b"], id="the same words where there is none",
        ),
        pytest.param({"a.yaml": script("a", in_space="team", share=["apart"]), "b.yaml": script("b", "team/a", in_space="apart")}, [], id="shared"),
        pytest.param({"a.yaml": script("a", in_space="team", share=["root"]), "b.yaml": script("b", "team/a", in_space="apart")}, [], id="shared with all"),
        pytest.param(
            {"a.yaml": script("a", in_space="team", share=["apart"]), "b.yaml": script("b", "a", in_space="apart")},
            ["b.yaml:168 unknown-stack there is no Stack a for Stack apart/b"], id="shared, but not by a bare name",
        ),
        pytest.param(
            {"a.yaml": script("a", in_space="team", share=["apart"]), "b.yaml": script("b", "team/a", in_space="platform")},
            ["b.yaml:171 unknown-stack there is no Stack team/a for Stack platform/b"], id="shared with another",
        ),
        pytest.param(
            {"a.yaml": script("a", share=["aprt"])},
            ["a.yaml:170 unknown-space Stack root/a: there is no space aprt in force"], id="shared with a space that is not there",
        ),
        pytest.param({"b.yaml": script("b", "b")}, ["b.yaml:150 depends-on-itself Stack root/b depends on itself"], id="on itself"),
        pytest.param(
            {"a.yaml": script("a"), "b.yaml": script("b", "a", "root/a")},
            ["b.yaml:155 duplicate-dependency Stack root/b names Stack root/a twice"], id="one by two names",
        ),
        pytest.param(
            {"a.yaml": script("a", "c"), "b.yaml": script("b", "a"), "c.yaml": script("c", "x", {"stack": "b"}), "x.yaml": script("x")},
            [
                "a.yaml:150 dependency-cycle Stack root/a depends on itself: root/a -> root/c -> root/b -> root/a",
                "b.yaml:150 dependency-cycle Stack root/b depends on itself: root/b -> root/a -> root/c -> root/b",
                "c.yaml:165 dependency-cycle Stack root/c depends on itself: root/c -> root/b -> root/a -> root/c",
            ],
            id="a circle",
        ),
    ],
)  # fmt: skip
def test_what_a_stack_may_depend_on(files, expected):
    assert told(begin(SPACES | files)) == expected


TWO = SPACES | {"a.yaml": script("a", in_space="team", share=["apart"]), "b.yaml": script("b", "team/a", in_space="apart")}  # fmt: skip
ALL = {"Space platform", "Space team", "Space apart", "Stack team/a", "Stack apart/b"}


@pytest.mark.parametrize(
    ("changed", "stays", "code"),
    [
        pytest.param({"a.yaml": None}, {"Stack team/a"}, "still-in-use", id="a parent cannot leave"),
        pytest.param({"a.yaml": script("a", in_space="team")}, {"Stack team/a"}, "still-in-use", id="nor stop sharing"),
        pytest.param({"a.yaml": script("n", in_space="team", share=["apart"], movedFrom="team/a")}, {"Stack team/a"}, "still-in-use", id="nor move away"),
        pytest.param({"b.yaml": script("b", "team/c", in_space="apart")}, {"Stack apart/b"}, "unknown-stack", id="a child that names nobody stays as it was"),
    ],
)  # fmt: skip
def test_what_works_stays_in_force(changed, stays, code):
    after = go_on(begin(TWO), changed)
    assert names(after) == ALL
    assert set(kept(after)) == stays
    assert code in codes(after)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"a.yaml": None, "b.yaml": None}, id="both leave"),
        pytest.param({"a.yaml": None, "b.yaml": script("b", in_space="apart")}, id="the child lets go"),
        pytest.param(
            {"a.yaml": script("n", in_space="team", share=["apart"], movedFrom="team/a"), "b.yaml": script("b", "team/n", in_space="apart")},
            id="the parent moves and the child says so",
        ),
        pytest.param({"a.yaml": script("a", in_space="team", share=["platform"])}, id="shared more widely"),
    ],
)  # fmt: skip
def test_what_works_together_comes_into_force(changed):
    after = go_on(begin(TWO), changed)
    assert (after.held_changes, codes(after)) == ((), [])


def test_a_new_circle_is_broken_by_keeping_the_last_valid_version():
    start = begin({"a.yaml": script("a"), "b.yaml": script("b", "a")})
    after = go_on(start, {"a.yaml": script("a", "b")})
    assert set(kept(after)) == {"Stack root/a"}
    assert [d.summary for d in after.diagnostics] == ["Stack root/a depends on itself: root/a -> root/b -> root/a"]
    assert parents_of(after.documents, stack_id("root/a")) == []


def test_a_space_that_is_shared_with_cannot_leave():
    start = begin({"s.yaml": many(space("one"), space("two")), "a.yaml": script("a", in_space="one", share=["two"])})
    after = go_on(start, {"s.yaml": space("one")})
    assert "Space two" in names(after)
    assert codes(after) == ["still-in-use"]


def test_a_change_reaches_the_stacks_that_may_mean_it_and_no_others():
    teams = {f"{team}.yaml": many(space(team), script("net", in_space=team), script("app", "net", in_space=team)) for team in "xyz"}  # fmt: skip
    start = begin(teams | {"q.yaml": script("q", "x/net", share=[]), "n.yaml": script("net")})
    changed = many(space("x"), script("net", in_space="x", share=["y"]), script("app", "net", in_space="x"))
    after = go_on(start, {"x.yaml": changed})
    assert {str(each) for each in affected(start, after)} == {"x/net", "x/app"}
    after = go_on(start, {"n.yaml": script("net", share=["y"])})
    assert "root/net" in {str(each) for each in affected(start, after)}


def test_the_graph_is_asked_edge_by_edge():
    graph = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}
    catalog = begin({f"{name}.yaml": script(name, *parents) for name, parents in graph.items()}).documents
    ids = {name: stack_id(f"root/{name}") for name in graph}
    assert dependents_of(catalog, ids["a"]) == [ids["b"], ids["c"]]
    assert descendants_of(catalog, [ids["b"]]) == {ids["d"]}
    assert descendants_of(catalog, [ids["a"]]) == {ids["b"], ids["c"], ids["d"]}
    parents = {each: parents_of(catalog, each) for each in ids.values()}
    assert waves(ids.values(), parents) == [[ids["a"], ids["e"]], [ids["b"], ids["c"]], [ids["d"]]]
    assert waves([ids["d"], ids["a"]], parents) == [[ids["a"], ids["d"]]]
    with pytest.raises(ValueError, match="circle"):
        waves([ids["a"]] * 2 + [ids["b"]], {ids["a"]: [ids["b"]], ids["b"]: [ids["a"]]})


def test_a_very_long_chain_is_no_trouble_and_a_very_long_circle_is_told_in_short():
    many_names = [f"s{number}" for number in range(3000)]
    files = {f"{below}.yaml": script(below, above) for above, below in pairwise(many_names)}
    good = begin(files | {"s0.yaml": stack("s0")})
    assert (codes(good), len(names(good))) == ([], 3000)
    cycles = Cycles(good.documents)
    assert cycles.through(stack_id("root/s2999")) is None
    after = go_on(good, {"s0.yaml": script("s0", "s2999")})
    assert [d.summary for d in after.diagnostics] == [
        "Stack root/s0 depends on itself: root/s0 -> root/s2999 -> … 2998 more … -> root/s0"
    ]
    assert len(names(after)) == 3000
