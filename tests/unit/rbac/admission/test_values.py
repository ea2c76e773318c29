"""Each held change stays its writer's, value by value, whatever others do around it."""

from __future__ import annotations

import pytest

from spaces.reading.values import REMOVED, differences
from tests.unit.rbac.admission.test_duplicates import BASE, HOME, History, env_of, everything, held
from tests.unit.spaces.builders import BROKEN, context, many, names, space, stack

MORE = stack("more")


def web(env=None, **spec):
    return stack("web", env=env or {}, **spec)


def start(files=None) -> History:
    return History(BASE | {HOME: web({"A": "1", "B": "1"})} | (files or {}))


def spec_of(it: History, ref_text: str = "Stack team/web"):
    kind, _, name = ref_text.partition(" ")
    found = [r for r in it.here.in_force.documents.refs() if str(r) == f"{kind} {name}"]
    return it.here.in_force.documents.placed(found[0]).resource.spec if found else None


def test_a_document_that_a_stranger_appends_keeps_no_edit_of_the_others_out():
    it = start().commit("mallory", {HOME: many(web({"A": "1", "B": "1"}), MORE)})
    assert held(it.here) == [("Stack team/more", "user:mallory", HOME)]
    for version in ("2", "3"):
        it.commit("olga", {HOME: many(web({"A": version, "B": "1"}), MORE)})
        assert env_of(it.here) == {"A": version, "B": "1"}
        assert held(it.here) == [("Stack team/more", "user:mallory", HOME)]
        assert everything(it.found_again()) == everything(it.here)
    it.commit("olga", {HOME: web({"A": "4", "B": "1"})})
    assert (env_of(it.here), it.here.held_changes) == ({"A": "4", "B": "1"}, ())


def test_a_strangers_value_does_not_come_in_beside_an_owners():
    it = start().commit("mallory", {HOME: web({"A": "evil", "B": "1"})})
    it.commit("olga", {HOME: web({"A": "evil", "B": "2"})})
    assert env_of(it.here) == {"A": "1", "B": "1"}
    assert held(it.here) == [("Stack team/web", "user:mallory", HOME)]
    assert everything(it.found_again()) == everything(it.here)


@pytest.mark.parametrize(
    ("who", "env"),
    [
        pytest.param("olga", {"A": "3", "B": "2"}, id="the owner writes the value"),
        pytest.param("alice", {"A": "1", "B": "2"}, id="anybody takes it out"),
    ],
)
def test_once_it_is_the_owners_or_gone_all_of_it_is_in(who, env):
    it = start().commit("mallory", {HOME: web({"A": "evil", "B": "1"})})
    it.commit("olga", {HOME: web({"A": "evil", "B": "2"})})
    it.commit(who, {HOME: web(env)})
    assert (env_of(it.here), it.here.held_changes) == (env, ())


def test_what_somebody_without_the_right_writes_beside_it_waits_too():
    it = start().commit("mallory", {HOME: web({"A": "evil", "B": "1"})})
    it.commit("alice", {HOME: web({"A": "evil", "B": "worse"})})
    it.commit("olga", {HOME: web({"A": "2", "B": "worse"})})
    assert env_of(it.here) == {"A": "1", "B": "1"}
    assert held(it.here) == [("Stack team/web", "user:alice", HOME)]


def lines(*text: str) -> bytes:
    return stack("web", tool="script", script={"apply": "\n".join((*text, ""))})


@pytest.mark.parametrize(
    ("theirs", "owners", "in_force"),
    [
        pytest.param(["one", "evil", "two"], ["one", "evil", "three"], False, id="a line that they add"),
        pytest.param(["one", "evil", "two"], ["one", "good", "two"], True, id="and the owner writes anew"),
        pytest.param(["evil", "two"], ["evil", "three"], False, id="a line that they change"),
        pytest.param(["one"], ["one", "three"], False, id="a line that they take out"),
        pytest.param(["two", "one"], ["two", "one", "three"], False, id="lines that they swap"),
        pytest.param(["one", "two", "evil"], ["one", "two"], True, id="one that is taken out again"),
    ],
)
def test_a_longer_text_is_its_lines(theirs, owners, in_force):
    it = History(BASE | {HOME: lines("one", "two")})
    it.commit("mallory", {HOME: lines(*theirs)})
    it.commit("olga", {HOME: lines(*owners)})
    assert (it.here.held_changes == ()) is in_force


