from itertools import pairwise

import pytest

from spaces.documents.tree import SpaceNode, SpaceTree, TreeFault
from spaces.names import ROOT, SpaceName


def tree(**parents):
    """`name="parent"` inherits nothing, `name="parent+"` inherits."""
    return SpaceTree.build(
        {SpaceName(n): SpaceNode(SpaceName(p.rstrip("+")), p.endswith("+")) for n, p in parents.items()}
    )


FOREST = {"platform": "root", "prod": "platform+", "eu": "prod+", "team": "root+", "web": "team"}


@pytest.mark.parametrize(
    ("space", "lineage"),
    [
        pytest.param("root", ("root",), id="root"),
        pytest.param("platform", ("platform", "root"), id="first level"),
        pytest.param("eu", ("eu", "prod", "platform", "root"), id="nearest first"),
        pytest.param("nowhere", (), id="unknown"),
    ],
)
def test_lineage(space, lineage):
    assert tree(**FOREST).lineage(space) == lineage


@pytest.mark.parametrize(
    ("above", "below", "flows"),
    [
        pytest.param("eu", "eu", True, id="own goods"),
        pytest.param("prod", "eu", True, id="parent of an inheriting child"),
        pytest.param("platform", "eu", True, id="whole chain inherits"),
        pytest.param("root", "eu", False, id="chain broken at the top"),
        pytest.param("eu", "prod", False, id="never upwards"),
        pytest.param("team", "web", False, id="child does not inherit"),
        pytest.param("root", "team", True, id="from the root"),
        pytest.param("team", "eu", False, id="cousin"),
        pytest.param("root", "nowhere", False, id="unknown space"),
    ],
)
def test_goods_flow_down_an_inheriting_chain(above, below, flows):
    assert tree(**FOREST).flows(above, below) is flows


def test_children_subtree_and_parent():
    t = tree(**FOREST)
    assert t.children(ROOT) == ("platform", "team")
    assert t.subtree("platform") == ("platform", "prod", "eu")
    assert tuple(t.spaces()) == ("root", "platform", "prod", "eu", "team", "web")
    assert (t.parent("eu"), t.parent(ROOT), t.parent("nowhere")) == ("prod", None, None)


@pytest.mark.parametrize(
    ("spaces", "faults"),
    [
        pytest.param({"a": "root"}, {}, id="sound"),
        pytest.param({"a": "gone"}, {"a": "orphan"}, id="orphan"),
        pytest.param({"a": "gone", "b": "a"}, {"a": "orphan", "b": "detached"}, id="below an orphan"),
        pytest.param({"a": "a"}, {"a": "cycle"}, id="its own parent"),
        pytest.param({"a": "b", "b": "c", "c": "a"}, {"a": "cycle", "b": "cycle", "c": "cycle"}, id="three in a ring"),
        pytest.param({"x": "a", "a": "b", "b": "a"}, {"x": "detached", "a": "cycle", "b": "cycle"}, id="tail first"),
        pytest.param({"a": "b", "b": "a", "x": "a"}, {"x": "detached", "a": "cycle", "b": "cycle"}, id="tail last"),
    ],
)
def test_faults(spaces, faults):
    t = tree(**spaces)
    assert t.faults == {name: TreeFault(fault) for name, fault in faults.items()}
    assert [t.exists(name) for name in spaces] == [name not in faults for name in spaces]


def test_a_cycle_is_told_as_a_path():
    t = tree(a="b", b="c", c="a", x="a")
    assert t.cycle("b") == ("b", "c", "a", "b")
    assert t.cycle("x") == ()


def test_any_depth():
    depth = 20_000
    names = [ROOT, *(f"s{i}" for i in range(depth))]
    t = SpaceTree.build({SpaceName(n): SpaceNode(SpaceName(p), inherit=True) for p, n in pairwise(names)})
    assert len(t.lineage(names[-1])) == depth + 1
    assert t.flows(ROOT, names[-1])
    assert len(t.subtree(ROOT)) == depth + 1
