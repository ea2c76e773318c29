"""A space's name that was used before: what was kept under it comes only with the right where it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rbac.admission.admit import Admission, Approval, Commit, approve
from rbac.admission.former import Former
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.names import ROOT, Revision, SpaceName
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


def test_secrets_for_a_name_that_no_space_has_are_the_roots() -> None:
    rules = replace(ROOT_ADMINS, has_secrets=lambda name: name == "vault")
    before = begin(FILES, rules)
    files = {"mine/v/space.yaml": space("vault")}
    assert missing(go(before, "mallory", files, "r1", rules=rules)) == {"Space vault: space:create in root"}
    assert not held(go(before, "root-admin", files, "r1", rules=rules))


def test_a_space_that_came_back_elsewhere_says_nothing_of_what_was_below_the_one_that_left() -> None:
    a, b, c = SpaceName("a"), SpaceName("b"), SpaceName("c")
    both = SpaceTree.build({a: SpaceNode(ROOT), b: SpaceNode(a), c: SpaceNode(ROOT)})
    neither = SpaceTree.build({c: SpaceNode(ROOT)})
    elsewhere = SpaceTree.build({c: SpaceNode(ROOT), a: SpaceNode(c)})
    former = Former().after(both, neither)
    assert former.above == {a: (ROOT,), b: (a, ROOT)}
    later = former.after(neither, elsewhere)
    assert (later.above, later.keeper(b, elsewhere), later.returns(b, a)) == ({b: (ROOT,)}, ROOT, False)
