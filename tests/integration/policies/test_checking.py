"""What is said of rules that are wrong, and where; and what that means for the documents that hold them."""

from __future__ import annotations

import pytest

from reconciler.policies import checking
from reconciler.policies.checking import check_rego
from reconciler.policies.process import Patience
from spaces.model.policy import PolicyType
from spaces.names import Revision
from spaces.reading.attachments import out_of
from spaces.reading.rego import RegoText
from spaces.validate import examine_files
from tests.unit.spaces.builders import doc, names

PACKAGE = "package stationkeeper\n"


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        pytest.param("deny contains 1 if { x == }", "plan", ("rego-syntax", 2, 27), id="does not parse"),
        pytest.param("\tdeny contains 1 if {", "plan", ("rego-syntax", 2, 22), id="tab"),
        pytest.param('deny contains "é" if { nope(1) }', "plan", ("rego-function", 2, 24), id="unknown function"),
        pytest.param("deny contains 1 if lib.f(1)", "plan", ("rego-function", 2, 20), id="function of another module"),
        pytest.param("deny contains 1 if http.send({})", "plan", ("rego-not-allowed", 2, 20), id="reaches outside"),
        pytest.param("f(x) := f(x)\ndeny contains 1 if f(1)", "plan", ("rego-recursion", 2, 1), id="recursion"),
        pytest.param("deny contains 1 if a\na if b\nb if {input.x; a}", "plan", ("rego-recursion", 4, 1), id="circle"),
        pytest.param("deny contains x if x == y", "plan", ("rego-invalid", 2, 25), id="unsafe variable"),
        pytest.param('deny := "x"', "plan", ("rego-rule", 2, 1), id="no set"),
        pytest.param("deny(x) := 1", "plan", ("rego-rule", 2, 1), id="a function"),
        pytest.param("approve contains 1", "approval", ("rego-rule", 2, 1), id="a set"),
        pytest.param("approve if true", "plan", ("rego-rule", 1, 9), id="nothing that a plan is asked"),
        pytest.param("deny contains 1", "approval", ("rego-rule", 1, 9), id="nothing that an approval is asked"),
        pytest.param("ignore(x) := true", "push", ("rego-rule", 2, 1), id="a function of a push"),
        pytest.param("deny contains 1", "push", ("rego-rule", 1, 9), id="nothing that a push is asked"),
        pytest.param("notify if true", "notification", ("rego-rule", 2, 1), id="no set of a notification"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, kind: str, found: tuple[str, int, int]) -> None:
    rule = RegoText(PolicyType(kind), PACKAGE + text)
    findings = check_rego([rule])[rule]
    assert [(each.code, each.line, each.column) for each in findings] == [found]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("package other\ndeny contains 1", ("rego-package", 1, 9), id="another package"),
        pytest.param("deny contains 1", ("rego-syntax", 1, 1), id="no package"),
        pytest.param("", ("rego-syntax", 1, 1), id="nothing"),
    ],
)
def test_the_package_is_ours(text: str, place: tuple[str, int, int]) -> None:
    rule = RegoText(PolicyType.PLAN, text)
    assert [(each.code, each.line, each.column) for each in check_rego([rule])[rule]] == [place]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("ignore if input.push.truncated", "push", id="yes or no"),
        pytest.param("default track := true", "push", id="default"),
        pytest.param('propose contains "look" if input.push.paths[_] == "a"', "push", id="sentences"),
        pytest.param('notify contains {"msg": "m", "severity": "error"}', "notification", id="objects"),
    ],
)
def test_what_the_other_types_may_say(text: str, kind: str) -> None:
    rule = RegoText(PolicyType(kind), PACKAGE + text)
    assert check_rego([rule])[rule] == ()


