"""Access documents among the others: where they lie, and which roles there are."""

import pytest

from tests.unit.spaces.builders import begin, codes, doc, go_on, many, names, space


def role(name="deployer", **metadata):
    return doc("Role", name, {"actions": ["run:confirm"]}, **metadata)


def binding(role, **metadata):
    return doc("RoleBinding", "b", {"role": role, "subjects": [{"user": "bob"}]}, **metadata)


@pytest.mark.parametrize(
    ("files", "in_force", "told"),
    [
        pytest.param({"r.yaml": role()}, {"Role root/deployer"}, [], id="a role"),
        pytest.param({"r.yaml": role("admin")}, set(), ["reserved-name"], id="a built-in role"),
        pytest.param({"b.yaml": binding("writer")}, {"RoleBinding root/b"}, [], id="a binding of a built-in role"),
        pytest.param({"b.yaml": binding("deployer")}, set(), ["unknown-role"], id="a binding of no role"),
        pytest.param(
            {"b.yaml": binding("deployer", space="a"), "a/space.yaml": space("a"), "r.yaml": role()},
            {"RoleBinding a/b", "Role root/deployer", "Space a"},
            [],
            id="a role holds in every space",
        ),
        *(
            pytest.param(
                {"a/space.yaml": space("a"), "a/x.yaml": doc(kind, "x", spec)},
                {"Space a"},
                ["not-in-root"],
                id=f"{kind} outside the root",
            )
            for kind, spec in [("User", {}), ("Group", {}), ("ApiKey", {}), ("Role", {"actions": ["*:read"]})]
        ),
        pytest.param(
            {"a/space.yaml": space("a"), "a/x.yaml": doc("User", "x", {}, space="root")},
            {"Space a", "User root/x"},
            [],
            id="a user of the root in a directory of another space",
        ),
        pytest.param({"u.yaml": doc("User", "*", {})}, set(), ["invalid-name"], id="a name that is a star"),
        pytest.param({"u.yaml": doc("User", "a,b", {})}, set(), ["invalid-name"], id="a name with a comma"),
        pytest.param({"u.yaml": doc("User", "a\n", {})}, set(), ["invalid-name"], id="a name with a newline"),
        pytest.param({"r.yaml": doc("Role", [], {"actions": ["*:read"]})}, set(), ["wrong-type"], id="a name that is none"),
    ],
)  # fmt: skip
def test_what_comes_into_force(files, in_force, told):
    found = begin(files)
    assert names(found) == in_force
    assert codes(found) == told


def test_a_role_that_a_binding_gives_stays():
    before = begin({"r.yaml": role(), "b.yaml": binding("deployer")})
    after = go_on(before, {"r.yaml": None})
    assert names(after) == names(before)
    assert codes(after) == ["still-in-use"]


def test_both_may_leave_together():
    before = begin({"r.yaml": many(role(), binding("deployer"))})
    assert names(go_on(before, {"r.yaml": None})) == set()


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("b", id="a sibling's"),
        pytest.param("a", id="a parent's across inherit: false"),
        pytest.param("none", id="of a space that is not there"),
    ],
)
def test_a_context_that_does_not_flow_is_one_that_does_not_exist(where):
    files = {
        "a/space.yaml": space("a"),
        "a/x.yaml": doc("Context", "secret", {"env": {"A": "1"}}),
        "a/c/space.yaml": space("c", inherit=False),
        "b/space.yaml": space("b"),
        "b/x.yaml": doc("Context", "secret", {"env": {"A": "1"}}),
    }
    found = []
    for name in (f"{where}/secret", f"{where}/nothing"):
        after = begin(
            files
            | {"a/c/s.yaml": doc("Stack", "s", {"tool": "script", "script": {"apply": "true"}, "contexts": [name]})}
        )
        (told,) = after.diagnostics
        found.append((told.code, told.summary.replace(name, "it"), told.hint))
    assert found[0] == found[1]
