"""Where the owner takes a document out, no stranger's document keeps it in force, wherever that lies."""

from __future__ import annotations

import pytest

from tests.unit.rbac.admission.test_duplicates import BASE, HOME, History, env_of, everything, held, web
from tests.unit.spaces.builders import many, names, stack

EVIL, WORSE = web("evil"), web("worse")


def after(*commits: tuple[str, dict[str, bytes | None]]) -> History:
    it = History(BASE | {HOME: web(0)})
    for who, files in commits:
        it.commit(who, files)
        assert env_of(it.here) in (None, {"V": "0"}, {"V": "1"})
        assert everything(it.found_again()) == everything(it.here)
    return it


@pytest.mark.parametrize("elsewhere", ["t/x.yaml", "m/x.yaml"])
@pytest.mark.parametrize("copy", [EVIL, WORSE, web(1)], ids=["another", "a third", "as the owner wrote it"])
def test_a_deletion_counts_beside_what_was_moved_elsewhere_before(elsewhere, copy):
    it = after(
        ("mallory", {HOME: None}),
        ("olga", {HOME: web(1)}),
        ("mallory", {HOME: None, elsewhere: copy}),
        ("mallory", {HOME: None}),
        ("mallory", {HOME: EVIL}),
        ("olga", {HOME: None}),
    )
    assert env_of(it.here) is None
    assert held(it.here) == [("Stack team/web", "user:mallory", elsewhere)]


def test_who_has_no_right_deletes_nothing_so():
    it = after(
        ("mallory", {HOME: None, "m/x.yaml": EVIL}),
        ("mallory", {HOME: WORSE}),
        ("mallory", {HOME: None}),
    )
    assert env_of(it.here) == {"V": "0"}
    it.commit("olga", {"m/x.yaml": None})
    assert env_of(it.here) == {"V": "0"}, "the deletion that came with it stays held"


def test_a_deletion_counts_for_the_last_of_several_in_the_file():
    it = after(
        ("mallory", {HOME: EVIL}),
        ("mallory", {HOME: many(EVIL, WORSE)}),
        ("mallory", {HOME: WORSE}),
        ("olga", {HOME: None}),
    )
    assert (env_of(it.here), it.here.held_changes) == (None, ())


MOVE = {"m/web.yaml": stack("z", moved_from="team/web")}


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param([{HOME: None} | MOVE, {HOME: EVIL}], id="moved, and another in its place"),
        pytest.param([{HOME: EVIL}, MOVE], id="another in its place, and moved"),
        pytest.param([{HOME: None}, MOVE, {HOME: EVIL}], id="deleted, moved, and another in its place"),
        pytest.param([{HOME: EVIL} | MOVE], id="all at once"),
    ],
)
def test_a_held_move_keeps_nothing_that_its_owner_deletes_or_moves(theirs):
    commits = [("mallory", files) for files in theirs]
    it = after(*commits, ("mallory", {HOME: None}))
    assert env_of(it.here) == {"V": "0"}
    it = after(*commits, ("olga", {HOME: None}))
    assert env_of(it.here) is None
    assert held(it.here) == [("Stack mine/z", "user:mallory", "m/web.yaml")]
    it = after(*commits, ("olga", {HOME: None, "t/shop.yaml": stack("shop", moved_from="team/web")}))
    assert {"Stack team/shop", "Stack team/web"} & names(it.here.in_force) == {"Stack team/shop"}


def test_the_owner_moves_what_a_held_move_has_taken_out():
    it = after(
        ("mallory", {HOME: None} | MOVE),
        ("olga", {"t/shop.yaml": stack("shop", moved_from="team/web")}),
    )
    assert {"Stack team/shop", "Stack team/web"} & names(it.here.in_force) == {"Stack team/shop"}
    assert held(it.here) == [("Stack mine/z", "user:mallory", "m/web.yaml")]