@pytest.mark.parametrize(
    ("theirs", "owners", "in_force"),
    [
        pytest.param([["one"], ["evil"]], [["one"], ["evil"], ["two"]], False, id="an item that they add"),
        pytest.param([["evil"], ["one"]], [["zero"], ["evil"], ["one"]], False, id="whatever its number"),
        pytest.param([["evil"], ["one"]], [["good"], ["one"]], True, id="and the owner writes anew"),
    ],
)
def test_an_item_of_a_list_is_found_by_its_content(theirs, owners, in_force):
    def hooks(commands):
        return web(hooks={"before": {"plan": [each[0] for each in commands]}})

    it = History(BASE | {HOME: hooks([["one"]])})
    it.commit("mallory", {HOME: hooks(theirs)})
    it.commit("olga", {HOME: hooks(owners)})
    assert (it.here.held_changes == ()) is in_force


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param({HOME: None, "t/other.yaml": web({"A": "evil", "B": "1"})}, id="another file"),
        pytest.param({HOME: None, "t/deep/web.yaml": web({"A": "evil", "B": "1"})}, id="another directory"),
        pytest.param({HOME: None, "t/other.yaml": web({"A": "evil", "B": "2"})}, id="with an edit beside it"),
        pytest.param(
            {HOME: None, "t/s.yaml": stack("shop", env={"A": "evil", "B": "1"}, moved_from="team/web")}, id="renamed"
        ),
    ],
)
def test_a_held_value_that_an_owner_carries_along_stays_held(moved):
    it = start().commit("mallory", {HOME: web({"A": "evil", "B": "1"})})
    it.commit("olga", moved)
    assert "evil" not in str([spec_of(it, str(r)) for r in it.here.in_force.documents.refs() if r.kind == "Stack"])
    assert [each.person for each in it.here.held_changes] == ["user:mallory"]
    assert everything(it.found_again()) == everything(it.here)
    (left,) = it.here.held_changes
    assert it.approve("mallory", left) is not None
    assert it.approve("olga", left) is None
    assert "evil" in str([spec_of(it, str(r)) for r in it.here.in_force.documents.refs() if r.kind == "Stack"])


def test_a_held_new_document_that_an_owner_carries_along_stays_held():
    it = start().commit("mallory", {"t/more.yaml": MORE})
    it.commit("olga", {"t/more.yaml": None, "t/deep/more.yaml": MORE, HOME: web({"A": "2"})})
    assert held(it.here) == [("Stack team/more", "user:mallory", "t/deep/more.yaml")]
    assert env_of(it.here) == {"A": "2"}


# Space files in somebody else's directory

CLAIM = space("mallorys", "mine")


@pytest.mark.parametrize(
    "evil", [CLAIM, BROKEN, b"\xff\xfe", b"{{ x }}: ["], ids=["rightful", "broken", "bytes", "yaml"]
)
@pytest.mark.parametrize("path", ["t/deep/space.yaml", "t/deep/space.yml"])
def test_a_strangers_space_file_in_a_directory_changes_nothing_below_it(path, evil):
    base = BASE | {"t/deep/a.yaml": context("a", {"V": "1"})}
    it = History(base).commit("mallory", {path: evil})
    before = names(History(base).here.in_force)
    assert names(it.here.in_force) == before
    it.commit("olga", {"t/deep/a.yaml": context("a", {"V": "2"}), "t/deep/new.yaml": context("new")})
    assert env_of(it.here, "Context team/a") == {"V": "2"}
    assert "Context team/new" in names(it.here.in_force)
    assert everything(it.found_again()) == everything(it.here)
    it.commit("root-admin", {path: None})
    assert names(it.here.in_force) == before | {"Context team/new"}
    assert it.here.held_changes == ()


def test_a_space_file_needs_the_right_in_the_space_that_its_directory_belongs_to():
    it = History().commit("mallory", {"t/deep/space.yaml": CLAIM})
    (waits,) = it.here.held_changes
    assert (str(waits.missing[0]), waits.missing[1]) == ("space:create", "team")
    assert it.approve("olga", waits) is not None
    assert it.approve("root-admin", waits) is None


