"""What policies over documents hold, for whom they give way, and when such a hold ends."""

from __future__ import annotations

import pytest

from rbac.access.subjects import user
from rbac.admission.admit import Admission, Approval, Commit, Refused, admit, approve
from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode, Person
from spaces.composition.holds import Because
from spaces.effective.config_policies import ConfigVerdict
from spaces.names import Revision
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import doc, many, names, space, stack

RULES = Rules(Admins.parse(["root-admin"], IdentityMode.SIGNED))
REGO = 'package stationkeeper\ndeny contains "no" if input.document\n'


def policy(name, in_space="root", *, broken=False, attach=None, enforcement="mandatory"):
    spec = {"type": "config", "rego": REGO, "params": {"broken": broken}, "enforcement": enforcement}
    return doc("Policy", name, spec | ({"attach": attach} if attach else {}), space=in_space)


def binding(name, role, who, in_space):
    return doc("RoleBinding", name, {"role": role, "subjects": [{"user": who}]}, space=in_space)


def ask(questions):
    """A stack needs an owner; a broken policy denies whatever it is asked about."""
    found = []
    for each in questions:
        document, previous = each.input["document"], each.input["previous"]
        kind = (document or previous)["kind"]
        owned = document is None or "owner" in document["metadata"]["labels"]
        bad = each.policy.spec.params["broken"] or (kind == "Stack" and not owned)
        found.append(ConfigVerdict(("it has no owner",) if bad else (), ()))
    return found


PEOPLE = many(*(doc("User", each, {}) for each in ("root-admin", "alice", "bob")))
BASE = {
    "people.yaml": PEOPLE,
    "p/space.yaml": space("platform"),
    "q/space.yaml": doc("Space", "other", {"inherit": False}, labels={"env": "prod"}),
    "p/b.yaml": many(binding("admins", "admin", "alice", "platform"), binding("writers", "writer", "bob", "platform")),
    "q/b.yaml": binding("writers", "writer", "bob", "other"),
    "p/old.yaml": stack("old"),
}
OWNED = {"owner": "bob"}
OWNERS = {"owners.yaml": policy("owners")}


def go(before, who, changed, revision="r1"):
    found = admit(before, Commit(Revision(revision), changed, Person(user(who), "by a test"), ask=ask), RULES, NOW)
    assert isinstance(found, Admission)
    return found


def begin(more):
    found = admit(None, Commit(Revision("r0"), BASE | more, ask=ask), RULES, NOW)
    assert isinstance(found, Admission)
    return found


def held(state):
    return {str(each.ref): each.because.value for each in state.held_changes}


