"""Who holds what by which way, what a decision says, and what nobody can give."""

from datetime import timedelta

import pytest

from rbac.access.access import Access, ended
from rbac.access.actions import ACTIONS, Action
from rbac.access.subjects import Subject, SubjectKind, group, stack, user
from rbac.identity import LOCAL_OPERATOR
from spaces.model.people import GroupSpec
from spaces.names import ROOT, SpaceName, StackId
from tests.unit.rbac.builders import NOW, ask, binding, can, compiled, documents, tree

PLATFORM = tree(platform="root", web="+platform", shop="+web")
WEB = SpaceName("web")


def said(access, who, action, space):
    return ask(access, who, action, space).because


@pytest.mark.parametrize(
    ("bindings", "who", "action", "space", "because"),
    [
        pytest.param([binding("platform/devs", "writer", "user:bob")], "bob", "stack:update", "web", "writer in platform by binding platform/devs", id="own"),
        pytest.param([binding("platform/devs", "writer", "group:devs")], "bob", "stack:update", "platform",
                     "writer in platform by binding platform/devs, through group devs", id="group"),
        pytest.param([binding("web/ci", "writer", "apiKey:ci")], "apiKey:ci", "stack:update", "shop", "writer in web by binding web/ci", id="api-key"),
        pytest.param([binding("web/s", "writer", "stack:platform/base")], "stack:platform/base", "stack:update", "web",
                     "writer in web by binding web/s", id="stack"),
        pytest.param([binding("shop/r", "reader", "user:bob")], "bob", "space:read", "platform",
                     "reader in shop by binding shop/r: shop inherits from platform", id="sight"),
        pytest.param([binding("web/t", "writer", "user:bob", expires=60)], "bob", "stack:update", "web",
                     "writer in web by binding web/t, until 2026-03-01T12:01:00Z", id="until"),
        pytest.param([], "alice", "policy:delete", "shop", "admin in root by the service's settings", id="settings"),
        pytest.param([binding("web/a", "writer", "group:devs")], "group:devs", "stack:update", "web", "writer in web by binding web/a", id="a-group-itself"),
        pytest.param([binding("platform/a", "admin", "user:bob"), binding("web/b", "operator", "user:bob")], "bob", "run:confirm", "shop",
                     "operator in web by binding web/b", id="nearest"),
        pytest.param([binding("web/a", "writer", "user:bob", expires=60), binding("root/b", "writer", "user:bob")], "bob", "stack:update", "web",
                     "writer in root by binding root/b", id="longest"),
    ],
)  # fmt: skip
def test_a_decision_names_what_it_rests_on(bindings, who, action, space, because):
    access = compiled(PLATFORM, *bindings, groups={"devs": "bob"}, admins=["alice"], stacks=["platform/base"])
    assert ask(access, who, action, space).allowed
    assert said(access, who, action, space) == because


def test_a_refusal_reads_the_same_for_what_does_not_exist():
    access = compiled(PLATFORM, binding("web/b", "reader", "user:bob"))
    hidden, nowhere = said(access, "bob", "stack:read", "root"), said(access, "bob", "stack:read", "nowhere")
    assert hidden.replace("root", "X") == nowhere.replace("nowhere", "X")
    assert access.advice(user("bob"), Action.parse("stack:read"), ROOT) == ""
    assert access.advice(user("bob"), Action.parse("stack:read"), SpaceName("nowhere")) == ""


def test_advice_names_only_those_whom_the_asker_may_see():
    access = compiled(
        PLATFORM,
        binding("web/b", "reader", "user:bob"),
        binding("web/c", "admin", "user:carol"),
        binding("platform/a", "admin", "user:alice"),
    )
    update = Action.parse("stack:update")
    text = access.advice(user("bob"), update, WEB)
    assert "user:carol" in text
    assert "alice" not in text  # her binding lies in platform, where bob sees nothing but the space
    assert access.advice(user("bob"), update, SpaceName("platform")).endswith(
        "whoever is admin of platform can write it"
    )