def test_a_name_that_is_squatted_gives_the_squatter_nothing():
    it = History().commit(
        "mallory", {"m/x.yaml": space("shop", "mine"), "m/y.yaml": context("theirs", in_space="shop")}
    )
    assert {"Space shop", "Context shop/theirs"} <= names(it.here.in_force)
    it.commit("root-admin", {"s/space.yaml": space("shop", inherit=False), "s/a.yaml": stack("a")})
    assert "Stack shop/a" not in names(it.here.in_force)
    assert {each.person for each in it.here.held_changes} == {"user:root-admin"}
    it.commit("root-admin", {"m/x.yaml": None, "m/y.yaml": None})
    assert {"Space shop", "Stack shop/a"} <= names(it.here.in_force)
    assert it.here.held_changes == ()
    assert it.here.in_force.documents.tree.parent("shop") == "root"


# One commit that renames, and gives the name away


def move_of(it: History) -> dict[str, str]:
    return {
        str(r): str(it.here.in_force.documents.placed(r).resource.metadata.moved_from)
        for r in it.here.in_force.documents.refs()
        if r.kind == "Stack"
    }


REUSE = {HOME: stack("web", env={"V": "new"}), "t/old.yaml": stack("old", moved_from="team/web", env={"A": "1"})}


def test_a_rename_and_a_new_stack_of_the_old_name_are_one_change():
    it = start().commit("olga", REUSE)
    assert (env_of(it.here), env_of(it.here, "Stack team/old")) == ({"V": "new"}, {"A": "1"})
    assert it.here.held_changes == ()


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            REUSE | {"t/old.yaml": stack("old", "gone", moved_from="team/web")}, id="the renamed one is broken"
        ),
        pytest.param(REUSE | {HOME: stack("web", "gone")}, id="the new one is broken"),
    ],
)
def test_both_or_neither(files):
    it = start().commit("olga", files)
    assert env_of(it.here) == {"A": "1", "B": "1"}
    assert "Stack team/old" not in names(it.here.in_force)
    assert everything(it.found_again()) == everything(it.here)


def test_a_stranger_can_do_neither():
    it = start().commit("mallory", REUSE)
    assert env_of(it.here) == {"A": "1", "B": "1"}
    assert "Stack team/old" not in names(it.here.in_force)


def test_two_names_are_swapped_in_one_commit():
    it = start({"t/b.yaml": stack("b", env={"N": "b"})})
    it.commit("olga", {HOME: stack("web", moved_from="team/b"), "t/b.yaml": stack("b", moved_from="team/web")})
    assert it.here.held_changes == ()
    assert move_of(it)["Stack team/web"] == "team/b"


# References are judged against what is in force


def test_a_reference_is_judged_whatever_else_the_commit_deletes_or_breaks():
    base = BASE | {"p/space.yaml": space("platform"), "p/base.yaml": stack("base", shareOutputs=["mine"])}
    child = stack(
        "child", tool="script", script={"apply": "x"}, dependsOn=[{"stack": "platform/base", "outputs": {"pw": "PW"}}]
    )
    for other in ({}, {"p/base.yaml": None}, {"p/base.yaml": BROKEN}, {"p/base.yaml": stack("base", "gone")}):
        it = History(base).commit("mallory", {"m/child.yaml": child} | other)
        assert "Stack mine/child" not in names(it.here.in_force), other
        it.commit("alice", {"README.md": b"x"})
        assert "Stack mine/child" not in names(it.here.in_force)


def test_a_bare_name_that_comes_to_mean_another_spaces_stack_is_judged_too():
    base = BASE | {
        "m/space.yaml": space("mine"),
        "db.yaml": stack("db"),
        "m/db.yaml": stack("db"),
        "m/app.yaml": stack("app", dependsOn=["db"]),
    }
    it = History(base).commit("mallory", {"m/db.yaml": None})
    assert "Stack mine/db" in names(it.here.in_force)
    assert [str(each.ref) for each in it.here.held_changes] == ["Stack mine/db"]
    assert "stack:read" in it.here.held_changes[0].message


def test_differences_of_values():
    one = {"a": 1, "b": [1, 2], "c": {"d": "x\ny"}}
    assert differences(one, one) == {}
    assert list(differences(one, one | {"a": True}).values()) == ["true"]
    assert REMOVED in differences(one, one | {"b": [2]}).values()
    assert len(differences(one, one | {"c": {"d": "x\nz"}})) == 2
    assert differences({"a": 1}, {"a": 1.0}) != {}
