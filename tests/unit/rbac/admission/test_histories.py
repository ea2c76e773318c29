"""Whatever somebody without rights commits, however broken: nothing of it ever counts."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rbac.access.subjects import user
from rbac.admission.admit import Admission, Commit, admit
from rbac.admission.judge import Judge
from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode, Person
from spaces.composition.holds import Because
from spaces.documents.changes import changes
from spaces.names import Revision, SpaceName
from tests.unit.rbac.admission.test_any_history import commits, contents, paths
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import BROKEN, context, doc, everything, found_again, many, space, stack

RULES = Rules(Admins.parse(["root-admin"], IdentityMode.SIGNED), destroy_budget=100.0)
BASES = st.dictionaries(paths, contents.filter(bool), min_size=1, max_size=6)
ROLES = doc("Role", "eves", {"actions": ["stack:*", "context:*", "space:create"]}) + b"---\n"
EVE = b"---\n".join([
    doc("User", "eve", {}),
    doc("RoleBinding", "eve", {"role": "eves", "subjects": [{"user": "eve"}]}, space="two"),
])  # fmt: skip


def step(before: Admission | None, who: str, number: int, changed: dict[str, bytes | None]) -> Admission:
    commit = Commit(Revision(f"r{number}"), changed, Person(user(who), "by a test"))
    found = admit(before, commit, RULES, NOW, halting=False)
    assert isinstance(found, Admission)
    return found


def meaning(admission: Admission) -> dict[str, object]:
    placed = admission.in_force.documents.placed
    return {
        str(ref): (it.resource.content, it.parent, it.resource.file.rpartition("/")[0])
        for ref in admission.in_force.documents.refs()
        if (it := placed(ref))
    }


def rightful_in(here: Admission) -> set[str]:
    """The documents by bare name that somebody with the right has written, and only an obstacle keeps out.

    They may come in, or leave, when anybody removes the obstacle.
    """
    return {
        f"{entry.unit.key.kind} {entry.unit.key.name}"
        for entry in here.held
        if entry.hold.because is not Because.NO_RIGHT
    }


def bare(ref: str) -> str:
    kind, _, name = ref.partition(" ")
    return f"{kind} {name.rpartition('/')[2]}"


def changed_refs(before: Admission, here: Admission) -> set[str]:
    was, now = meaning(before), meaning(here)
    return {ref for ref in {*was, *now} if was.get(ref) != now.get(ref)}


def assert_only_what_waited_comes(before: Admission, here: Admission) -> None:
    assert {bare(ref) for ref in changed_refs(before, here)} <= rightful_in(before)


@settings(max_examples=80)
@given(BASES, commits)
def test_a_stranger_changes_nothing(base, history):
    here = step(None, "root-admin", 0, base)
    for number, changed in enumerate(history, 1):
        before, here = here, step(here, "mallory", number, changed)
        assert_only_what_waited_comes(before, here)


@settings(max_examples=80)
@given(BASES, commits)
def test_a_right_in_one_space_changes_nothing_outside_it(base, history):
    here = step(None, "root-admin", 0, base | {"eve.yaml": ROLES + EVE, "two.yaml": doc("Space", "two", {})})
    was = meaning(here)
    within = {str(space) for space in here.in_force.documents.tree.subtree(SpaceName("two"))}
    for number, changed in enumerate(history, 1):
        before, here = here, step(here, "eve", number, changed)
        now = meaning(here)
        new = {ref.removeprefix("Space ") for ref in now.keys() - was.keys() if ref.startswith("Space ")}
        within |= new & {str(each) for each in here.in_force.documents.tree.subtree(SpaceName("two"))}
        for ref in {*was, *now}:
            name = ref.partition(" ")[2]
            if meaning(before).get(ref) != now.get(ref) and bare(ref) not in rightful_in(before):
                assert name.split("/")[0] in within, f"{ref} changed, outside of what eve may change"
        assert here.in_force.documents.tree.exists(SpaceName("two")) or "Space two" not in was


@settings(max_examples=60)
@given(BASES, st.lists(st.tuples(st.sampled_from(["root-admin", "mallory"]), st.dictionaries(paths, contents, max_size=3)), max_size=6))  # fmt: skip
@example(
    {"space.yaml": space("two"), "b/space.yaml": space("one"), "b/k.yaml": stack("x", moved_from="one/x")},
    [("root-admin", {"b/space.yaml": None}), ("mallory", {"space.yaml": None, "b/k.yaml": None})],
).via("a deletion waits for a stack that never was in force")
@example(
    {"k.yaml": space("three")},
    [
        (
            "root-admin",
            {"b/c/space.yaml": space("three"), "b/space.yaml": many(space("one", "three"), BROKEN), "k.yaml": None},
        ),
        ("mallory", {"space.yaml": space("three")}),
    ],
).via("a space waits for the end of a circle")
@example(
    {"space.yaml": context("x")}, [("root-admin", {"space.yaml": space("one", "one"), "k.yaml": context("x")})]
).via("what lies in a space that is below itself waits with it")
@example(
    {
        "space.yaml": space("one", inherit=False),
        "k.yaml": space("one", inherit=False),
        "m.yaml": space("one", inherit=False),
        "a/space.yaml": space("one", inherit=False),
        "a/k.yaml": many(space("one", inherit=False), BROKEN),
        "a/m.yaml": BROKEN,
    },
    [
        ("root-admin", {"k.yaml": doc("Repository", "x", {"url": "https://example.org/a.git"})}),
        ("mallory", {"space.yaml": None}),
    ],
).via("what waits for its space waits on where the directory is another one's")
def test_whoever_may_do_everything_is_never_held(base, history):
    here = step(None, "root-admin", 0, base)
    for number, (who, changed) in enumerate(history, 1):
        before = here
        here = step(here, who, number, changed)
        wrong = {
            name
            for entry in here.held
            for author in entry.values.values()
            if not author.rightful
            for name in [author.name]
        }
        assert wrong <= {"user:mallory"}
        if who == "mallory":
            assert_only_what_waited_comes(before, here)


PEOPLE = ["root-admin", "eve", "mallory"]
RICH = st.one_of(contents, st.builds(many, contents.filter(bool), contents.filter(bool)))
RICH_COMMITS = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.dictionaries(paths, RICH, min_size=1, max_size=3)), min_size=1, max_size=6
)
TWO = {"eve.yaml": ROLES + EVE, "two.yaml": doc("Space", "two", {}), "users.yaml": doc("User", "mallory", {})}


@settings(max_examples=70)
@given(BASES, RICH_COMMITS)
def test_every_change_is_one_that_somebody_who_made_it_may_make(base, history):
    """By the rules before it, and by nothing of the way that admission took."""
    here = step(None, "root-admin", 0, base | TWO)
    for number, (who, changed) in enumerate(history, 1):
        before, here = here, step(here, who, number, changed)
        authors = {
            author.person.subject
            for entry in before.held
            for author in entry.values.values()
            if author.rightful and author.person is not None
        }
        persons = [Person(each, "by a test") for each in {user(who), *authors}]
        judges = [Judge(before.access, each, before.in_force.documents, here.in_force.documents) for each in persons]
        for change in changes(before.in_force.documents, here.in_force.documents):
            assert any(judge.change(change) is None for judge in judges), (who, str(change.ref), change.verb)


@settings(max_examples=60)
@given(BASES, RICH_COMMITS, st.sets(st.integers(1, 6)))
def test_a_restart_in_between_makes_no_difference(base, history, restarts):
    files = {**base, **TWO}
    one = other = step(None, "root-admin", 0, files)
    for number, (who, changed) in enumerate(history, 1):
        if number in restarts:
            other = found_again(other, files, RULES)
        one, other = step(one, who, number, changed), step(other, who, number, changed)
        files = {path: data for path, data in (files | changed).items() if data is not None}
        assert everything(other) == everything(one)


@settings(max_examples=60)
@given(BASES, RICH_COMMITS)
def test_going_back_to_what_is_in_force_ends_every_hold(base, history):
    here = step(None, "root-admin", 0, base | TWO)
    for number, (who, changed) in enumerate(history, 1):
        here = step(here, who, number, changed)
    back = step(here, "mallory", len(history) + 1, {path: file.force for path, file in here.held.files.items()})
    assert list(back.held) == []
    assert meaning(back) == meaning(here)
