"""What an instance makes needs the rights that writing it by hand would need."""

import pytest

from rbac.admission.admit import Admission, Approval, Refused, approve
from rbac.admission.settings import Rules
from rbac.identity import LOCAL_OPERATOR, Person
from tests.unit.rbac.admission.test_rights import ROOT_ADMINS, begin, binding, go, held, people, person
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import blueprint, doc, instance, many, names, space, stack, template

INPUTS = [{"name": "app", "default": "shop"}, {"name": "size", "default": "s"}]
STACK = template("${{ inputs.app }}", env={"SIZE": "${{ inputs.size }}"})
WEB = blueprint("web", STACK, inputs=INPUTS)
BOTH = blueprint("both", STACK, template("${{ inputs.app }}", kind="Context"), inputs=INPUTS)
INSTANCES = "blueprintInstance:*"
BASE = {
    "users.yaml": people("root-admin", "alice", "bob", "carol", "dora", "erin"),
    "roles.yaml": many(
        doc("Role", "orders", {"actions": [INSTANCES]}),
        doc("Role", "orders-stacks", {"actions": [INSTANCES, "stack:create", "stack:update"]}),
        doc("Role", "draws", {"actions": ["blueprint:*"]}),
    ),
    "p/space.yaml": space("platform", inherit=False),
    "p/b.yaml": many(binding("admins", "admin", "user:alice"), binding("draws", "draws", "user:dora")),
    "p/web.yaml": many(WEB, BOTH),
    "p/t/space.yaml": space("team"),
    "p/t/b.yaml": many(
        binding("writers", "writer", "user:bob"),
        binding("orders", "orders", "user:carol"),
        binding("some", "orders-stacks", "user:erin"),
    ),
    "p/t/i.yaml": instance("i", "web", app="one"),
}
NEW = {"p/t/j.yaml": instance("j", "web", app="two")}
CASES = [
    pytest.param("bob", NEW, {}, {"BlueprintInstance team/j", "Stack team/two"}, id="a writer makes a stack"),
    pytest.param("erin", NEW, {}, {"BlueprintInstance team/j", "Stack team/two"}, id="the right for each is enough"),
    pytest.param("carol", NEW, {"BlueprintInstance team/j": "create stack:create in team"}, set(), id="not the right for the stack"),
    pytest.param("dora", NEW, {"BlueprintInstance team/j": "create blueprintInstance:create in team"}, set(), id="not the right for the instance"),
    pytest.param("erin", {"p/t/j.yaml": instance("j", "both", app="two")}, {"BlueprintInstance team/j": "create context:create in team"}, set(), id="not the right for all of it"),
    pytest.param("carol", {"p/t/i.yaml": instance("i", "web", app="one", size="l")}, {"BlueprintInstance team/i": "update stack:update in team"}, set(), id="another input changes the stack"),
    pytest.param("carol", {"p/t/i.yaml": None}, {"BlueprintInstance team/i": "delete stack:delete in team"}, set(), id="the instance takes the stack along"),
    pytest.param("erin", {"p/t/i.yaml": instance("i", "web", app="other")}, {"BlueprintInstance team/i": "update stack:delete in team"}, set(), id="another name is another stack"),
    pytest.param("bob", {"p/t/i.yaml": None, "p/t/s.yaml": stack("one")}, {}, {"Stack team/one"}, id="written instead of made"),
    pytest.param("alice", {"p/web.yaml": many(blueprint("web", STACK, template("more"), inputs=INPUTS), BOTH)}, {}, {"Stack team/more"}, id="an admin above changes the blueprint"),
    pytest.param("dora", {"p/web.yaml": many(blueprint("web", STACK, template("more"), inputs=INPUTS), BOTH)}, {"Blueprint platform/web@1": "update stack:create in team"}, set(), id="a blueprint reaches into its instances' spaces"),
    pytest.param("dora", {"p/web.yaml": many(WEB, BOTH, blueprint("web", template("x"), version="2"))}, {}, {"Blueprint platform/web@2"}, id="a version that nobody follows"),
    pytest.param("bob", {"p/web.yaml": many(WEB, BOTH, blueprint("web", template("x"), version="2"))}, {"Blueprint platform/web@2": "create blueprint:create in platform"}, set(), id="blueprints are for admins"),
    pytest.param("carol", {"p/t/j.yaml": instance("j", "web", "9")}, {}, set(), id="what it makes is not known yet"),
    pytest.param("bob", {"p/t/j.yaml": instance("j", "web", "9")}, {}, set(), id="who may make anything waits for nobody"),
    pytest.param("carol", {"p/t/i.yaml": instance("i", "web", app="one", size="s")}, {}, set(), id="an instance that makes the same needs its own right only"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "changed", "expected", "new"), CASES)