def test_a_good_rule_has_nothing_wrong() -> None:
    rule = RegoText(
        PolicyType.PLAN,
        PACKAGE
        + """
import rego.v1

required := {"owner"}

tags(change) := object.get(change.after, "tags", {})

deny contains msg if {
    some change in input.plan.changes
    change.action in {"create", "update"}
    missing := required - object.keys(tags(change))
    count(missing) > 0
    every tag in missing { tag != "" }
    msg := sprintf("%s lacks %v", [change.address, missing])
}

warn contains {"msg": msg} if {
    n := count([c | some c in input.plan.changes; c.action == "delete"])
    n > 3
    msg := "many"
}

names[address] := kind if { some c in input.plan.changes; address := c.address; kind := c.type }
deep.thought := 42
""",
    )
    assert check_rego([rule])[rule] == ()


def _settle(text: str, rego: str | None = None):
    files = {"team/p.yaml": text.encode(), "ok.yaml": doc("Context", "c", {})}
    others = files if rego is None else {**files, "team/rules/p.rego": rego.encode()}
    return examine_files(files, out_of(others), check_rego, Revision("r"))


def test_a_place_in_a_block_is_a_place_in_the_file() -> None:
    in_force = _settle(
        "apiVersion: stationkeeper/v1\n"
        "kind: Policy\n"
        "metadata: {name: p}\n"
        "spec:\n"
        "  type: plan\n"
        "  rego: |\n"
        "    package stationkeeper\n"
        "\n"
        "    deny contains 1 if { x == }\n"
    )
    (told,) = in_force.diagnostics
    assert (
        str(told)
        == "team/p.yaml:9:31: error: Policy p: expecting expression (write it in Rego's version 1) [rego-syntax]"
    )
    assert names(in_force) == {"Context root/c"}


def test_a_place_in_a_file_of_its_own_is_that() -> None:
    text = (
        "apiVersion: stationkeeper/v1\nkind: Policy\nmetadata: {name: p}\n"
        "spec: {type: plan, regoFile: ./rules/p.rego}\n"
    )
    (told,) = _settle(text, PACKAGE + "deny contains 1 if { x == }\n").diagnostics
    assert (
        str(told)
        == "team/rules/p.rego:2:27: error: Policy p: expecting expression (write it in Rego's version 1) [rego-syntax]"
    )
    assert names(_settle(text, PACKAGE + "deny contains 1\n")) == {"Context root/c", "Policy root/p"}
    (missing,) = _settle(text).diagnostics
    assert (missing.code, missing.position.line) == ("file-not-found", 4)


def test_a_place_that_only_yaml_knows_is_said_in_words() -> None:
    text = 'apiVersion: stationkeeper/v1\nkind: Policy\nmetadata: {name: p}\nspec: {type: plan, rego: "package stationkeeper\\ndeny contains"}\n'
    (told,) = _settle(text).diagnostics
    assert (told.code, told.position.line, told.position.column) == ("rego-syntax", 4, 26)
    assert "(line 2, column 14 of the rule)" in told.summary


def test_what_hangs_the_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHECKING", Patience(1.0, 20.0))
    rule = RegoText(PolicyType.PLAN, PACKAGE + "x := " + "[" * 50000 + "]" * 50000)
    assert [(each.code, each.line, each.column) for each in check_rego([rule])[rule]] == [("rego-refused", 1, 1)]


def test_slow_rules_take_no_other_out_of_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHECKING", Patience(0.5, 1.0))
    pairs = "some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1"
    slow = [RegoText(PolicyType.PLAN, f"{PACKAGE}deny contains {n} if {{ {pairs} }}") for n in range(4)]
    wrong = RegoText(PolicyType.PLAN, PACKAGE + "deny contains 12345 if nope(1)")
    findings = check_rego([*slow, wrong])
    assert [each.code for each in findings[slow[0]]] == ["rego-refused"]
    assert wrong not in findings, "there was no time left for it"
    assert [each.code for each in check_rego([wrong])[wrong]] == ["rego-function"], "it is looked at next time"
