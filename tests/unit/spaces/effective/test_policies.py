"""The kind Policy, and which stacks it is over."""

import pytest

from spaces.effective.policies import surroundings
from spaces.effective.stack import effective
from spaces.in_force import affected
from spaces.names import SpaceName
from spaces.reading.resources import parse_file
from tests.unit.spaces.builders import begin, doc, go_on, many, space, stack, stack_id

REGO = 'package stationkeeper\ndeny contains "no"\n'


def policy(name, in_space=None, **spec):
    return doc("Policy", name, {"type": "plan", "rego": REGO} | spec, **({"space": in_space} if in_space else {}))


def labelled(name, labels, parent=None, *, inherit=False):
    return doc("Space", name, {"inherit": inherit} | ({"parent": parent} if parent else {}), labels=labels)


def over(in_force, stack):
    return [guardrail.name for guardrail in effective(in_force.documents, stack_id(stack)).policies]


@pytest.mark.parametrize(
    ("spec", "code", "path"),
    [
        pytest.param({"rego": 1}, "wrong-type", "spec.rego", id="no text"),
        pytest.param({"rego": None}, "missing-key", "one of rego and regoFile", id="empty"),
        pytest.param({"regoFile": "a.rego"}, "invalid-value", "both rego and regoFile", id="both"),
        pytest.param(
            {"type": "notification", "enforcement": "advisory"}, "invalid-value", "spec.enforcement", id="stops nothing"
        ),
        pytest.param({"type": "plans"}, "invalid-value", "spec.type", id="unknown type"),
        pytest.param({"enforcement": "maybe"}, "invalid-value", "spec.enforcement", id="enforcement"),
        pytest.param({"authorCounts": True}, "invalid-value", "spec.authorCounts", id="author of a plan"),
        pytest.param({"attach": {"labels": {}}}, "unknown-key", "spec.attach.labels", id="unknown key"),
        pytest.param({"attach": {"tools": []}}, "invalid-value", "spec.attach.tools", id="no tools"),
        pytest.param({"attach": {"tools": ["make"]}}, "invalid-value", "spec.attach.tools", id="unknown tool"),
        pytest.param({"attach": {"matchLabels": {"a b": "c"}}}, "invalid-label", "spec.attach.matchLabels", id="label"),
    ],
)
def test_what_is_wrong_is_said(spec, code, path):
    parsed = parse_file("p.yaml", policy("p", **spec))
    assert [each.code for each in parsed.diagnostics] == [code], parsed.diagnostics
    assert path in parsed.diagnostics[0].summary
    assert parsed.resources == ()


@pytest.mark.parametrize("kind", ["plan", "approval", "push", "notification"])
def test_every_type_is_taken(kind):
    assert parse_file("p.yaml", policy("p", type=kind)).diagnostics == ()


def test_it_needs_a_rule():
    (told,) = parse_file("p.yaml", doc("Policy", "p", {"type": "plan"})).diagnostics
    assert (told.code, told.summary) == ("missing-key", "spec needs one of rego and regoFile")


def test_it_covers_the_subtree_whatever_inherits():
    in_force = begin(
        {
            "a.yaml": many(
                policy("top"),
                space("team", inherit=False),
                space("deep", "team", inherit=False),
                policy("mid", "team"),
                policy("top", "deep"),
                stack("s", in_space="deep"),
                stack("t"),
            )
        }
    )
    assert over(in_force, "deep/s") == ["root/top", "team/mid", "deep/top"]
    assert over(in_force, "root/t") == ["root/top"]


@pytest.mark.parametrize(
    ("attach", "covered"),
    [
        pytest.param(None, True, id="everything"),
        pytest.param({}, True, id="nothing asked"),
        pytest.param({"matchLabels": {"env": "prod"}}, True, id="from above"),
        pytest.param({"matchLabels": {"tier": "web"}}, True, id="its own"),
        pytest.param({"matchLabels": {"env": "prod", "tier": "web"}}, True, id="both"),
        pytest.param({"matchLabels": {"env": "prod", "tier": "db"}}, False, id="one does not fit"),
        pytest.param({"matchLabels": {"region": "eu"}}, True, id="nobody below escapes by another value"),
        pytest.param({"matchLabels": {"region": "us"}}, True, id="the other value as well"),
        pytest.param({"matchLabels": {"own": "yes"}}, False, id="a stack's labels do not count"),
        pytest.param({"tools": ["terraform", "script"]}, True, id="its tool"),
        pytest.param({"tools": ["ansible"]}, False, id="another tool"),
        pytest.param({"tools": ["terraform"], "matchLabels": {"env": "dev"}}, False, id="tool and labels"),
    ],
)
def test_it_is_attached_by_labels_of_spaces_and_by_tool(attach, covered):
    spec = {"attach": attach} if attach is not None else {}
    document = doc(
        "Stack", "s", {"tool": "terraform", "source": {"path": "."}}, space="web", labels={"own": "yes", "env": "dev"}
    )
    in_force = begin(
        {
            "a.yaml": many(
                policy("p", **spec),
                labelled("prod", {"env": "prod", "region": "eu"}),
                labelled("web", {"tier": "web", "region": "us"}, "prod"),
                document,
            )
        }
    )
    assert over(in_force, "web/s") == (["root/p"] if covered else [])


def test_a_space_is_seen_with_the_labels_above_it():
    in_force = begin({"a.yaml": many(labelled("prod", {"env": "prod", "a": "1"}), labelled("web", {"a": "2"}, "prod"))})
    seen = surroundings(in_force.documents, SpaceName("web"))
    assert (dict(seen.labels), seen.path) == ({"env": "prod", "a": "2"}, ("root", "prod", "web"))


BASE = {
    "p.yaml": policy("p", "prod"),
    "spaces.yaml": many(labelled("prod", {"env": "prod"}), labelled("web", {}, "prod"), labelled("lab", {})),
    "stacks.yaml": many(stack("s", in_space="web"), stack("t", in_space="lab")),
}


@pytest.mark.parametrize(
    ("changed", "reached"),
    [
        pytest.param({"p.yaml": policy("p", "prod", enforcement="advisory")}, {"web/s"}, id="changed"),
        pytest.param({"p.yaml": None}, {"web/s"}, id="gone"),
        pytest.param({"q.yaml": policy("q", "lab")}, {"lab/t"}, id="new"),
        pytest.param({"p.yaml": policy("p", "lab")}, {"web/s", "lab/t"}, id="moved"),
        pytest.param(
            {"spaces.yaml": many(labelled("prod", {"env": "dev"}), labelled("web", {}, "prod"), labelled("lab", {}))},
            {"web/s"},
            id="labels of a space",
        ),
    ],
)
def test_what_a_change_reaches(changed, reached):
    before = begin(BASE)
    assert affected(before, go_on(before, changed)) == {stack_id(each) for each in reached}