@pytest.mark.parametrize(
    ("policies", "who", "changed", "expected"),
    [
        pytest.param(OWNERS, "bob", {"p/new.yaml": stack("new")}, ["Stack platform/new"], id="a writer"),
        pytest.param(OWNERS, "root-admin", {"p/new.yaml": stack("new")}, ["Stack platform/new"], id="an admin"),
        pytest.param(OWNERS, "bob", {"p/new.yaml": stack("new", labels=OWNED)}, [], id="as it wants it"),
        pytest.param(OWNERS, "bob", {"p/old.yaml": stack("old", autodeploy=False)}, ["Stack platform/old"], id="a change of what was there before"),
        pytest.param(OWNERS, "bob", {"p/old.yaml": None}, [], id="it says nothing of what leaves"),
        pytest.param(OWNERS, "bob", {"p/n/space.yaml": space("new"), "p/n/s.yaml": stack("s")}, ["Space new", "Stack new/s"], id="in a new space, that is held for its own reason"),
        pytest.param(OWNERS, "alice", {"p/n/space.yaml": space("new", inherit=False), "p/n/s.yaml": stack("s")}, ["Stack new/s"], id="in a new space that inherits nothing"),
        pytest.param(OWNERS, "bob", {"owners.yaml": None, "p/new.yaml": stack("new")}, ["Policy root/owners", "Stack platform/new"], id="with the end of the policy, without the right"),
        pytest.param(OWNERS, "root-admin", {"owners.yaml": None, "p/new.yaml": stack("new")}, [], id="with the end of the policy, with the right"),
        pytest.param(OWNERS, "alice", {"p/mine.yaml": policy("owners", "platform")}, [], id="a policy that it does not object to"),
        pytest.param({"o.yaml": policy("owners", "other")}, "bob", {"p/new.yaml": stack("new")}, [], id="a policy elsewhere"),
        pytest.param({"o.yaml": policy("owners", "platform")}, "bob", {"p/old.yaml": None, "q/old.yaml": stack("old", moved_from="platform/old")}, ["Stack other/old"], id="a move out of its reach"),
        pytest.param({"o.yaml": policy("o", attach={"matchLabels": {"env": "prod"}})}, "bob", {"p/n.yaml": stack("n"), "q/n.yaml": stack("n")}, ["Stack other/n"], id="by the labels of spaces"),
        pytest.param({"o.yaml": policy("o", attach={"matchLabels": {"env": "prod"}})}, "root-admin", {"q/space.yaml": space("other"), "q/n.yaml": stack("n")}, [], id="by labels that the same commit takes away, with the right"),
        pytest.param({"o.yaml": policy("o", attach={"tools": ["ansible"]})}, "bob", {"p/new.yaml": stack("new")}, [], id="by tool"),
        pytest.param({"o.yaml": policy("o", enforcement="advisory")}, "bob", {"p/new.yaml": stack("new")}, [], id="advisory"),
        pytest.param({"o.yaml": policy("o", broken=True)}, "root-admin", {"o.yaml": policy("o"), "c.yaml": doc("Context", "c", {})}, [], id="a broken one is mended, and lets go"),
        pytest.param({"o.yaml": policy("o", broken=True)}, "alice", {"p/mine.yaml": policy("mine", "platform")}, ["Policy platform/mine"], id="a broken one binds who may not change it"),
    ],
)  # fmt: skip
def test_what_policies_hold(policies, who, changed, expected):
    after = go(begin(policies), who, changed)
    assert sorted(held(after)) == expected
    denied = [each for each in after.held_changes if each.because is Because.DENIED]
    assert {str(each.missing[0]) for each in denied} <= {"policy:update"}
    assert all("denies it: it has no owner" in each.message for each in denied)
    warned = [told for told in after.in_force.diagnostics if told.code == "policy-warns"]
    assert bool(warned) == ("advisory" in str(policies))
    again = go(after, "bob", {"README.md": b"x"}, "r2")
    assert held(again) == held(after)


def test_who_lets_it_past():
    after = go(begin(OWNERS), "bob", {"p/new.yaml": stack("new")})
    (change,) = after.held_changes
    for who, words in (("bob", "denies it"), ("alice", "denies it"), ("eve", "")):
        refused = approve(
            after, Approval(change.id, Person(user(who), "")), RULES, NOW, Commit(Revision("r1"), {}, ask=ask)
        )
        assert isinstance(refused, Refused)
        assert words in refused.message
    let = approve(
        after, Approval(change.id, Person(user("root-admin"), "")), RULES, NOW, Commit(Revision("r1"), {}, ask=ask)
    )
    assert isinstance(let, Admission)
    assert "Stack platform/new" in names(let.in_force)
    # It is let past as it is, not for ever.
    later = go(let, "bob", {"p/new.yaml": stack("new", autodeploy=False)}, "r2")
    assert held(later) == {"Stack platform/new": "denied"}


@pytest.mark.parametrize(
    ("who", "changed"),
    [
        pytest.param("alice", {"p/new.yaml": stack("new", labels=OWNED)}, id="another writer repairs it"),
        pytest.param("bob", {"p/new.yaml": None}, id="it is taken back"),
        pytest.param("root-admin", {"owners.yaml": None}, id="the policy ends"),
        pytest.param("root-admin", {"owners.yaml": policy("owners", attach={"tools": ["ansible"]})}, id="the policy says something else"),
    ],
)  # fmt: skip
def test_when_the_hold_ends(who, changed):
    after = go(go(begin(OWNERS), "bob", {"p/new.yaml": stack("new")}), who, changed, "r2")
    assert held(after) == {}
    assert ("Stack platform/new" in names(after.in_force)) == (
        "p/new.yaml" not in changed or changed["p/new.yaml"] is not None
    )


def test_where_access_does_not_count_policies_do():
    files = {path: data for path, data in BASE.items() if not path.endswith(("b.yaml", "people.yaml"))} | OWNERS
    before = admit(None, Commit(Revision("r0"), files, ask=ask), Rules(), NOW)
    after = admit(before, Commit(Revision("r1"), {"p/new.yaml": stack("new")}, ask=ask), Rules(), NOW)
    assert held(after) == {"Stack platform/new": "denied"}
