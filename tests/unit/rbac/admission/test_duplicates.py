"""A document that was put there without the right takes no name, no directory and no update from anybody."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbac.admission.admit import Admission, Approval, Commit, Refused, admit, approve
from rbac.admission.held import HeldChange
from spaces.names import Revision
from tests.unit.rbac.admission.test_rights import ROOT_ADMINS, binding, people, person
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import context, doc, everything, found_again, many, names, ref, space, stack

BASE = {
    "users.yaml": people("root-admin", "olga", "mallory", "alice"),
    "t/space.yaml": space("team", inherit=False),
    "t/bindings.yaml": binding("owners", "writer", "user:olga"),
    "t/web.yaml": stack("web"),
    "m/space.yaml": space("mine", inherit=False),
    "m/bindings.yaml": many(binding("owners", "admin", "user:mallory"), binding("too", "writer", "user:olga")),
}
WEB = ref("Stack team/web")


class History:
    """Commits, and the state after each; any of them can be found again from what would have been stored."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.revisions: dict[str, dict[str, bytes]] = {}
        self.here: Admission | None = None
        self.commit("root-admin", files or BASE)

    def commit(self, who: str, changed: dict[str, bytes | None]) -> History:
        self.files = {p: d for p, d in (self.files | changed).items() if d is not None}
        revision = Revision(f"r{len(self.revisions)}")
        self.revisions[revision] = self.files
        found = admit(self.here, Commit(revision, changed, person(who)), ROOT_ADMINS, NOW, halting=False)
        assert isinstance(found, Admission)
        self.here = found
        return self

    def approve(self, who: str, held: HeldChange) -> str | None:
        assert self.here is not None
        found = approve(self.here, Approval(held.id, person(who)), ROOT_ADMINS, NOW)
        if isinstance(found, Refused):
            return found.message
        self.here = found
        return None

    def found_again(self) -> Admission:
        """What a fresh process makes of the repository and the store."""
        assert self.here is not None
        return found_again(self.here, self.files, ROOT_ADMINS)


def env_of(admission: Admission, of: str = "Stack team/web") -> dict[str, str] | None:
    placed = admission.in_force.documents.placed(ref(of))
    return dict(placed.resource.spec.env) if placed else None


def held(admission: Admission) -> list[tuple[str, str, str | None]]:
    return [(str(each.ref), each.person, each.file) for each in admission.held_changes]


def web(version: object, **metadata: str) -> bytes:
    return stack("web", in_space="team", env={"V": str(version)}, **metadata)


# One after the other


def test_the_owner_goes_on_beside_a_second_document():
    it = History().commit("mallory", {"m/x.yaml": web("evil")})
    assert held(it.here) == [("Stack team/web", "user:mallory", "m/x.yaml")]
    assert "stack:update" in it.here.held_changes[0].message
    assert it.here.held_changes[0].missing[1] == "team"
    it.commit("olga", {"t/web.yaml": web(2)})
    assert env_of(it.here) == {"V": "2"}
    assert [each.person for each in it.here.held_changes] == ["user:mallory"]
    assert "duplicate-name" not in [told.code for told in it.here.in_force.diagnostics]
    it.commit("olga", {"t/web.yaml": None})
    assert env_of(it.here) is None
    assert held(it.here) == [("Stack team/web", "user:mallory", "m/x.yaml")]
    it.commit("alice", {"README.md": b""})
    assert env_of(it.here) is None
    assert it.approve("olga", it.here.held_changes[0]) is None
    assert (env_of(it.here), it.here.held_changes) == ({"V": "evil"}, ())


