"""A space's name that was used before: what was kept under it comes only with the right where it was."""

from __future__ import annotations

import pytest

from rbac.access.actions import Action
from rbac.admission.admit import Admission, Approval, Commit, approve
from rbac.admission.former import Former
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.model.sealed import SealedPlace, write
from spaces.names import ROOT, Kind, Revision, SpaceName
from spaces.reading.attachments import out_of
from tests.unit.rbac.admission.test_rights import ROOT_ADMINS, begin, binding, go, held, people, person
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import found_again, names, space, stack

FILES = {
    "users.yaml": people("carol", "mallory"),
    "platform/space.yaml": space("platform"),
    "platform/admins.yaml": binding("carol", "admin", "user:carol"),
    "platform/payments/space.yaml": space("payments"),
    "platform/payments/db.yaml": stack("db"),
    "mine/space.yaml": space("mine"),
    "mine/admins.yaml": binding("mallory", "admin", "user:mallory"),
}
_AGE = b"age-encryption.org/v1\n-> X25519 abc\n" + b"x" * 60
GONE = {"platform/payments/space.yaml": None, "platform/payments/db.yaml": None}
SQUATTED = {"mine/payments/space.yaml": space("payments")}


def missing(state) -> set[str]:
    return {f"{each.ref}: {each.missing[0]} in {each.missing[1]}" for each in state.held_changes if each.missing}


def left():
    return go(begin(FILES, ROOT_ADMINS), "carol", GONE, "r1")


@pytest.mark.parametrize(
    ("who", "files", "lacks"),
    [
        ("mallory", SQUATTED, {"Space payments: space:create in platform"}),
        ("carol", {"platform/payments/space.yaml": space("payments")}, set()),
        ("carol", {"platform/other/space.yaml": space("payments")}, set()),
        ("root-admin", SQUATTED, set()),
        ("mallory", {"mine/new/space.yaml": space("new")}, set()),
        (
            "mallory",
            {"mine/x.yaml": stack("x", moved_from="payments/db")},
            {"Stack mine/x: stack:update in platform"},
        ),
        ("mallory", {"mine/x.yaml": stack("x", moved_from="nowhere/db")}, set()),
        (
            "mallory",
            {**SQUATTED, "mine/x.yaml": stack("x", moved_from="payments/db")},
            {"Space payments: space:create in platform", "Stack mine/x: stack:update in platform"},
        ),
    ],
    ids=["squatted", "back by its admin", "in another directory", "by an admin of everything", "a free name",
         "its retained stack", "a stack of nobody", "both"],
)  # fmt: skip
@pytest.mark.parametrize("restarted", [False, True], ids=["", "after a restart"])
def test_who_may_use_a_name_again(who: str, files: dict, lacks: set[str], *, restarted: bool) -> None:
    before = left()
    if restarted:
        there = {path: data for path, data in FILES.items() if path not in GONE}
        before = found_again(before, there, ROOT_ADMINS)
    after = go(before, who, files, "r2")
    assert missing(after) == lacks
    if not lacks:
        assert not held(after)


def test_whoever_has_the_right_where_it_was_and_where_it_is_to_be_lets_it_go() -> None:
    waits = go(left(), "mallory", SQUATTED, "r2")
    (change,) = waits.held_changes
    assert "may not create Space payments: the name payments belongs to platform, below which " in change.message
    files = {**FILES, **GONE, **SQUATTED}
    commit = Commit(Revision("r2"), {}, attach=out_of({path: data for path, data in files.items() if data}))
    answers = {
        who: approve(waits, Approval(change.id, person(who)), ROOT_ADMINS, NOW, commit)
        for who in ("mallory", "carol", "root-admin")
    }
    assert [who for who, answer in answers.items() if isinstance(answer, Admission)] == ["root-admin"]
    after = answers["root-admin"]
    assert isinstance(after, Admission)
    assert "Space payments" in names(after)
    assert missing(go(after, "mallory", {"mine/payments/db.yaml": stack("db")}, "r3")) == set()


def test_the_name_of_a_space_whose_parents_are_gone_too_is_for_who_is_admin_above_them() -> None:
    gone = {**GONE, "platform/space.yaml": None, "platform/admins.yaml": None}
    after = go(begin(FILES, ROOT_ADMINS), "root-admin", gone, "r1")
    assert missing(go(after, "mallory", SQUATTED, "r2")) == {"Space payments: space:create in root"}


@pytest.mark.parametrize(
    ("who", "kept"),
    [("carol", True), ("root-admin", True), ("mallory", False)],
    ids=["its parent's admin", "", "another"],
)
def test_what_is_kept_of_a_space_is_seen_and_let_go_by_its_old_parent(who: str, *, kept: bool) -> None:
    access, subject = left().doors, person(who).subject
    gone = SpaceName("payments")
    for action in (Action("stack", "read"), Action("stack", "delete")):
        assert access.decide(subject, action, gone).allowed is kept
        assert (gone in access.spaces_where(subject, action)) is kept
    assert not access.decide(subject, Action("stack", "read"), SpaceName("nowhere")).allowed


def test_a_space_with_sealed_values_moves_with_values_sealed_for_its_new_place() -> None:
    def db(path: str) -> str:
        value = write(_AGE, SealedPlace.of(Kind.STACK, path, "db", "A"))
        return stack("db", env={"A": {"sealed": value}})

    before = begin({**FILES, "platform/payments/db.yaml": db("platform/payments")}, ROOT_ADMINS)
    there = {"platform/payments/space.yaml": space("payments", parent="mine")}
    waits = go(before, "root-admin", there, "r1")
    (change,) = waits.held_changes
    assert "Space payments stays as it was, for Stack payments/db: with the change, A of Stack" in change.message
    assert not held(go(before, "root-admin", {**there, "platform/payments/db.yaml": db("mine/payments")}, "r1"))


def test_a_space_that_came_back_elsewhere_says_nothing_of_what_was_below_the_one_that_left() -> None:
    a, b, c = SpaceName("a"), SpaceName("b"), SpaceName("c")
    both = SpaceTree.build({a: SpaceNode(ROOT), b: SpaceNode(a), c: SpaceNode(ROOT)})
    neither = SpaceTree.build({c: SpaceNode(ROOT)})
    elsewhere = SpaceTree.build({c: SpaceNode(ROOT), a: SpaceNode(c)})
    former = Former().after(both, neither)
    assert former.above == {a: (ROOT,), b: (a, ROOT)}
    later = former.after(neither, elsewhere)
    assert (later.above, later.keeper(b, elsewhere), later.returns(b, a)) == ({b: (ROOT,)}, ROOT, False)