@pytest.mark.parametrize(
    ("who", "others"),
    [
        pytest.param("bob", {"users": "alice carol"}, id="user"),
        pytest.param("group:devs", {"groups": {}}, id="group"),
        pytest.param("apiKey:ci", {"api_keys": ""}, id="api-key"),
        pytest.param("stack:web/a", {"stacks": []}, id="stack"),
    ],
)
def test_who_is_not_there_holds_nothing(who, others):
    rule = binding("web/x", "admin", "user:bob", "group:devs", "apiKey:ci", "stack:web/a")
    everyone = {"groups": {"devs": "alice"}, "stacks": ["web/a"]}
    assert can(compiled(PLATFORM, rule, **everyone), who, "stack:update", "web")
    assert not can(compiled(PLATFORM, rule, **(everyone | others)), who, "stack:update", "web")


def test_kinds_of_subjects_are_kept_apart():
    access = compiled(PLATFORM, binding("web/x", "admin", "group:ci"), groups={"ci": "bob"}, users="bob ci")
    assert can(access, "bob", "stack:update", "web")
    assert not can(access, "ci", "stack:update", "web")
    assert not can(access, "apiKey:ci", "stack:update", "web")


def test_groups_of_an_identity_provider_count_when_the_sign_in_brings_them():
    groups = {"devs": GroupSpec.model_validate({"idpGroups": ["Team Web"]})}
    access = compiled(PLATFORM, binding("web/x", "writer", "group:devs"), groups=groups)
    update = Action.parse("stack:update")
    assert not access.decide(user("bob"), update, WEB).allowed
    assert not access.decide(user("bob", frozenset({"team web"})), update, WEB).allowed
    decision = access.decide(user("bob", frozenset({"Team Web"})), update, WEB)
    assert decision.allowed
    assert decision.because == "writer in web by binding web/x, through group devs"


def test_a_role_of_an_unknown_name_gives_nothing_not_even_sight():
    access = compiled(PLATFORM, binding("web/x", "ghost", "user:bob"))
    assert not can(access, "bob", "space:read", "web")
    assert not can(access, "bob", "space:read", "platform")


def test_a_document_cannot_change_a_built_in_role():
    access = compiled(PLATFORM, binding("web/x", "reader", "user:bob"), roles={"reader": "*:*"})
    assert not can(access, "bob", "stack:update", "web")


# Time


def test_a_binding_ends_at_its_time():
    rules = (PLATFORM, binding("web/x", "writer", "user:bob", expires=60))
    assert ask(compiled(*rules), "bob", "stack:update", "web").next_expiry == NOW + timedelta(seconds=60)
    assert can(compiled(*rules, now=NOW + timedelta(seconds=59)), "bob", "stack:update", "web")
    assert not can(compiled(*rules, now=NOW + timedelta(seconds=60)), "bob", "stack:update", "web")
    assert not can(compiled(*rules, now=NOW + timedelta(seconds=60)), "bob", "space:read", "platform")


def test_a_decision_lasts_as_long_as_its_longest_grant():
    access = compiled(
        PLATFORM,
        binding("web/x", "writer", "user:bob", expires=60),
        binding("platform/y", "admin", "group:devs", expires=90),
        binding("root/z", "reader", "user:bob"),
        groups={"devs": "bob"},
    )
    assert ask(access, "bob", "stack:update", "web").next_expiry == NOW + timedelta(seconds=90)
    assert ask(access, "bob", "stack:read", "web").next_expiry is None
    assert access.valid_until == NOW + timedelta(seconds=60)


def test_sight_lasts_as_long_as_what_it_comes_from():
    access = compiled(
        PLATFORM,
        binding("shop/x", "reader", "user:bob", expires=60),
        binding("web/y", "reader", "user:bob", expires=90),
    )
    assert ask(access, "bob", "space:read", "platform").next_expiry == NOW + timedelta(seconds=90)


