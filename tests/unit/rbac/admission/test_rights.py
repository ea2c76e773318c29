"""Which commits are admitted, which changes are held, and when a hold ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rbac.access.subjects import Subject, user
from rbac.admission.admit import Admission, Approval, Commit, Halted, HaltReason, Refused, admit, approve
from rbac.admission.held import MOST_FILES as MOST
from rbac.admission.held import HeldChange
from rbac.admission.settings import Rules
from rbac.identity import LOCAL_OPERATOR, Admins, IdentityMode, Person, Stranger
from spaces.names import Revision, SpaceName, StackId
from spaces.reading.attachments import out_of
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import BROKEN, context, doc, many, names, ref, space, stack

A = {"a.yaml": context("a")}
TWO = {"a.yaml": context("a"), "b.yaml": context("b")}
OPEN = Rules()
ROOT_ADMINS = Rules(Admins.parse(["root-admin"], IdentityMode.SIGNED))
STRANGER = Stranger("Unsigned", "it carries no signature", "sign it")


def person(name: str) -> Person | Stranger:
    return STRANGER if name == "stranger" else Person(user(name), "by a test")


def walk(*commits: dict[str, bytes | None], rules: Rules = OPEN) -> list[Admission | Halted]:
    """Judge one commit after the other, each against the one before."""
    here: Admission | None = None
    judged: list[Admission | Halted] = []
    for number, changed in enumerate(commits):
        commit = Commit(Revision(f"r{number}"), changed)
        judged.append(admit(here, commit, rules, NOW))
        found = admit(here, commit, rules, NOW, halting=False)
        assert isinstance(found, Admission)
        here = found
    return judged


@pytest.mark.parametrize(
    ("commits", "expected"),
    [
        pytest.param([A], [{"Context root/a"}], id="the first is trusted whole"),
        pytest.param([{}], [set()], id="an empty first one"),
        pytest.param([{}, A], [set(), {"Context root/a"}], id="documents come later"),
        pytest.param([{}, {"README.md": b"x"}], [set(), set()], id="never any documents"),
        pytest.param(
            [TWO, {"b.yaml": None}], [{"Context root/a", "Context root/b"}, {"Context root/a"}], id="one leaves"
        ),
        pytest.param([A, {"a.yaml": None}], [{"Context root/a"}, None], id="the only one leaves"),
        pytest.param(
            [TWO, {"a.yaml": None, "b.yaml": None}], [{"Context root/a", "Context root/b"}, None], id="all leave"
        ),
        pytest.param(
            [TWO, {"a.yaml": None, "b.yaml": None}, {"b.yaml": TWO["b.yaml"]}],
            [{"Context root/a", "Context root/b"}, None, {"Context root/b"}],
            id="and one comes back",
        ),
        pytest.param(
            [A, {"a.yaml": BROKEN}], [{"Context root/a"}, {"Context root/a"}], id="all broken is not all gone"
        ),
        pytest.param(
            [A, {"a.yaml": BROKEN}, {"a.yaml": None}],
            [{"Context root/a"}, {"Context root/a"}, None],
            id="a broken one that leaves still was the last",
        ),
        pytest.param([{"a.yaml": BROKEN}], [set()], id="broken from the start"),
        pytest.param(
            [{"a.yaml": BROKEN}, {"a.yaml": None}], [set(), set()], id="what never was in force may leave"
        ),
    ],
)  # fmt: skip
def test_a_walk_over_commits_without_access(
    commits: list[dict[str, bytes | None]], expected: list[set[str] | None]
) -> None:
    assert [None if isinstance(it, Halted) else names(it.in_force) for it in walk(*commits)] == expected


def test_a_halt_says_which_commit_and_that_all_stays() -> None:
    halted = walk(A, {"a.yaml": None})[-1]
    assert isinstance(halted, Halted)
    assert (halted.reason, halted.revision) == (HaltReason.BRANCH_EMPTIED, "r1")
    assert "r1" in halted.message
    assert "stays" in halted.message


# Who may change what


def binding(name, role, *subjects, in_space=None, **spec):
    given = [dict([each.split(":")]) for each in subjects]
    metadata = {"space": in_space} if in_space else {}
    return doc("RoleBinding", name, {"role": role, "subjects": given} | spec, **metadata)


def people(*names_):
    return many(*(doc("User", name, {}) for name in names_))


BASE = {
    "users.yaml": people("root-admin", "alice", "bob", "carol", "dora"),
    "space.yaml": b"",
    "bindings.yaml": binding("dora-reads", "reader", "user:dora"),
    "p/space.yaml": space("platform", inherit=False),
    "p/bindings.yaml": many(binding("admins", "admin", "user:alice"), binding("writers", "writer", "user:bob")),
    "p/common.yaml": context("common", {"A": "1"}),
    "p/net.yaml": stack("net"),
    "p/t/space.yaml": space("team", inherit=True),
    "p/t/bindings.yaml": many(binding("admins", "admin", "user:carol")),
    "p/t/app.yaml": stack("app"),
    "q/space.yaml": space("other", inherit=False),
    "q/bindings.yaml": binding("writers", "writer", "user:bob"),
    "q/one.yaml": stack("one"),
}


def begin(files=BASE, rules=ROOT_ADMINS):
    found = admit(None, Commit(Revision("r0"), files), rules, NOW)
    assert isinstance(found, Admission)
    assert found.in_force.diagnostics == ()
    return found


def go(before, who, changed, revision="r1", rules=ROOT_ADMINS, **more):
    found = admit(before, Commit(Revision(revision), changed, person(who), **more), rules, NOW)
    assert isinstance(found, Admission), found
    return found


def held(admission):
    """What waits for somebody with the right; not what does not work, and not what waits for that."""
    return {
        str(each.ref): f"{each.verb} {each.missing[0]} in {each.missing[1]}"
        for each in admission.held_changes
        if each.pin is None and each.missing is not None
    }


RENAMED = stack("net", moved_from="platform/net", env={"NEW": "1"})

CASES = [
    # Stacks and their right
    pytest.param("bob", {"p/net.yaml": stack("net", autodeploy=True)}, {}, id="a writer updates"),
    pytest.param("bob", {"p/t/app.yaml": stack("app", autodeploy=True)}, {}, id="a role flows down"),
    pytest.param("bob", {"p/new.yaml": stack("new")}, {}, id="a writer creates"),
    pytest.param("bob", {"p/net.yaml": None}, {}, id="a writer deletes"),
    pytest.param("carol", {"p/net.yaml": stack("net", autodeploy=True)}, {"Stack platform/net": "update stack:update in platform"}, id="not upwards"),
    pytest.param("dora", {"p/net.yaml": stack("net", autodeploy=True)}, {"Stack platform/net": "update stack:update in platform"}, id="a reader reads"),
    pytest.param("stranger", {"p/net.yaml": None}, {"Stack platform/net": "delete stack:delete in platform"}, id="a stranger deletes"),
    pytest.param("nobody", {"p/new.yaml": stack("new")}, {"Stack platform/new": "create stack:create in platform"}, id="no user"),
    pytest.param("root-admin", {"p/net.yaml": None, "q/one.yaml": None, "p/common.yaml": None}, {}, id="an admin of the settings"),
    pytest.param("bob", {"p/net.yaml": BROKEN}, {}, id="a writer breaks a file"),
    pytest.param("carol", {"p/net.yaml": BROKEN}, {"Stack platform/net": "delete stack:delete in platform"}, id="a stranger breaks a file"),
    pytest.param("carol", {"p/net.yaml": stack("net"), "p/again.yaml": stack("net")}, {"Stack platform/net": "update stack:update in platform"}, id="twice"),
    # A child's writer against the parent
    pytest.param("carol", {"p/common.yaml": context("common", {"A": "2"})}, {"Context platform/common": "update context:update in platform"}, id="a parent's context"),
    pytest.param("carol", {"r.yaml": doc("Role", "mine", {"actions": ["*:*"]})}, {"Role root/mine": "create role:create in root"}, id="a role"),
    pytest.param("carol", {"p/bindings.yaml": binding("admins", "admin", "user:carol")}, {"RoleBinding platform/admins": "update roleBinding:update in platform", "RoleBinding platform/writers": "delete roleBinding:delete in platform"}, id="a parent's binding"),
    # Bounds
    pytest.param("bob", {"p/b.yaml": binding("mine", "admin", "user:bob")}, {"RoleBinding platform/mine": "create roleBinding:create in platform"}, id="a grant to oneself"),
    pytest.param("alice", {"p/b.yaml": binding("more", "admin", "user:carol")}, {}, id="a grant of what one holds"),
    pytest.param("alice", {"b.yaml": binding("more", "reader", "user:carol")}, {"RoleBinding root/more": "create roleBinding:create in root"}, id="a grant elsewhere"),
    pytest.param("alice", {"p/b.yaml": binding("more", "power", "user:alice"), "r.yaml": doc("Role", "power", {"actions": ["*:*"]})}, {"Role root/power": "create role:create in root"}, id="a role of one's own"),
    pytest.param("alice", {"users.yaml": people("root-admin", "alice", "bob", "carol", "dora", "eve")}, {"User root/eve": "create user:create in root"}, id="a user"),
    # Spaces
    pytest.param("carol", {"p/t/space.yaml": space("team", inherit=False)}, {"Space team": "update space:update in platform"}, id="inherit"),
    pytest.param("carol", {"p/t/space.yaml": doc("Space", "team", {"inherit": True}, labels={"env": "dev"})}, {"Space team": "update space:update in platform"}, id="labels"),
    pytest.param("carol", {"p/t/space.yaml": doc("Space", "team", {"inherit": True}, description="We")}, {}, id="a description"),
    pytest.param("carol", {"p/t/space.yaml": space("team", "other", inherit=True)}, {"Space team": "update space:update in other"}, id="another parent"),
    pytest.param("alice", {"p/t/space.yaml": space("team", inherit=False)}, {}, id="the parent's admin"),
    pytest.param("alice", {"p/t/space.yaml": space("team", "other", inherit=True)}, {"Space team": "update space:update in other"}, id="admin of one parent"),
    pytest.param("root-admin", {"p/t/space.yaml": space("team", "other", inherit=True)}, {}, id="admin of both parents"),
    pytest.param("carol", {"p/t/u/space.yaml": space("under"), "p/t/u/s.yaml": stack("s")}, {}, id="a child of one's own and what is in it"),
    pytest.param("bob", {"p/t/u/space.yaml": space("under"), "p/t/u/s.yaml": stack("s")}, {"Space under": "create space:create in team"}, id="what is in a space that is held"),
    pytest.param("carol", {"s.yaml": stack("s", in_space="nowhere")}, {}, id="a space that is not there"),
    # Moves
    pytest.param("bob", {"p/net.yaml": None, "q/net.yaml": RENAMED}, {}, id="a move with both rights"),
    pytest.param("carol", {"p/net.yaml": None, "p/t/net.yaml": RENAMED}, {"Stack team/net": "move stack:update in platform"}, id="a move from where one may not"),
    pytest.param("carol", {"p/t/app.yaml": None, "q/app.yaml": stack("app", moved_from="team/app")}, {"Stack other/app": "move stack:update in other"}, id="a move to where one may not"),
    pytest.param("carol", {"p/t/app.yaml": stack("app", moved_from="other/gone")}, {"Stack team/app": "update stack:update in other"}, id="to say that it came from where one may not"),
    # Dependencies
    pytest.param("carol", {"p/t/app.yaml": stack("app", dependsOn=["net"])}, {"Stack team/app": "update stack:read in platform"}, id="on a stack from above that one may not read"),
    pytest.param("carol", {"p/t/app.yaml": stack("app", dependsOn=[{"stack": "platform/net"}])}, {"Stack team/app": "update stack:read in platform"}, id="on it by its whole name"),
    pytest.param("dora", {"p/t/app.yaml": stack("app", dependsOn=["net"])}, {"Stack team/app": "update stack:update in team"}, id="of a stack that one may only read"),
    pytest.param("bob", {"p/t/app.yaml": stack("app", dependsOn=["net"])}, {}, id="on one that one may read"),
    pytest.param("carol", {"p/t/app.yaml": stack("app", dependsOn=["db"]), "p/t/db.yaml": stack("db")}, {}, id="on one's own"),
    # Guards
    pytest.param("root-admin", {"users.yaml": people("alice", "bob", "carol", "dora")}, {"User root/root-admin": "delete user:delete in root"}, id="the last admin"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "changed", "expected"), CASES)
def test_what_is_held(who, changed, expected):
    before = begin()
    after = go(before, who, changed)
    assert held(after) == expected
    for each in after.held_changes:
        one, other = before.in_force.documents.placed(each.ref), after.in_force.documents.placed(each.ref)
        assert one is other or other.same(one), "what is held must stay as it was"
    if "move" in str(expected):
        assert names(after.in_force) == names(before.in_force)


@pytest.mark.parametrize(("who", "changed", "expected"), CASES)
def test_nothing_else_comes_of_it_later(who, changed, expected):
    """A commit by a stranger that changes nothing, and a restart, leave everything where it was."""
    first = go(begin(), who, changed)
    second = go(first, "stranger", {"README.md": b"x"}, "r2")
    assert (held(second), names(second.in_force)) == (held(first), names(first.in_force))


@pytest.mark.parametrize(("who", "changed", "expected"), CASES)
def test_whoever_may_do_everything_ends_the_hold_by_a_revert(who, changed, expected):
    held_up = go(begin(), who, changed)
    back = {path: BASE.get(path) for path in changed}
    after = go(
        held_up, "stranger" if len(held_up.held_changes) == len(changed) and expected else "root-admin", back, "r2"
    )
    assert held(after) == {}
    assert names(after.in_force) == names(begin().in_force)


@pytest.mark.parametrize(("who", "changed", "expected"), [case for case in CASES if case.values[2]])
def test_a_hold_ends_by_an_approval(who, changed, expected):
    after = go(begin(), who, changed)
    while after.held_changes:
        each = min(after.held_changes, key=lambda it: (it.missing is None, it.ref.kind != "Space"))
        for unable in (person("dora"), Person(Subject(user("x").kind, "x"), "")):
            assert isinstance(approve(after, Approval(each.id, unable), ROOT_ADMINS, NOW), Refused)
        approved = approve(after, Approval(each.id, Person(LOCAL_OPERATOR, "")), ROOT_ADMINS, NOW)
        if isinstance(approved, Refused):
            words = ("locked out", "nowhere", "declared more than once", "does not work")
            assert any(why in f"{each.message} {approved.message}" for why in words)
            return
        assert isinstance(approved, Admission)
        after = approved
    assert held(after) == {}
    trusted = admit(begin(), Commit(Revision("r1"), changed), replace(ROOT_ADMINS, judged=False), NOW)
    assert names(after.in_force) == names(trusted.in_force)


def test_a_held_change_and_a_good_one_in_one_commit():
    after = go(
        begin(), "bob", {"p/net.yaml": stack("net", autodeploy=True), "b.yaml": binding("b", "admin", "user:bob")}
    )
    assert held(after) == {"RoleBinding root/b": "create roleBinding:create in root"}
    assert after.in_force.documents.placed(StackId.parse("platform/net").ref).resource.spec.autodeploy


def test_a_grant_by_an_admin_counts_from_the_next_commit_on():
    grant = {"q/c.yaml": binding("c", "writer", "user:carol")}
    use = {"q/one.yaml": stack("one", autodeploy=True)}
    granted = go(begin(), "root-admin", grant)
    assert held(go(granted, "carol", use, "r2")) == {}
    assert held(go(begin(), "carol", grant | use)) == {
        "RoleBinding other/c": "create roleBinding:create in other",
        "Stack other/one": "update stack:update in other",
    }
    revoked = go(granted, "root-admin", {"q/c.yaml": None}, "r2")
    assert held(go(revoked, "carol", use, "r3")) == {"Stack other/one": "update stack:update in other"}


def test_a_user_cannot_become_somebody_with_more_rights():
    helper = doc("Role", "helper", {"actions": ["user:*", "group:*", "apiKey:*"]})
    files = BASE | {
        "h.yaml": many(helper, binding("helpers", "helper", "user:dora")),
        "g.yaml": doc("Group", "empty", {}),
    }
    before = begin(files)
    mail = doc("User", "alice", {"emails": ["dora@example.org"]})
    others = [doc("User", name, {}) for name in ("root-admin", "bob", "carol", "dora")]
    after = go(before, "dora", {"users.yaml": many(mail, *others, doc("User", "eve", {}))})
    assert set(held(after)) == {"User root/alice"}
    assert "User root/eve" in names(after.in_force)
    bound = begin(files | {"b.yaml": binding("b", "admin", "group:late", "apiKey:late", "stack:other/late")})
    late = go(bound, "dora", {"g2.yaml": many(doc("Group", "late", {"members": ["dora"]}), doc("ApiKey", "late", {}))})
    assert set(held(late)) == {"Group root/late", "ApiKey root/late"}
    assert set(held(go(bound, "bob", {"q/late.yaml": stack("late")}))) == {"Stack other/late"}


def test_a_rightful_change_on_top_ends_the_hold_and_another_wrong_one_renews_it():
    first = go(begin(), "carol", {"p/net.yaml": stack("net", autodeploy=True)})
    again = go(first, "dora", {"p/net.yaml": stack("net", suspended=True)}, "r2")
    (old,), (new,) = first.held_changes, again.held_changes
    assert (old.person, old.revision, new.person, new.revision) == ("user:carol", "r1", "user:dora", "r2")
    assert isinstance(approve(again, Approval(old.id, person("alice")), ROOT_ADMINS, NOW), Refused)
    assert held(go(again, "bob", {"p/net.yaml": stack("net", protected=True)}, "r3")) == {}


def test_a_held_move_whose_new_place_is_taken_away_does_not_delete():
    moved = go(begin(), "carol", {"p/net.yaml": None, "p/t/net.yaml": RENAMED})
    after = go(moved, "carol", {"p/t/net.yaml": None}, "r2")
    assert "Stack platform/net" in names(after.in_force)
    assert held(after) == {"Stack platform/net": "delete stack:update in platform"}


def test_repairing_a_file_is_no_way_to_delete_what_was_in_it():
    files = BASE | {"p/both.yaml": many(stack("x"), stack("y"))}
    broken = go(begin(files), "bob", {"p/both.yaml": BROKEN})
    assert held(broken) == {}
    after = go(broken, "carol", {"p/both.yaml": stack("x")}, "r2")
    assert "Stack platform/y" in names(after.in_force)
    assert held(after) == {"Stack platform/y": "delete stack:delete in platform"}


def test_a_change_that_waits_for_something_else_is_its_own_authors():
    needs = go(begin(), "bob", {"q/two.yaml": stack("two", "missing")})
    assert held(needs) == {}
    after = go(needs, "root-admin", {"q/missing.yaml": context("missing")}, "r2")
    assert "Stack other/two" in names(after.in_force)


def test_fifteen_spaces_deep_the_roots_role_holds():
    files = {f"{'d/' * n}space.yaml": space(f"s{n}") for n in range(1, 16)}
    deep = f"{'d/' * 15}leaf.yaml"
    before = begin(BASE | files | {deep: stack("leaf"), "top.yaml": binding("top", "writer", "user:carol")})
    assert held(go(before, "carol", {deep: stack("leaf", autodeploy=True)})) == {}


def test_an_expired_binding_gives_nothing():
    before = begin(BASE | {"q/c.yaml": binding("c", "writer", "user:carol", expires="2026-02-28T00:00:00Z")})
    assert set(held(go(before, "carol", {"q/one.yaml": stack("one", autodeploy=True)}))) == {"Stack other/one"}


# The files that stacks refer to

NET = StackId.parse("platform/net")
FILES = {NET: {"net/a.sh": ("1", "2")}}
OTHERS = {NET: {"net/b.sh": ("1", "2")}}
BACK = {NET: {"net/a.sh": ("2", "1")}}


SOURCE_X = stack("net", source={"path": "x"})


def nothing_of(*_):
    return False


def test_files_changed_without_the_right_stay_as_they_were():
    pinned = go(begin(), "carol", {}, stacks=FILES)
    (waits,) = pinned.held_changes
    assert (pinned.pins, waits.missing[1], waits.pin) == ({NET: "r0"}, SpaceName("platform"), "r0")
    again = go(pinned, "dora", {}, "r2", stacks=FILES)
    assert (again.pins, again.held_changes[0].revision) == ({NET: "r0"}, "r2")
    assert go(again, "dora", {"README.md": b""}, "r3").pins == {NET: "r0"}


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda it: go(it, "bob", {}, "r2", stacks=FILES), id="a rightful change"),
        pytest.param(lambda it: go(it, "dora", {}, "r2", stacks=FILES, restored=frozenset({NET})), id="a revert"),
        pytest.param(lambda it: go(it, "dora", {}, "r2", stacks=BACK), id="a revert of the one file"),
        pytest.param(lambda it: approve(it, Approval(it.held_changes[0].id, person("bob")), ROOT_ADMINS, NOW), id="approval"),
        pytest.param(lambda it: go(it, "bob", {"p/net.yaml": SOURCE_X}, "r2", uses=nothing_of), id="a source without those files"),
        pytest.param(lambda it: go(it, "bob", {"p/net.yaml": None}, "r2"), id="the stack leaves"),
    ],
)  # fmt: skip
def test_a_pin_ends(end):
    after = end(go(begin(), "carol", {}, stacks=FILES))
    assert (after.pins, after.held_changes) == ({}, ())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"changed": {}, "stacks": OTHERS}, id="other files"),
        pytest.param({"changed": {}, "stacks": {NET: OTHERS[NET] | {"net/c.sh": ("", "3")}}}, id="and new ones"),
        pytest.param({"changed": {"p/net.yaml": SOURCE_X}}, id="another source with those files"),
        pytest.param({"changed": {"p/net.yaml": SOURCE_X}, "stacks": OTHERS}, id="both"),
    ],
)
def test_what_is_held_does_not_come_in_by_a_rightful_change_beside_it(change):
    pinned = go(begin(), "carol", {}, stacks=FILES)
    stacks = {name: value for name, value in change.items() if name != "changed"}
    after = go(pinned, "bob", change["changed"], "r2", **stacks)
    assert (after.pins, [each.id for each in after.held_changes]) == ({NET: "r0"}, [pinned.held_changes[0].id])
    assert after.held_changes[0].person == "user:carol"
    assert ("user:bob changed other files of it since" in after.held_changes[0].message) == bool(stacks)
    stored = [HeldChange.from_record(json.loads(json.dumps(each.to_record()))) for each in after.held_changes]
    assert stored == [*after.held_changes]
    approved = approve(after, Approval(after.held_changes[0].id, person("bob")), ROOT_ADMINS, NOW)
    assert (approved.pins, approved.held_changes) == ({}, ())


def test_files_held_by_several_are_let_go_one_after_the_other():
    here = go(go(begin(), "carol", {}, stacks=FILES), "dora", {}, "r2", stacks=OTHERS)
    here = go(here, "bob", {}, "r3", stacks={NET: {"net/a.sh": ("2", "3")}})
    assert here.pins == {NET: "r0"}
    assert go(here, "carol", {}, "r4", stacks={NET: {"net/b.sh": ("2", "1")}}).pins == {}


def test_a_rightful_content_that_was_never_in_force_is_what_a_revert_goes_back_to():
    here = go(go(begin(), "carol", {}, stacks=FILES), "bob", {}, "r2", stacks=OTHERS)
    here = go(here, "carol", {}, "r3", stacks={NET: {"net/a.sh": ("2", "1"), "net/b.sh": ("2", "1")}})
    assert here.pins == {NET: "r0"}, "b.sh is not as bob left it"
    assert go(here, "carol", {}, "r4", stacks={NET: {"net/b.sh": ("1", "2")}}).pins == {}


def test_more_files_than_are_remembered_are_let_go_by_an_approval_alone():
    many_files = {NET: {f"net/{n}": ("1", "2") for n in range(MOST + 1)}}
    here = go(go(begin(), "carol", {}, stacks=many_files), "bob", {}, "r2", stacks=many_files)
    assert here.pins == {NET: "r0"}
    assert approve(here, Approval(here.held_changes[0].id, person("bob")), ROOT_ADMINS, NOW).pins == {}


def test_files_changed_with_the_right_are_just_changed():
    assert go(begin(), "bob", {}, stacks=FILES).pins == {}
    assert isinstance(
        approve(go(begin(), "carol", {}, stacks=FILES), Approval("x", person("bob")), ROOT_ADMINS, NOW), Refused
    )


def test_a_pin_goes_along_when_the_stack_moves():
    pinned = go(begin(), "carol", {}, stacks=FILES)
    moved = go(pinned, "bob", {"p/net.yaml": None, "p/net2.yaml": stack("net2", moved_from="platform/net")}, "r2")
    assert moved.pins == {StackId.parse("platform/net2"): "r0"}


# Too much at once


def many_stacks(count):
    return {f"q/s{n}.yaml": stack(f"s{n}") for n in range(count)}


@pytest.mark.parametrize(
    ("count", "leave", "fits"),
    [
        pytest.param(5, 3, True, id="three always may"),
        pytest.param(5, 4, False, id="four of few may not"),
        pytest.param(57, 6, True, id="a tenth"),
        pytest.param(57, 7, False, id="more than a tenth"),
    ],
)
@pytest.mark.parametrize("configured", [True, False])
def test_the_destruction_budget(count, leave, fits, configured):
    rules = ROOT_ADMINS if configured else Rules()
    base = (
        BASE
        if configured
        else {
            "q/space.yaml": space("other"),
            "p/net.yaml": stack("net"),
            "p/a.yaml": stack("app"),
            "p/one.yaml": stack("one"),
        }
    )
    before = begin(base | many_stacks(count), rules)
    changed = dict.fromkeys([f"q/s{n}.yaml" for n in range(leave)]) | {"q/new.yaml": stack("new")}
    after = go(before, "root-admin", changed, rules=rules)
    if fits:
        assert (len(after.held_changes), len(names(before.in_force) - names(after.in_force))) == (0, leave)
        return
    assert len(after.held_changes) == leave + 1
    assert names(after.in_force) == names(before.in_force)
    for each in after.held_changes:
        after = approve(after, Approval(each.id, Person(LOCAL_OPERATOR, "")), rules, NOW)
    assert len(names(before.in_force) - names(after.in_force)) == leave


def test_moves_are_no_destruction():
    before = begin(BASE | many_stacks(6))
    gone = dict.fromkeys(many_stacks(6))
    come = {f"q/t{n}.yaml": stack(f"t{n}", moved_from=f"other/s{n}") for n in range(6)}
    assert held(go(before, "bob", gone | come)) == {}


# From when on access counts


def test_until_access_is_set_up_everything_is_admitted():
    before = begin({"q/space.yaml": space("other"), "q/one.yaml": stack("one")}, Rules())
    after = go(before, "stranger", {"q/one.yaml": stack("one", autodeploy=True)}, rules=Rules())
    assert held(after) == {}
    set_up = go(after, "stranger", {"users.yaml": people("alice")}, "r2", rules=Rules())
    assert held(set_up) == {}
    assert set(held(go(set_up, "stranger", {"q/one.yaml": None}, "r3", rules=Rules()))) == {"Stack other/one"}


def test_a_directory_that_stays_with_a_space_takes_nothing_along():
    """A stranger moves a space's document to the top directory and deletes it there: the rest would lie below it."""
    two = {"k.yaml": space("one", inherit=False), "m.yaml": space("two", inherit=False), "u.yaml": people("root-admin")}
    here = begin(two)
    for number, changed in enumerate(
        [{"k.yaml": None}, {"space.yaml": space("one", inherit=False)}, {"space.yaml": None}], start=1
    ):
        here = go(here, "stranger", changed, f"r{number}")
        assert here.in_force.documents.tree.parent(SpaceName("two")) == "root"


