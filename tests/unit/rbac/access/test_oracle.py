"""Access against a naive oracle, over random trees, bindings, groups, custom roles and queries; and among threads."""

import sys
import threading
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rbac.access.access import Access
from rbac.access.actions import ACTIONS, BUILT_IN, Action
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject, user
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.model.people import GroupSpec, UserSpec
from spaces.model.role import VERBS, RoleBindingSpec, RoleSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId
from tests.unit.rbac.builders import NOW

SPACES = [SpaceName(f"s{n}") for n in range(8)]
USERS, GROUPS, KEYS, ROLES = ["u0", "u1", "u2"], ["g0", "g1", "g2"], ["k0"], ["r0", "r1"]
STACKS = [StackId(SPACES[0], "net")]


# The oracle: the rules of the contract, each as plainly as it is said there


def oracle(documents, nodes, admins, subject, action, space, now):  # noqa: C901, PLR0917
    def line(here):
        found = [here]
        while found[-1] != ROOT:
            if found[-1] not in nodes or len(found) > len(nodes) + 1:
                return []
            found.append(nodes[found[-1]].parent)
        return found

    def actions(role):
        if role in BUILT_IN:
            return {str(each) for each in BUILT_IN[role]}
        patterns = [pattern.split(":") for pattern in documents.roles[role].actions]
        matching = {
            f"{k}:{v}"
            for k, vs in VERBS.items()
            for v in vs
            for pk, pv in patterns
            if pk in ("*", k) and pv in ("*", v)
        }
        return matching | {"space:read"}

    def is_meant(reference):
        if reference.group is not None:
            direct = str(subject) == f"group:{reference.group}"
            member = (
                subject.kind == "user"
                and subject.name in documents.users
                and subject.name in documents.groups.get(reference.group, GroupSpec()).members
            )
            return reference.group in documents.groups and (direct or member)
        name = reference.user or reference.api_key or reference.stack
        kind = "user" if reference.user else "apiKey" if reference.api_key else "stack"
        known = {
            "user": {*documents.users, *admins},
            "apiKey": documents.api_keys,
            "stack": set(map(str, documents.stacks)),
        }
        return str(subject) == f"{kind}:{name}" and name in known[kind]

    ends = [NOW + timedelta(days=9999)] if line(space) and subject.kind == "user" and subject.name in admins else []
    for ref, spec in documents.bindings.items():
        if (spec.role not in BUILT_IN and spec.role not in documents.roles) or (spec.expires and spec.expires <= now):
            continue
        below = ref.space in line(space) and str(action) in actions(spec.role)
        path = line(ref.space)
        above = (
            space in path
            and all(nodes[each].inherit for each in path[: path.index(space)])
            and str(action) == "space:read"
        )
        if (below or above) and any(is_meant(each) for each in spec.subjects):
            ends.append(spec.expires or NOW + timedelta(days=9999))
    return max(ends, default=None)


# Random worlds


@st.composite
def worlds(draw):
    nodes = {}
    for index, name in enumerate(draw(st.lists(st.sampled_from(SPACES), unique=True, min_size=1))):
        # mostly trees; now and then a cycle or an orphan
        parents = [ROOT, *list(nodes)[:index]] if draw(st.integers(0, 9)) else [*SPACES, SpaceName("gone")]
        nodes[name] = SpaceNode(draw(st.sampled_from(parents)), draw(st.booleans()))
    action = st.sampled_from(
        [str(each) for each in sorted(ACTIONS)] + [f"{kind}:*" for kind in VERBS] + ["*:read", "*:update", "*:*"]
    )
    roles = {
        name: RoleSpec(actions=tuple(draw(st.lists(action, min_size=1, max_size=4, unique=True))))
        for name in draw(st.sets(st.sampled_from(ROLES)))
    }
    reference = st.one_of(
        st.sampled_from([*USERS, "ghost"]).map(lambda n: {"user": n}),
        st.sampled_from([*GROUPS, "ghost"]).map(lambda n: {"group": n}),
        st.sampled_from([*KEYS, "ghost"]).map(lambda n: {"apiKey": n}),
        st.sampled_from([*map(str, STACKS), "s0/ghost"]).map(lambda n: {"stack": n}),
    )
    bindings = {}
    for index in range(draw(st.integers(0, 12))):
        spec = {
            "role": draw(st.sampled_from([*BUILT_IN, *ROLES, "ghost"])),
            "subjects": draw(st.lists(reference, min_size=1, max_size=3)),
        }
        expires = draw(st.sampled_from([None, None, -60, 0, 60, 120]))
        if expires is not None:
            spec["expires"] = (NOW + timedelta(seconds=expires)).isoformat()
        where = draw(st.sampled_from([ROOT, *SPACES]))
        bindings[ResourceRef(Kind.ROLE_BINDING, where, f"b{index}")] = RoleBindingSpec.model_validate(spec)
    groups = {
        name: GroupSpec(members=tuple(draw(st.lists(st.sampled_from([*USERS, "ghost"]), unique=True))))
        for name in draw(st.sets(st.sampled_from(GROUPS)))
    }
    documents = AccessDocuments(
        roles,
        bindings,
        dict.fromkeys(draw(st.sets(st.sampled_from(USERS))), UserSpec()),
        groups,
        frozenset(KEYS),
        frozenset(STACKS),
    )
    return documents, nodes, draw(st.sets(st.sampled_from(USERS), max_size=1))


