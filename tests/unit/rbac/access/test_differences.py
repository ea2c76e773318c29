"""Who gains and who loses what, from one set of access rules to the next."""

import pytest

from rbac.access.actions import summarize
from rbac.access.differences import differences
from tests.unit.rbac.builders import binding, compiled, tree

TREE = {"production": "root", "eu": "+production", "us": "production", "lab": "root"}


def told(before, after):
    return [
        (str(d.subject), d.verb.value, summarize(d.actions), d.space, d.below, d.because)
        for d in differences(before, after)
    ]


def rules(*bindings, where=TREE, **others):
    return compiled(tree(**where), *bindings, **others)


BOB = binding("production/devs", "deploy", "user:bob")
DEPLOY = {"deploy": "stack:update"}
RIGHTS = "space:read, stack:update"
BY_DEVS = "deploy in production by binding production/devs"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(rules(BOB, roles=DEPLOY), rules(BOB, roles=DEPLOY), [], id="nothing"),
        pytest.param(rules(roles=DEPLOY), rules(BOB, roles=DEPLOY), [("user:bob", "gains", RIGHTS, "production", 2, BY_DEVS)], id="a-binding"),
        pytest.param(rules(BOB, roles=DEPLOY), rules(roles=DEPLOY), [("user:bob", "loses", RIGHTS, "production", 2, BY_DEVS)], id="a-binding-gone"),
        pytest.param(rules(BOB, roles=DEPLOY), rules(BOB, roles={"deploy": "stack:update run:confirm"}),
                     [("user:bob", "gains", "run:confirm", "production", 2, BY_DEVS)], id="a-role-that-grew"),
        pytest.param(rules(binding("eu/x", "deploy", "group:g"), roles=DEPLOY, groups={"g": "bob"}),
                     rules(binding("eu/x", "deploy", "group:g"), roles=DEPLOY, groups={"g": "carol"}),
                     [("user:bob", "loses", "stack:update", "eu", 0, "deploy in eu by binding eu/x, through group g"),
                      ("user:bob", "loses", "space:read", "production", 1, "deploy in eu by binding eu/x, through group g: eu inherits from production"),
                      ("user:carol", "gains", "stack:update", "eu", 0, "deploy in eu by binding eu/x, through group g"),
                      ("user:carol", "gains", "space:read", "production", 1, "deploy in eu by binding eu/x, through group g: eu inherits from production")],
                     id="a-member"),
        pytest.param(rules(BOB, roles=DEPLOY), rules(BOB, where={**TREE, "eu": "lab"}, roles=DEPLOY),
                     [("user:bob", "loses", RIGHTS, "eu", 0, BY_DEVS)], id="a-space-that-moved-away"),
        pytest.param(rules(BOB, roles=DEPLOY), rules(BOB, where={**TREE, "new": "eu"}, roles=DEPLOY), [], id="a-new-space-below"),
        pytest.param(rules(BOB, binding("root/c", "reader", "user:carol"), roles=DEPLOY), rules(BOB, binding("root/c", "reader", "user:carol"), roles=DEPLOY, users="bob"),
                     [("user:carol", "loses", summarize({*rules(binding("root/c", "reader", "user:carol")).grants.roles["reader"]}), "root", 4, "reader in root by binding root/c")],
                     id="a-user-gone"),
        pytest.param(rules(), rules(binding("lab/x", "deploy", "group:g"), roles=DEPLOY, groups={"g": ""}),
                     [("group:g", "gains", RIGHTS, "lab", 0, "deploy in lab by binding lab/x")], id="a-group-without-members"),
    ],
)  # fmt: skip
def test_what_changes_for_whom(before, after, expected):
    assert sorted(told(before, after)) == sorted(expected)