def test_the_owners_document_moves_beside_a_second_one():
    it = History().commit("mallory", {"m/x.yaml": web("evil")})
    it.commit("olga", {"t/web.yaml": None, "t/shop.yaml": stack("shop", moved_from="team/web")})
    assert "Stack team/shop" in names(it.here.in_force)
    assert "Stack team/web" not in names(it.here.in_force)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param({"t/web.yaml": web("evil")}, id="in its place"),
        pytest.param({"t/web.yaml": None, "m/x.yaml": web("evil")}, id="moved elsewhere"),
        pytest.param({"t/web.yaml": None, "t/x.yaml": stack("web")}, id="another name of the file"),
        pytest.param({"t/web.yaml": many(stack("web"), stack("web"))}, id="a copy in the same file"),
        pytest.param({"t/web.yaml": many(web("evil"), stack("web"))}, id="before it in the same file"),
        pytest.param({"t/x.yaml": stack("web")}, id="a copy beside it"),
        pytest.param({"t/web.yaml": None}, id="deleted"),
        pytest.param({"m/x.yaml": web("evil"), "m/y.yaml": web("evil")}, id="two"),
    ],
)
@pytest.mark.parametrize("path", ["t/web.yaml", "t/new.yaml"])
def test_wherever_the_owner_writes_it_comes_into_force(start, path):
    it = History().commit("mallory", start)
    assert env_of(it.here) == {}
    assert it.here.held_changes
    own = {path: web(2)} if path == "t/web.yaml" else {path: web(2), "t/web.yaml": None}
    it.commit("olga", own)
    assert env_of(it.here) == {"V": "2"}
    assert everything(it.found_again()) == everything(it.here)
    it.commit("olga", {path: web(3)})
    assert env_of(it.here) == {"V": "3"}
    assert everything(it.found_again()) == everything(it.here)


def test_of_two_with_the_right_the_one_in_force_goes_on():
    it = History().commit("olga", {"m/x.yaml": web(2)})
    assert env_of(it.here) == {}
    assert held(it.here) == [("Stack team/web", "user:olga", "m/x.yaml")]
    (told,) = [d for d in it.here.in_force.diagnostics if d.code == "duplicate-name"]
    assert (told.position.file, "t/web.yaml" in told.hint) == ("m/x.yaml", True)
    it.commit("olga", {"t/web.yaml": web(3)})
    assert env_of(it.here) == {"V": "3"}
    assert everything(it.found_again()) == everything(it.here)
    it.commit("olga", {"t/web.yaml": None})
    assert (env_of(it.here), it.here.held_changes) == ({"V": "2"}, ())


def test_an_approval_of_the_second_is_refused_while_the_first_is_there():
    it = History().commit("mallory", {"m/x.yaml": web("evil")})
    assert "t/web.yaml" in it.approve("olga", it.here.held_changes[0])
    assert "t/web.yaml" in it.approve("root-admin", it.here.held_changes[0])
    assert env_of(it.here) == {}
    moved = History().commit("mallory", {"t/web.yaml": None, "m/x.yaml": web("evil")})
    assert moved.approve("olga", moved.here.held_changes[0]) is None
    assert (env_of(moved.here), moved.here.held_changes) == ({"V": "evil"}, ())


def test_of_several_held_ones_the_approved_one_comes():
    it = History().commit("mallory", {"m/x.yaml": stack("new", in_space="team")})
    it.commit("alice", {"m/y.yaml": stack("new", in_space="team", env={"A": "1"})})
    second = next(each for each in it.here.held_changes if each.person == "user:alice")
    assert it.approve("olga", second) is None
    assert env_of(it.here, "Stack team/new") == {"A": "1"}
    assert held(it.here) == [("Stack team/new", "user:mallory", "m/x.yaml")]


def test_taking_the_second_one_out_ends_its_hold_and_nothing_else():
    it = History().commit("mallory", {"m/x.yaml": web("evil"), "t/web.yaml": web("worse")})
    it.commit("olga", {"m/x.yaml": None})
    assert held(it.here) == [("Stack team/web", "user:mallory", "t/web.yaml")]
    assert env_of(it.here) == {}
    gone = History().commit("mallory", {"t/web.yaml": None}).commit("alice", {"m/x.yaml": web("evil")})
    gone.commit("olga", {"m/x.yaml": None})
    assert env_of(gone.here) == {}, "only what was nobody's left"


def test_what_is_held_keeps_nothing_of_the_same_bare_name_from_leaving():
    it = History().commit("alice", {"m/web.yaml": stack("web"), "m/z.yaml": stack("z", moved_from="team/web")})
    assert len(it.here.held_changes) == 2
    it.commit("olga", {"t/web.yaml": None})
    assert "Stack team/web" not in names(it.here.in_force)


def test_a_held_move_still_keeps_its_origin():
    it = History().commit("mallory", {"t/web.yaml": None, "m/web.yaml": stack("web", moved_from="team/web")})
    for _ in range(2):
        it.commit("alice", {"README.md": b""})
        assert "Stack team/web" in names(it.here.in_force)
        assert everything(it.found_again()) == everything(it.here)