# Variables that take over what runs

WITH_PATH = {"PATH": "/x", "A": "b"}


@pytest.mark.parametrize(
    ("who", "before", "after", "missing"),
    [
        pytest.param("bob", None, WITH_PATH, ("env:takeover", "root"), id="new, by a writer"),
        pytest.param("root-admin", None, WITH_PATH, None, id="new, by an admin"),
        pytest.param("bob", {}, WITH_PATH, ("env:takeover", "root"), id="added, by a writer"),
        pytest.param("bob", WITH_PATH, WITH_PATH | {"PATH": "/y"}, ("env:takeover", "root"), id="changed"),
        pytest.param("bob", WITH_PATH, WITH_PATH | {"A": "c"}, None, id="beside it"),
        pytest.param("bob", WITH_PATH, {"A": "b"}, None, id="taken away"),
    ],
)
def test_variables_that_take_over_need_a_right_of_their_own(who, before, after, missing):
    start = {"w.yaml": doc("RoleBinding", "w", {"role": "writer", "subjects": [{"user": "bob"}]})}
    start |= {"u.yaml": doc("User", "bob", {})}
    if before is not None:
        start["a.yaml"] = context("a", before)
    first = admit(None, Commit(Revision("r0"), start), ROOT_ADMINS, NOW)
    second = admit(first, Commit(Revision("r1"), {"a.yaml": context("a", after)}, person(who)), ROOT_ADMINS, NOW)
    held = [(str(each.missing[0]), each.missing[1]) for each in second.held_changes]
    assert held == ([missing] if missing else [])


