"""Policies over documents with the real engine: what they see, and what becomes of one that cannot be evaluated."""

from __future__ import annotations

from reconciler.core.verdicts import Verdict
from reconciler.policies.documents import about_documents, ask_config
from spaces.validate import examine_files
from tests.unit.spaces.builders import doc, space, stack

OWNERS = """package stationkeeper
deny contains msg if {
  input.document.kind in input.params.kinds
  not input.document.metadata.labels.owner
  msg := sprintf("%s/%s has no owner", [input.space.name, input.document.metadata.name])
}
warn contains "it applies by itself" if input.document.spec.autodeploy == true
"""
BROKEN = "package stationkeeper\ndeny contains x if { input.document.kind; x := numbers.range(1, 400000000)[_] }\n"


def a_policy(name: str, rego: str, **spec: object) -> bytes:
    return doc("Policy", name, {"type": "config", "rego": rego, **spec})


def test_what_is_said_of_a_working_copy() -> None:
    files = {
        "p.yaml": a_policy("owners", OWNERS, params={"kinds": ["Stack"]}),
        "t/space.yaml": space("team"),
        "t/a.yaml": stack("a", autodeploy=False),
        "t/b.yaml": stack("b", labels={"owner": "bob"}),
    }
    found = [*about_documents(examine_files(files).documents)]
    assert [(told.severity.value, told.code, told.summary) for told in found] == [
        ("error", "policy-denies", "Stack team/a: policy root/owners denies it: team/a has no owner"),
        ("warning", "policy-warns", "policy root/owners on Stack team/b: it applies by itself"),
    ]
    assert found[0].position is not None
    assert found[0].position.file == "t/a.yaml"


def test_one_that_cannot_be_evaluated_denies_and_hides_no_other() -> None:
    files = {
        "p.yaml": a_policy("broken", BROKEN)
        + b"---\n"
        + a_policy("warns", 'package stationkeeper\nwarn contains "w"\n'),
        "a.yaml": stack("a"),
    }
    found = [*about_documents(examine_files(files).documents)]
    assert [told.code for told in found] == ["policy-denies", "policy-warns"]
    assert "it could not be evaluated" in found[0].summary
    told: list[Verdict] = []
    assert ask_config([], told.append) == []
