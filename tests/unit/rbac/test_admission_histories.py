"""Whatever somebody without rights commits, however broken: nothing of it ever counts."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rbac.access.subjects import user
from rbac.admission.admission import Admission, Commit, admit
from rbac.admission.held import HeldChange
from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode, Person
from spaces.names import Revision, SpaceName
from spaces.settling import KeptBecause
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import BROKEN, context, doc, many, space, stack
from tests.unit.spaces.test_settling import commits, contents, paths

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
    placed = admission.in_force.catalog.placed
    return {
        str(ref): (it.resource.content, it.parent, it.resource.file.rpartition("/")[0])
        for ref in admission.in_force.catalog.refs()
        if (it := placed(ref))
    }


def waiting_in(here: Admission) -> set[tuple[str, object]]:
    """What somebody with the right has written and only an obstacle keeps out may come in when the obstacle goes."""
    return {
        (str(ref), it.resource.content) for ref in here.in_force.pending for it in here.in_force.proposed.claimants(ref)
    }


def leaving_in(here: Admission, changed: dict[str, bytes | None]) -> set[tuple[str, object]]:
    """What somebody with the right has deleted, and only a need of others keeps, may leave when the need goes."""
    return {
        (str(ref), "")
        for ref, it in here.in_force.kept.items()
        if it.because is not KeptBecause.HELD
        and not here.in_force.proposed.declares(ref)
        and not {*it.waits_for} & changed.keys()
    }


def assert_only_what_waited_comes(before: Admission, here: Admission, changed_files: dict[str, bytes | None]) -> None:
    was, now = meaning(before), meaning(here)
    waiting = waiting_in(before) | leaving_in(before, changed_files)
    changed = {ref for ref in {*was, *now} if was.get(ref) != now.get(ref)}
    assert all((ref, now[ref][0] if ref in now else "") in waiting for ref in changed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BASES, commits)
def test_a_stranger_changes_nothing(base, history):
    here = step(None, "root-admin", 0, base)
    before, waiting = meaning(here), waiting_in(here)
    for number, changed in enumerate(history, 1):
        here = step(here, "mallory", number, changed)
        now = meaning(here)
        changed_refs = {ref for ref in {*before, *now} if before.get(ref) != now.get(ref)}
        assert all((ref, now.get(ref, ("",))[0]) in waiting for ref in changed_refs)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BASES, commits)
def test_a_right_in_one_space_changes_nothing_outside_it(base, history):
    here = step(None, "root-admin", 0, base | {"eve.yaml": ROLES + EVE, "two.yaml": doc("Space", "two", {})})
    was = meaning(here)
    waiting = waiting_in(here)
    within = {str(space) for space in here.in_force.catalog.tree.subtree(SpaceName("two"))}
    for number, changed in enumerate(history, 1):
        here = step(here, "eve", number, changed)
        now = meaning(here)
        new = {ref.removeprefix("Space ") for ref in now.keys() - was.keys() if ref.startswith("Space ")}
        within |= new & {str(each) for each in here.in_force.catalog.tree.subtree(SpaceName("two"))}
        for ref in {*was, *now}:
            name = ref.partition(" ")[2]
            if was.get(ref) != now.get(ref) and (ref, now.get(ref, ("",))[0]) not in waiting:
                assert name.split("/")[0] in within, f"{ref} changed, outside of what eve may change"
        assert here.in_force.catalog.tree.exists(SpaceName("two")) == ("Space two" in was)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
        new: list[HeldChange] = [it for ref, it in here.held.items() if before.held.get(ref) is not it]
        assert all(it.person == "user:mallory" or "is not in force" in it.message or "does not exist" in it.message for it in new)  # fmt: skip
        if who == "mallory":
            assert_only_what_waited_comes(before, here, changed)