# Spaces


@pytest.mark.parametrize(
    "evil",
    [
        pytest.param({"m/x.yaml": space("team", "mine")}, id="elsewhere"),
        pytest.param({"m/q/space.yaml": space("team", "mine")}, id="with a directory of its own"),
        pytest.param({"t/space.yml": space("evil", "root")}, id="another file of the directory"),
        pytest.param({"t/space.yaml": many(space("evil", "root"), space("team", inherit=False))}, id="before it"),
        pytest.param({"t/space.yaml": space("evil", "root")}, id="in its place"),
        pytest.param({"t/space.yaml": space("team", "mine")}, id="below another"),
        pytest.param({"t/s/space.yaml": space("evil", "root")}, id="below"),
        pytest.param({"t/space.yaml": None, "m/q/space.yaml": space("team", "mine")}, id="moved"),
        pytest.param({"space.yaml": space("team", "root")}, id="above"),
        pytest.param({"space.yaml": space("evil", "root")}, id="another one above"),
    ],
)
def test_the_owners_space_goes_on(evil):
    base = BASE | {"t/s/deep.yaml": context("deep"), "top.yaml": context("top")}
    it = History(base).commit("mallory", evil)
    assert {each.person for each in it.here.held_changes} == {"user:mallory"}
    assert names(it.here.in_force) == names(History(base).here.in_force)
    assert everything(it.found_again()) == everything(it.here)
    it.commit("olga", {"t/web.yaml": stack("web", env={"V": "2"}), "t/s/deep.yaml": context("deep", {"A": "2"})})
    it.commit("olga", {"t/s/more.yaml": context("more")})
    assert (env_of(it.here), env_of(it.here, "Context team/deep")) == ({"V": "2"}, {"A": "2"})
    assert "Context team/more" in names(it.here.in_force)
    it.commit("root-admin", {"top.yaml": context("top", {"A": "2"})})
    assert env_of(it.here, "Context root/top") == {"A": "2"}
    labelled = doc("Space", "team", {"inherit": False}, labels={"env": "prod"})
    it.commit("root-admin", {"t/space.yaml": labelled})
    placed = it.here.in_force.documents.placed(ref("Space team"))
    assert (dict(placed.resource.metadata.labels), placed.parent) == ({"env": "prod"}, "root")
    assert everything(it.found_again()) == everything(it.here)


def test_what_its_author_means_for_a_held_space_ends_up_nowhere_else():
    it = History().commit("olga", {"t/u/space.yaml": space("under"), "t/u/s.yaml": stack("s")})
    it.commit("olga", {"t/u/s2.yaml": stack("s2")})
    assert {each[0] for each in held(it.here)} == {"Space under", "Stack under/s", "Stack under/s2"}
    assert "Stack team/s" not in names(it.here.in_force)
    stack_first = next(each for each in it.here.held_changes if each.ref.name == "s")
    assert "comes first" in it.approve("root-admin", stack_first)
    space_itself = next(each for each in it.here.held_changes if each.ref.kind == "Space")
    assert it.approve("root-admin", space_itself) is None
    assert it.here.held_changes == ()
    assert {"Space under", "Stack under/s", "Stack under/s2"} <= names(it.here.in_force)
    assert everything(it.found_again()) == everything(it.here)


# Whatever they do


HOME = "t/web.yaml"
THEIRS = [web("evil"), web("worse"), stack("web", in_space="team", env={"V": "x"}, moved_from="mine/old")]
FILES = [HOME, "t/x.yaml", "m/x.yaml", "m/y.yaml"]

_copies = st.integers(0, 3)
"""A document of the owner's, by how many versions ago it was the newest."""
_contents = st.lists(st.one_of(st.sampled_from(THEIRS), _copies), min_size=0, max_size=3)
_theirs = st.dictionaries(st.sampled_from(FILES), _contents, min_size=1, max_size=2)
_owner = st.sampled_from(["write", "write beside", "delete"])