def test_hooks_that_may_set_such_variables_need_it_too():
    """Of a document that sets such a variable, hooks may set it as well."""

    def with_hook(command):
        return context("a", WITH_PATH, hooks={"before": {"init": [command]}})

    start = {"w.yaml": doc("RoleBinding", "w", {"role": "writer", "subjects": [{"user": "bob"}]})}
    start |= {"u.yaml": doc("User", "bob", {}), "a.yaml": with_hook("a")}
    first = admit(None, Commit(Revision("r0"), start), ROOT_ADMINS, NOW)
    second = admit(first, Commit(Revision("r1"), {"a.yaml": with_hook("b")}, person("bob")), ROOT_ADMINS, NOW)
    assert [(str(each.missing[0]), each.missing[1]) for each in second.held_changes] == [("env:takeover", "root")]


def test_a_writer_below_cannot_touch_a_policy_above() -> None:
    """A policy is its space's admins' business, and so is the file that holds its rule."""
    rego = {"rules/p.rego": b"package stationkeeper\ndeny contains 1\n"}
    base = {
        "access.yaml": many(
            doc("User", "wendy", {}),
            doc("User", "alma", {}),
            space("platform"),
            space("team", "platform"),
            doc("RoleBinding", "w", {"role": "writer", "subjects": [{"user": "wendy"}]}, space="team"),
            doc("RoleBinding", "a", {"role": "admin", "subjects": [{"user": "alma"}]}, space="team"),
        ),
        "p.yaml": doc("Policy", "p", {"type": "plan", "regoFile": "rules/p.rego"}, space="platform"),
        "own.yaml": stack("own", in_space="team"),
    }
    first = admit(None, Commit(Revision("r0"), base, attach=out_of(rego)), ROOT_ADMINS, NOW)
    assert isinstance(first, Admission)
    ours = first.in_force.documents.placed(ref("Policy platform/p"))
    changes = {
        "changed": ({"p.yaml": doc("Policy", "p", {"type": "plan", "rego": "x"}, space="platform")}, rego),
        "its file": ({"p.yaml": base["p.yaml"]}, {"rules/p.rego": b"package stationkeeper\nwarn contains 1\n"}),
        "gone": ({"p.yaml": None}, rego),
        "elsewhere": ({"p.yaml": doc("Policy", "p", {"type": "plan", "rego": "x"}, space="team")}, rego),
    }
    for name, (changed, files) in changes.items():
        for who in ("wendy", "alma"):
            commit = Commit(Revision("r1"), changed, person(who), attach=out_of(files))
            judged = admit(first, commit, ROOT_ADMINS, NOW)
            assert isinstance(judged, Admission)
            waiting = {each.ref for each in judged.held_changes}
            assert waiting & {ref("Policy platform/p"), ref("Policy team/p")}, (name, who)
            kept = judged.in_force.documents.placed(ref("Policy platform/p"))
            assert kept is not None
            assert kept.same(ours), (name, who)
            # Where it goes is no use without the right where it comes from.
            assert judged.in_force.documents.placed(ref("Policy team/p")) is None