SUBJECTS = [
    Subject.parse(each)
    for each in (*USERS, "ghost", "group:g0", "group:g1", "group:ghost", "apiKey:k0", "apiKey:ghost", "stack:s0/net")
]
# What only sight gives, and what only some roles give, is asked for more often than the rest.
ASKED = st.one_of(st.just(Action.parse("space:read")), st.sampled_from(sorted(ACTIONS)))
QUESTIONS = st.tuples(st.sampled_from(SUBJECTS), ASKED, st.sampled_from([ROOT, *SPACES, SpaceName("gone")]))


@settings(max_examples=80)
@given(worlds(), st.lists(QUESTIONS, min_size=20, max_size=40), st.sampled_from([0, 60, 90]))
def test_every_answer_is_the_oracles(world, questions, seconds):
    documents, nodes, admins = world
    now = NOW + timedelta(seconds=seconds)
    tree = SpaceTree.build(nodes)
    access = Access.compile(documents, tree, map(user, admins), NOW).at(now)
    for subject, action, space in questions:
        decision = access.decide(subject, action, space)
        ends = oracle(documents, nodes, admins, subject, action, space, now)
        assert decision.allowed is (ends is not None), (subject, action, space, decision)
        assert decision.next_expiry == (ends if ends and ends < NOW + timedelta(days=9999) else None)
    subject, action, space = questions[0]
    seen = Action.parse("space:read")
    everywhere = [ROOT, *SPACES, SpaceName("gone")]
    listed = {each for each in everywhere if oracle(documents, nodes, admins, subject, action, each, now)}
    assert access.spaces_where(subject, action) == listed
    for each in SUBJECTS:
        visible = {s for s in everywhere if oracle(documents, nodes, admins, each, seen, s, now)}
        assert access.spaces_where(each, seen) == visible
        assert {s for s in everywhere if access.decide(each, seen, s).allowed} == visible
    named = {each.subject for each in access.who_may(action, space)}
    assert named & set(SUBJECTS) == {
        each for each in SUBJECTS if oracle(documents, nodes, admins, each, action, space, now)
    }
    assert access.rights(subject, space) == {
        a for a in ACTIONS if oracle(documents, nodes, admins, subject, a, space, now)
    }


def test_four_threads_get_the_same_answers_as_one():
    tree = SpaceTree.build(
        {SpaceName(f"t{n}"): SpaceNode(SpaceName(f"t{n // 2}") if n > 1 else ROOT, n % 3 > 0) for n in range(1, 60)}
    )
    names = list(tree.spaces())
    bindings = {}
    for index in range(300):
        spec = {
            "role": ["reader", "operator", "writer", "admin"][index % 4],
            "subjects": [{"user": f"u{index % 25}"}, {"group": f"g{index % 7}"}],
        }
        bindings[ResourceRef(Kind.ROLE_BINDING, names[index * 7 % len(names)], f"b{index}")] = (
            RoleBindingSpec.model_validate(spec)
        )
    groups = {f"g{n}": GroupSpec(members=tuple(f"u{m}" for m in range(n, 40, 9))) for n in range(7)}
    access = Access.compile(
        AccessDocuments({}, bindings, {f"u{n}": UserSpec() for n in range(40)}, groups), tree, [], NOW
    )
    actions = [Action.parse(each) for each in ("space:read", "stack:update", "run:confirm", "policy:delete")]
    questions = [(user(f"u{n % 40}"), actions[n % 4], names[n * 11 % len(names)]) for n in range(2_000)]
    expected = [access.decide(*question) for question in questions]
    assert {each.allowed for each in expected} == {True, False}
    wrong = []

    def ask(start):
        order = [*range(start, len(questions)), *range(start)]
        try:
            wrong.extend(at for at in order if access.decide(*questions[at]) != expected[at])
        except Exception as failure:  # noqa: BLE001 - a thread's failure has to reach the test
            wrong.append(failure)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=ask, args=(start * 500,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