@settings(max_examples=60)
@given(st.lists(st.one_of(_theirs, _owner), max_size=8))
def test_the_owners_document_is_always_the_owners_last(history):
    """The owner writes what was never there before; the other one anything, also what the owner wrote once."""
    it = History(BASE | {HOME: web(0)})
    versions, last = [web(0)], web(0)
    for what in history:
        if isinstance(what, dict):
            files = {
                p: [versions[-1 - each % len(versions)] if isinstance(each, int) else each for each in documents]
                for p, documents in what.items()
            }
            it.commit("mallory", {path: many(*documents) if documents else None for path, documents in files.items()})
        elif what == "delete":
            if HOME not in it.files:
                continue
            it.commit("olga", {HOME: None})
            last = None
        else:
            if last is None and HOME in it.files:
                # Nothing is in force: what somebody else has put there goes first, else its values stay theirs.
                it.commit("olga", {HOME: None})
            # Whoever edits a file may leave in it what somebody else has put there.
            there = it.files[HOME].split(b"---\n") if what == "write beside" and HOME in it.files else []
            if last in there:
                there.remove(last)
            last = web(len(versions))
            versions.append(last)
            it.commit("olga", {HOME: many(last, *there)})
        placed = it.here.in_force.documents.placed(WEB)
        assert (placed.resource.spec.env["V"] if placed else None) == (_version(last) if last else None)
        assert everything(it.found_again()) == everything(it.here)


def test_an_old_version_comes_back_beside_a_copy_of_it():
    it = History(BASE | {HOME: web(0)}).commit("mallory", {HOME: many(web(0), web(0))})
    for version, documents in (("1", [web(1), web(0)]), ("0", [web(0), web(0)]), ("2", [web(2), web(0)])):
        it.commit("olga", {HOME: many(*documents)})
        assert env_of(it.here) == {"V": version}
        assert everything(it.found_again()) == everything(it.here)
    taken_out = History(BASE | {HOME: web(0)}).commit("mallory", {HOME: many(web(0), web(0))})
    taken_out.commit("olga", {HOME: web(0)})
    assert (env_of(taken_out.here), taken_out.here.held_changes) == ({"V": "0"}, ())


def _version(document: bytes) -> str:
    return json.loads(document)["spec"]["env"]["V"]


# Whoever it is, wherever they write

PATHS = [
    "t/space.yaml",
    "t/space.yml",
    "t/a.yaml",
    "t/s/space.yaml",
    "t/s/a.yaml",
    "m/space.yaml",
    "m/a.yaml",
    "space.yaml",
]
ANY = [
    space("team", inherit=False), space("team", "mine"), space("evil", "root"), space("evil"), space("mine", inherit=False),
    stack("web"), stack("web", in_space="team"), stack("a"), context("a"), stack("b", moved_from="team/a"), web(1),
]  # fmt: skip
_any = st.dictionaries(st.sampled_from(PATHS), st.lists(st.sampled_from(ANY), max_size=3), min_size=1, max_size=3)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["olga", "mallory", "alice", "root-admin"]), _any), max_size=6))
def test_a_fresh_process_finds_all_of_it_again(history):
    it = History()
    for who, files in history:
        it.commit(who, {path: many(*content) if content else None for path, content in files.items()})
        assert everything(it.found_again()) == everything(it.here)
        assert len(it.here.held_changes) == len({each.id for each in it.here.held_changes})


OWN = ["t/a.yaml", "t/s/b.yaml", "t/s/c.yaml"]


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("alice"), _any),
            st.tuples(st.just("olga"), st.tuples(st.sampled_from(OWN), st.integers(0, 3))),
            st.tuples(st.just("root-admin"), st.tuples(st.just("t/space.yaml"), st.integers(0, 3))),
        ),
        max_size=7,
    )
)
def test_no_stranger_keeps_the_owners_out(history):
    """Strangers write anywhere; the owners only what is theirs, as if nobody else were there."""
    it, expected = History(), {}
    for who, what in history:
        if who == "alice":
            it.commit(who, {path: many(*content) if content else None for path, content in what.items()})
            continue
        path, number = what
        if who == "olga":
            name = path[-6]
            it.commit(who, {path: context(name, {"V": str(number)})})
            expected[f"Context team/{name}"] = str(number)
        else:
            it.commit(who, {path: doc("Space", "team", {"inherit": False}, labels={"v": str(number)})})
            expected["Space team"] = str(number)
        for each, version in expected.items():
            placed = it.here.in_force.documents.placed(ref(each))
            found = placed and (placed.resource.metadata.labels if each == "Space team" else placed.resource.spec.env)
            assert found is not None, each
            assert [*found.values()] == [version]
        assert everything(it.found_again()) == everything(it.here)