def test_rules_are_compiled_anew_only_when_a_binding_has_ended():
    access = compiled(PLATFORM, binding("web/x", "writer", "user:bob", expires=60), admins=["alice"])
    assert access.at(NOW + timedelta(seconds=59)) is access
    later = access.at(NOW + timedelta(seconds=60))
    assert not can(later, "bob", "stack:update", "web")
    assert can(later, "alice", "stack:update", "web")
    assert later.at(NOW + timedelta(days=9999)) is later
    assert can(access, "bob", "stack:update", "web")  # the old one answers for its own time


# Admins of the settings


def test_the_settings_admins_need_nothing_of_the_repository():
    access = compiled(tree(), users="", admins=["alice"])
    assert all(can(access, "alice", str(action), "root") for action in ACTIONS)


def test_an_admin_without_a_document_is_only_who_the_settings_name():
    key = Subject(SubjectKind.ADMIN, "SHA256:abc")
    access = Access.compile(documents(), PLATFORM, [key, LOCAL_OPERATOR], NOW)
    update = Action.parse("policy:update")
    assert access.decide(key, update, SpaceName("shop")).because == "admin in root by the service's settings"
    assert access.decide(LOCAL_OPERATOR, update, ROOT).allowed
    assert not access.decide(Subject(SubjectKind.ADMIN, "SHA256:other"), update, ROOT).allowed
    with pytest.raises(ValueError, match="not a subject"):
        Subject.parse("admin:SHA256:abc")


# Who, and of whom


def test_who_lists_groups_and_their_members():
    access = compiled(
        PLATFORM,
        binding("web/x", "writer", "group:devs"),
        binding("shop/y", "admin", "user:carol"),
        groups={"devs": "bob ghost"},
        admins=["alice"],
    )
    found = {str(each.subject): each.because for each in access.who_may(Action.parse("stack:update"), WEB)}
    assert found == {
        "group:devs": "writer in web by binding web/x",
        "user:bob": "writer in web by binding web/x, through group devs",
        "user:alice": "admin in root by the service's settings",
    }
    seen = {str(each.subject): each.because for each in access.who_may(Action.parse("space:read"), WEB)}
    assert seen["user:carol"] == "admin in shop by binding shop/y: shop inherits from web"


def test_of_lists_every_binding():
    access = compiled(
        PLATFORM,
        binding("web/x", "writer", "group:devs"),
        binding("web/y", "writer", "user:bob", expires=60),
        groups={"devs": "bob"},
    )
    assert [each.because for each in access.roles_of(user("bob"))] == [
        "writer in web by binding web/x, through group devs",
        "writer in web by binding web/y, until 2026-03-01T12:01:00Z",
    ]
    assert [each.because for each in access.roles_of(group("devs"))] == ["writer in web by binding web/x"]
    assert access.roles_of(user("carol")) == ()
    assert access.roles_of(stack(StackId.parse("web/a"))) == ()


def test_rights_are_all_decisions_at_once():
    access = compiled(PLATFORM, binding("web/x", "operator", "user:bob"))
    for space in ("root", "platform", "web", "shop", "nowhere"):
        rights = access.rights(user("bob"), SpaceName(space))
        assert rights == {each for each in ACTIONS if access.decide(user("bob"), each, SpaceName(space)).allowed}


# Bounds


@pytest.mark.parametrize(
    ("granter", "role", "space", "bounded"),
    [
        pytest.param("alice", "admin", "root", True, id="the-settings-admin-gives-anything"),
        pytest.param("bob", "admin", "web", True, id="an-admin-gives-what-he-has"),
        pytest.param("bob", "admin", "shop", True, id="and-below"),
        pytest.param("bob", "reader", "platform", False, id="not-above"),
        pytest.param("carol", "operator", "web", True, id="less-than-she-has"),
        pytest.param("carol", "admin", "web", False, id="more-than-she-has"),
        pytest.param("carol", "custom", "web", False, id="a-custom-role-with-more"),
        pytest.param("carol", "small", "web", True, id="a-custom-role-with-less"),
        pytest.param("carol", "unknown", "web", False, id="a-role-that-is-not-in-force"),
        pytest.param("alice", "unknown", "web", True, id="a-role-that-is-not-in-force-by-one-who-may-all"),
        pytest.param("nobody", "reader", "web", False, id="a-stranger"),
    ],
)
def test_nobody_gives_more_than_they_hold(granter, role, space, bounded):
    access = compiled(
        PLATFORM,
        binding("web/a", "admin", "user:bob"),
        binding("web/b", "binder", "user:carol"),
        roles={
            "binder": "*:read run:* task:* drift:* stack:lock stack:pin roleBinding:*",
            "custom": "*:delete",
            "small": "run:confirm",
        },
        admins=["alice"],
    )
    _, spec = binding(f"{space}/new", role, "user:carol")
    assert (access.grants_bounded(user(granter), spec, SpaceName(space)) == frozenset()) is bounded