def test_what_is_held(who, changed, expected, new):
    before = begin(BASE)
    after = go(before, who, changed)
    assert held(after) == expected
    assert names(after.in_force) - names(before.in_force) <= new
    if expected:
        assert names(after.in_force) == names(before.in_force)
    else:
        assert new <= names(after.in_force)
    again = go(after, "stranger", {"README.md": b"x"}, "r2")
    assert (held(again), names(again.in_force)) == (held(after), names(after.in_force))


@pytest.mark.parametrize(("who", "changed", "expected", "new"), [case for case in CASES if case.values[2]])
def test_a_hold_ends_by_an_approval_of_who_may_do_all_of_it(who, changed, expected, new):
    after = go(begin(BASE), who, changed)
    (waits,) = after.held_changes
    assert isinstance(approve(after, Approval(waits.id, person("carol")), ROOT_ADMINS, NOW), Refused)
    approved = approve(after, Approval(waits.id, Person(LOCAL_OPERATOR, "")), ROOT_ADMINS, NOW)
    assert isinstance(approved, Admission)
    assert held(approved) == {}


def test_the_hold_names_the_document_and_the_right():
    after = go(begin(BASE), "carol", NEW)
    assert after.held_changes[0].message == (
        "user:carol may not create BlueprintInstance team/j: it would create Stack team/two, "
        "and user:carol has no role that allows stack:create in team"
    )


def test_nobody_makes_by_somebody_elses_commit_what_they_may_not():
    waits = go(begin(BASE), "carol", {"p/t/j.yaml": instance("j", "web", "9", app="two")})
    after = go(waits, "alice", {"p/nine.yaml": blueprint("web", STACK, version="9", inputs=INPUTS)}, "r2")
    assert "Stack team/two" not in names(after.in_force)
    assert set(held(after)) == {"BlueprintInstance team/j"}


def test_what_comes_late_is_held_where_it_needs_more_than_its_author_was_asked_for():
    waits = go(
        begin(BASE | {"p/r.yaml": binding("robot", "reader", "stack:team/two")}),
        "bob",
        {"p/t/j.yaml": instance("j", "web", "9", app="two")},
    )
    assert held(waits) == {}
    nine = {"p/nine.yaml": blueprint("web", STACK, version="9", inputs=INPUTS)}
    after = go(waits, "alice", nine, "r2")
    assert held(after) == {"BlueprintInstance team/j": "create stack:create in team"}
    (each,) = after.held_changes
    approved = approve(after, Approval(each.id, person("alice")), ROOT_ADMINS, NOW)
    assert isinstance(approved, Admission)
    assert "Stack team/two" in names(approved.in_force)
    # Nothing beside the usual rights: then the blueprint's author may bring it.
    plain = go(go(begin(BASE), "bob", {"p/t/j.yaml": instance("j", "web", "9", app="two")}), "alice", nine, "r2")
    assert (held(plain), "Stack team/two" in names(plain.in_force)) == ({}, True)


def test_depending_on_a_made_stack_needs_sight_of_it():
    files = BASE | {"p/i.yaml": instance("above", "web", app="hidden")}
    after = go(begin(files), "bob", {"p/t/s.yaml": stack("mine", dependsOn=[{"stack": "platform/hidden"}])})
    assert held(after) == {"Stack team/mine": "create stack:read in platform"}
    made = template("mine", dependsOn=[{"stack": "platform/hidden"}])
    files |= {"p/dep.yaml": blueprint("dep", made)}
    after = go(begin(files), "bob", {"p/t/j.yaml": instance("j", "dep")})
    assert held(after) == {"BlueprintInstance team/j": "create stack:read in platform"}


def test_what_instances_make_counts_for_the_destruction_budget():
    fleet = {f"p/t/{n}.yaml": instance(f"n{n}", "web", app=f"app{n}") for n in range(10)}
    before = begin(BASE | fleet)
    rules = Rules(ROOT_ADMINS.admins, 10.0)
    gone = dict.fromkeys(list(fleet)[:4])
    after = go(before, "bob", gone, rules=rules)
    assert names(after.in_force) == names(before.in_force)
    assert {str(each.ref.kind) for each in after.held_changes} == {"BlueprintInstance"}
    assert len(after.held_changes) == 4
    once = go(before, "bob", dict.fromkeys(list(fleet)[:3]), rules=rules)
    assert len(names(before.in_force) - names(once.in_force)) == 6
    emptied = go(
        before,
        "alice",
        {"p/web.yaml": many(blueprint("web", template("${{ inputs.app }}", kind="Context"), inputs=INPUTS), BOTH)},
        rules=rules,
    )
    assert set(held(emptied)) == {"Blueprint platform/web@1"}


def test_a_stack_that_holds_rights_is_not_made_by_who_lacks_them():
    files = BASE | {"p/c.yaml": binding("robot", "admin", "stack:team/two")}
    after = go(begin(files), "bob", NEW)
    assert set(held(after)) == {"BlueprintInstance team/j"}
    assert "decides what stack:team/two does, who holds" in after.held_changes[0].message
