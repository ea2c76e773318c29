"""What was held stays held when somebody else makes its directory another space's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.names import SpaceName
from tests.unit.rbac.admission.test_duplicates import BASE, History, env_of, everything, held
from tests.unit.rbac.admission.test_rights import binding
from tests.unit.spaces.builders import BROKEN, context, doc, many, ref, space, stack

GRANT = binding("mine-now", "admin", "user:alice")
EVIL = space("evil", "root", inherit=False)
TEAM, CREW = space("team", inherit=False), space("crew", inherit=False)


def rightful(it: History) -> bool:
    assert it.here is not None
    placed = (it.here.in_force.documents.placed(each) for each in it.here.in_force.documents.refs())
    return all(each.ref.name not in {"mine-now", "evil"} for each in placed)


@pytest.mark.parametrize(
    ("theirs", "repair", "file"),
    [
        pytest.param(
            {"t/space.yaml": EVIL, "t/x.yaml": GRANT}, {"t/space.yaml": TEAM}, "t/x.yaml", id="the space is put back"
        ),
        pytest.param(
            {"t/space.yaml": EVIL, "t/space.yml": GRANT}, {"t/space.yaml": TEAM}, "t/space.yml", id="beside it"
        ),
        pytest.param(
            {"t/s/space.yaml": EVIL, "t/s/x.yaml": GRANT}, {"t/s/space.yaml": None}, "t/s/x.yaml", id="it is taken out"
        ),
        pytest.param(
            {"t/s/space.yaml": BROKEN, "t/s/x.yaml": GRANT}, {"t/s/space.yaml": None}, "t/s/x.yaml", id="it is broken"
        ),
        pytest.param(
            {"t/s/space.yaml": BROKEN, "t/s/x.yaml": GRANT},
            {"t/s/space.yaml": space("s")},
            "t/s/x.yaml",
            id="it is broken, and repaired",
        ),
        pytest.param({"space.yaml": BROKEN, "x.yaml": GRANT}, {"space.yaml": None}, "x.yaml", id="broken at the top"),
        pytest.param({"t/x.yaml": GRANT}, {"t/space.yaml": CREW}, "t/x.yaml", id="the directory is another space's"),
    ],
)
def test_whoever_repairs_a_directory_lets_nothing_in(theirs, repair, file):
    it = History().commit("alice", theirs).commit("root-admin", repair)
    assert rightful(it)
    (left,) = it.here.held_changes
    assert (left.ref.name, left.person, left.file) == ("mine-now", "user:alice", file)
    assert everything(it.found_again()) == everything(it.here)
    it.commit("root-admin", {"t/web.yaml": stack("web", env={"V": "2"})})
    assert rightful(it)
    assert it.approve("alice", left) is not None
    assert it.approve("root-admin", left) is None
    assert not rightful(it)


def test_nothing_of_the_old_space_stays_for_what_was_held_there():
    grant = binding("owners", "writer", "user:alice")
    it = History().commit("alice", {"t/more.yaml": many(grant, stack("web"))})
    it.commit("root-admin", {"t/space.yaml": CREW})
    spaces = {str(each.space) for each in it.here.in_force.documents.refs()}
    assert spaces == {"crew", "mine", "root"}
    assert everything(it.found_again()) == everything(it.here)


def test_what_an_author_put_there_is_judged_again_by_the_right_of_that_author():
    it = History().commit("olga", {"t/space.yaml": EVIL, "t/a.yaml": context("a")})
    assert ("Context evil/a", "user:olga", "t/a.yaml") in held(it.here)
    it.commit("olga", {"t/space.yaml": TEAM})
    assert (it.here.held_changes, it.here.in_force.documents.placed(ref("Context team/a")) is not None) == ((), True)


@pytest.mark.parametrize("together", [False, True])
def test_what_is_held_outlasts_a_space_file_that_is_broken_for_a_while(*, together):
    evil, broken = {"t/s/w.yaml": context("w", {"V": "evil"})}, {"t/s/space.yaml": BROKEN}
    it = History(BASE | {"t/s/w.yaml": context("w", {"V": "good"})})
    for files in [evil | broken] if together else [evil, broken]:
        it.commit("alice", files)
    it.commit("root-admin", {"t/s/space.yaml": None})
    assert env_of(it.here, "Context team/w") == {"V": "good"}
    assert {(name, person) for name, person, _ in held(it.here)} == {("Context team/w", "user:alice")}


def test_an_author_who_repairs_a_space_gets_all_that_belongs_to_it():
    it = History().commit("root-admin", {"t/s/space.yaml": BROKEN, "t/s/w.yaml": context("w", {"V": "1"})})
    assert {(each.file, each.missing) for each in it.here.held_changes} == {
        ("t/s/w.yaml", None),
        ("t/s/space.yaml", None),
    }
    assert env_of(it.here, "Context team/w") is None
    it.commit("root-admin", {"t/s/space.yaml": space("s")})
    assert env_of(it.here, "Context s/w") == {"V": "1"}


def test_a_second_space_that_comes_to_have_a_directory_is_judged_and_found_again():
    it = History().commit("root-admin", {"t/s/a.yaml": TEAM, "t/space.yml": EVIL})
    it.commit("olga", {"t/space.yaml": space("mine", inherit=False)})
    assert everything(it.found_again()) == everything(it.here)
    assert it.here.in_force.documents.placed(ref("Space evil")) is None


PATHS = ["t/space.yaml", "t/space.yml", "t/a.yaml", "t/s/space.yaml", "t/s/a.yaml", "m/a.yaml", "space.yaml"]
THEIRS = [
    GRANT,
    EVIL,
    space("evil"),
    space("team", "mine"),
    context("mine-now"),
    stack("mine-now", moved_from="team/web"),
]
SPACES = [TEAM, CREW, space("crew", "team"), space("mine", inherit=False)]
_theirs = st.dictionaries(st.sampled_from(PATHS), st.lists(st.sampled_from(THEIRS), max_size=2), min_size=1, max_size=3)
_admins = st.tuples(
    st.sampled_from(["t/space.yaml", "t/s/space.yaml", "m/space.yaml"]), st.sampled_from([None, *SPACES])
)


@settings(max_examples=60)
@given(st.lists(st.one_of(_theirs, _admins), max_size=6))
def test_nothing_of_a_stranger_comes_in_by_what_others_do_with_spaces(history):
    it = History()
    for what in history:
        if isinstance(what, dict):
            it.commit("alice", {path: many(*each) if each else None for path, each in what.items()})
        else:
            it.commit("root-admin", {what[0]: what[1]})
        assert rightful(it)
        assert everything(it.found_again()) == everything(it.here)


def test_the_root_may_have_labels_by_whoever_may_do_everything_there():
    root = {"root.yaml": doc("Space", "root", {}, labels={"env": "prod"})}
    it = History(BASE).commit("olga", root)
    assert held(it.here) == [("Space root", "user:olga", "root.yaml")]
    it.commit("olga", {"root.yaml": None})
    it.commit("root-admin", {"root.yaml": doc("Space", "root", {}, labels={"env": "dev"})})
    assert (held(it.here), it.here.in_force.tree.documents.tree.parent(SpaceName("root"))) == ([], None)
    assert everything(it.found_again()) == everything(it.here)
    it.commit("root-admin", {"root.yaml": None})
    assert (held(it.here), it.here.held_changes) == ([], ())