def test_what_is_missing_is_named():
    access = compiled(PLATFORM, binding("web/b", "writer", "user:bob"))
    _, spec = binding("web/new", "mixed", "user:carol")
    access = compiled(PLATFORM, binding("web/b", "writer", "user:bob"), roles={"mixed": "stack:update policy:delete"})
    assert access.grants_bounded(user("bob"), spec, WEB) == {Action("policy", "delete")}


@pytest.mark.parametrize(
    ("expires", "bounded"), [(None, False), (61, False), (60, True), (30, True)], ids=["ever", "longer", "as-long", "shorter"]
)  # fmt: skip
def test_nobody_gives_for_longer_than_they_hold(expires, bounded):
    access = compiled(PLATFORM, binding("web/a", "admin", "user:bob", expires=60))
    _, spec = binding("web/new", "reader", "user:carol", expires=expires)
    assert (not access.grants_bounded(user("bob"), spec, WEB)) is bounded


def test_being_let_into_a_group_gives_all_that_the_group_has():
    access = compiled(
        PLATFORM,
        binding("web/a", "writer", "group:devs", "user:dave"),
        binding("root/u", "clerk", "user:carol"),
        binding("web/w", "writer", "user:bob"),
        roles={"clerk": "group:update user:*"},
        groups={"devs": ""},
    )
    assert access.beyond(user("bob"), group("devs")) == []
    missing = access.beyond(user("carol"), group("devs"))
    assert (WEB, Action("stack", "update")) in missing
    assert (WEB, Action("space", "read")) not in missing
    # dave has no document yet: who writes one for him gives what is waiting for that name
    assert access.beyond(user("carol"), user("dave")) == missing


@pytest.mark.parametrize(
    ("text", "expected"),
    [("alice", user("alice")), ("user:alice", user("alice")), ("group:a", group("a")), ("stack:a/b", stack(StackId.parse("a/b")))],
)  # fmt: skip
def test_subjects_are_read(text, expected):
    assert Subject.parse(text) == expected
    assert Subject.parse(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "user:", "bot:x", "stack:a", "user:a\n", "user:*", "group:a,b", "a b"])
def test_what_is_no_subject(text):
    with pytest.raises(ValueError, match=r"is not|write it"):
        Subject.parse(text)


def test_a_refusal_names_the_binding_that_has_ended():
    access = compiled(
        PLATFORM,
        binding("platform/a", "writer", "user:bob", expires=-60),
        binding("web/b", "writer", "group:devs", expires=-30),
        binding("shop/c", "writer", "user:bob", expires=-1),
        binding("platform/d", "reader", "user:bob", expires=-1),
        binding("platform/e", "writer", "user:eve", expires=-1),
        groups={"devs": "bob"},
    )
    asked = (user("bob"), Action.parse("stack:update"), SpaceName("web"))
    assert not access.decide(*asked).allowed
    over = access.ended(*asked)
    assert ended(over, asked[0]) == "; writer in web by binding web/b, through group devs ended at 2026-03-01T11:59:30Z"
    assert access.ended(user("bob"), Action.parse("policy:update"), SpaceName("web")) is None
    assert access.ended(user("bob"), Action.parse("stack:update"), SpaceName("nowhere")) is None
