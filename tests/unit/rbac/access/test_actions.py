"""The closed list of actions, and what the built-in roles hold."""

import pytest

from rbac.access.actions import ACTIONS, BUILT_IN, SPACE_READ, Action, expand, on_document, summarize
from spaces.documents.changes import Verb
from spaces.names import Kind


def held(role):
    return {str(action) for action in BUILT_IN[role]}


STEERING = {f"run:{verb}" for verb in ("trigger", "confirm", "discard", "cancel", "retry", "review", "replan")} | {
    "task:create",
    "drift:check",
    "drift:accept",
    "run:preview",
    "stack:lock",
    "stack:pin",
}
WRITTEN = {
    f"{kind}:{verb}"
    for kind in ("stack", "context", "blueprintInstance", "notifier")
    for verb in ("create", "update", "delete")
} | {"integration:use"}


def test_each_role_holds_the_one_before():
    # A tfstate holds secrets in clear.
    assert held("reader") == {str(action) for action in ACTIONS if action.verb == "read"} - {"tfstate:read"}
    assert held("operator") - held("reader") == STEERING
    assert held("writer") - held("operator") == WRITTEN
    assert BUILT_IN["admin"] == ACTIONS
    assert list(BUILT_IN) == ["reader", "operator", "writer", "admin"]


def test_every_change_of_a_document_has_an_action():
    assert {on_document(kind, verb) for kind in Kind for verb in Verb} <= ACTIONS


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("stack:update",), "space:read, stack:update"),
        (("run:*",), "run:*, space:read"),
        (("*:delete", "*:create"), None),
        (("*:*",), "*:*"),
    ],
)
def test_custom_roles_expand(patterns, expected):
    actions = expand(patterns)
    assert SPACE_READ in actions
    assert actions <= ACTIONS
    assert expected is None or summarize(actions) == expected


def test_a_wildcard_is_the_whole_side():
    assert {str(each) for each in expand(("*:delete",))} == {"space:read"} | {
        str(each) for each in ACTIONS if each.verb == "delete"
    }


@pytest.mark.parametrize("text", ["stack", "stack:", "*:read", "stack:*", "stack:fly", "bird:read", "stack:read\n", ""])
def test_what_is_no_action(text):
    with pytest.raises(ValueError, match=r"action|known|verb|several"):
        Action.parse(text)


def test_an_unknown_pattern_cannot_be_expanded():
    with pytest.raises(ValueError, match="not an action"):
        expand(("stack:fly",))
