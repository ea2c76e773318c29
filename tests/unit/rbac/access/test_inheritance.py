"""By role, action and place: roles go down always, sight goes up only where the child inherits."""

import pytest

from rbac.access.actions import BUILT_IN
from spaces.names import SpaceName
from tests.unit.rbac.builders import binding, can, compiled, tree

ACTIONS = {
    # action: the roles that hold it
    "stack:read": {"reader", "operator", "writer", "admin", "deployer"},
    "run:confirm": {"operator", "writer", "admin", "deployer"},
    "stack:update": {"writer", "admin"},
    "policy:update": {"admin"},
    "roleBinding:create": {"admin"},
    "space:create": {"admin"},
}
ROLES = [*BUILT_IN, "deployer"]
SPACES = ("root", "parent", "self", "child", "sibling")


def place(inherit):
    mark = "+" if inherit else ""
    return tree(parent="root", self=f"{mark}parent", child=f"{mark}self", sibling=f"{mark}parent")


@pytest.mark.parametrize("inherit", [True, False], ids=["inherit", "apart"])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_holds_in_its_space_and_below(role, inherit):
    roles = {"deployer": "stack:read run:confirm"}
    access = compiled(place(inherit), binding("self/b", role, "user:bob"), roles=roles)
    allowed = {action: {space for space in SPACES if can(access, "bob", action, space)} for action in ACTIONS}
    assert allowed == {action: {"self", "child"} if role in ACTIONS[action] else set() for action in ACTIONS}


@pytest.mark.parametrize("inherit", [True, False], ids=["inherit", "apart"])
@pytest.mark.parametrize("role", ROLES)
def test_any_role_sees_its_space_and_those_it_inherits_from(role, inherit):
    access = compiled(place(inherit), binding("self/b", role, "user:bob"), roles={"deployer": "run:confirm"})
    seen = {space for space in SPACES if can(access, "bob", "space:read", space)}
    # `parent` itself does not inherit from the root, so that sight ends there.
    assert seen == ({"parent", "self", "child"} if inherit else {"self", "child"})


def test_sight_gives_nothing_but_sight():
    access = compiled(tree(a="+root", b="+a"), binding("b/x", "admin", "user:bob"))
    assert can(access, "bob", "space:read", "a")
    assert not can(access, "bob", "stack:read", "a")
    assert not can(access, "bob", "user:read", "root")


def test_sight_ends_where_a_space_does_not_inherit():
    access = compiled(tree(a="+root", b="a", c="+b"), binding("c/x", "reader", "user:bob"))
    assert [can(access, "bob", "space:read", s) for s in ("c", "b", "a", "root")] == [True, True, False, False]


def test_the_roots_role_holds_fifteen_levels_down():
    names = [f"s{level}" for level in range(15)]
    where = tree(**{name: names[level - 1] if level else "root" for level, name in enumerate(names)})
    access = compiled(
        where,
        binding("root/top", "writer", "group:devs"),
        binding("s0/next", "operator", "user:carol"),
        groups={"devs": "bob"},
    )
    assert can(access, "bob", "stack:update", "s14")
    assert can(access, "carol", "run:confirm", "s14")
    assert not can(access, "carol", "stack:update", "s14")
    assert can(access, "bob", "stack:update", "root")


def test_sight_goes_up_fifteen_levels():
    names = [f"s{level}" for level in range(15)]
    where = tree(**{name: "+" + (names[level - 1] if level else "root") for level, name in enumerate(names)})
    access = compiled(where, binding("s14/leaf", "reader", "user:bob"))
    assert all(can(access, "bob", "space:read", space) for space in ("root", *names))
    assert not can(access, "bob", "stack:read", "s13")


@pytest.mark.parametrize("space", ["loop", "pool", "orphan", "nowhere", "", "*", "a\nb"])
def test_in_a_space_that_has_no_place_nobody_may_anything(space):
    where = tree(loop="pool", pool="loop", orphan="gone")
    access = compiled(where, binding("root/x", "admin", "user:bob"), binding("loop/x", "admin", "user:carol"))
    assert not can(access, "bob", "space:read", space)
    assert not can(access, "carol", "space:read", space)


def test_lists_are_asked_for_once():
    where = tree(a="+root", b="+a", c="b", d="a", e="root")
    access = compiled(
        where, binding("b/x", "reader", "user:bob"), binding("e/y", "see", "user:bob"), roles={"see": "run:confirm"}
    )
    from rbac.access.actions import Action
    from rbac.access.subjects import user

    def spaces(action):
        return access.spaces_where(user("bob"), Action.parse(action))

    assert spaces("stack:read") == {SpaceName("b"), SpaceName("c")}
    assert spaces("space:read") == {SpaceName(each) for each in ("root", "a", "b", "c", "e")}
    assert spaces("run:confirm") == {SpaceName("e")}
    assert spaces("stack:delete") == frozenset()
