"""`station policy` and `station run review`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.runs import RunStatus
from reconciler.core.verdicts import Judgement, Result, ReviewEffect, Verdict
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from tests.factories import NOW, a_run, a_stack
from tests.integration.cli.conftest import Stage, Station
from tests.integration.web.warm import WarmApp

REGO = 'package stationkeeper\n\ndeny contains sprintf("%s goes", [c.address]) if {\n  some c in input.plan.changes\n  c.action == "delete"\n}\n'
DENIED = {"plan": {"changes": [{"address": "a.b", "action": "delete"}]}}
ALLOWED = {"plan": {"changes": []}}
APPROVAL = "package stationkeeper\napprove if count(input.reviews) > 0\n"


@pytest.fixture
def written(elsewhere: Path) -> Path:
    (elsewhere / "p.rego").write_text(REGO)
    indented = "".join(f"    {line}\n" for line in REGO.splitlines())
    head = "apiVersion: stationkeeper/v1\nkind: Policy\nmetadata: {name: p, space: team}\nspec:\n  type: plan\n"
    (elsewhere / "p.yaml").write_text(f"{head}  rego: |\n{indented}")
    (elsewhere / "file.yaml").write_text(f"{head}  regoFile: p.rego\n")
    (elsewhere / "denied.json").write_text(json.dumps(DENIED))
    (elsewhere / "allowed.yaml").write_text("plan: {changes: []}\n")
    (elsewhere / "expects.json").write_text(json.dumps({"input": DENIED, "expect": {"deny": ["a.b goes"], "warn": []}}))
    (elsewhere / "mistaken.json").write_text(json.dumps({"input": DENIED, "expect": {"deny": []}}))
    return elsewhere


@pytest.mark.parametrize("policy", ["p.rego", "p.yaml", "file.yaml"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--input", "allowed.yaml"], 0, id="allowed"),
        pytest.param(["--input", "denied.json"], 2, id="denied"),
        pytest.param(["--input", "allowed.yaml", "--input", "denied.json"], 2, id="one of two"),
        pytest.param(["--input", "expects.json"], 0, id="as expected"),
        pytest.param(["--input", "mistaken.json"], 2, id="not as expected"),
        pytest.param(["--input", "denied.json", "--expect", "deny"], 0, id="denied as expected"),
        pytest.param(["--input", "allowed.yaml", "--expect", "deny"], 2, id="allowed against expectations"),
    ],
)
def test_the_exit_code_says_how_it_went(
    station: Station, written: Path, policy: str, arguments: list[str], code: int
) -> None:
    result = station("policy", "test", policy, *arguments)
    assert (result.code, result.err) == (code, ""), result.out


def test_the_verdicts_are_printed(station: Station, written: Path) -> None:
    (row,) = json.loads(station("policy", "test", "p.yaml", "--input", "denied.json", "-o", "json").out)
    assert (row["policy"], row["result"], row["messages"], row["allowed"]) == ("team/p", "deny", ["a.b goes"], False)


@pytest.mark.parametrize(
    ("files", "arguments", "error"),
    [
        pytest.param({}, ["p.rego", "--input", "none"], "none cannot be read: No such file", id="no input"),
        pytest.param({}, ["none.rego", "--input", "denied.json"], "none.rego cannot be read", id="no policy"),
        pytest.param({"x.json": "{"}, ["p.rego", "--input", "x.json"], "x.json cannot be read", id="broken input"),
        pytest.param({"x.json": "[]"}, ["p.rego", "--input", "x.json"], "x.json is not a policy input", id="list"),
        pytest.param(
            {"x.json": '{"input": {}, "expect": {"denies": []}}'},
            ["p.rego", "--input", "x.json"],
            "expect has an unknown key denies",
            id="unknown expectation",
        ),
        pytest.param(
            {"x.rego": "package stationkeeper\ndeny contains {"},
            ["x.rego", "--input", "denied.json"],
            "x.rego:2:16: expecting",
            id="does not parse",
        ),
        pytest.param({}, ["p.yaml", "--policy", "q", "--input", "denied.json"], "there is no Policy q", id="no such"),
        pytest.param({"x.yaml": "a: b\n"}, ["x.yaml", "--input", "denied.json"], "there is no Policy in", id="nothing"),
        pytest.param(
            {"x.yaml": "apiVersion: stationkeeper/v1\nkind: Policy\nmetadata: {name: p}\nspec: {type: plan}\n"},
            ["x.yaml", "--input", "denied.json"],
            "x.yaml:4:1: spec needs one of rego and regoFile",
            id="no rule",
        ),
    ],
)
def test_what_is_broken_is_said_in_a_line(
    station: Station, written: Path, files: dict[str, str], arguments: list[str], error: str
) -> None:
    for name, text in files.items():
        (written / name).write_text(text)
    result = station("policy", "test", *arguments)
    assert (result.code, result.out) == (1, "")
    assert error in result.err
    assert result.err.count("\n") == 1


def test_an_error_is_neither_allowed_nor_denied(station: Station, written: Path) -> None:
    (written / "p.rego").write_text('package stationkeeper\ndeny contains "x" if 1 / count(input.plan.changes) == 1\n')
    result = station("policy", "test", "p.rego", "--input", "allowed.yaml", "--expect", "deny")
    assert result.code == 1
    assert "divide by zero" in result.out


def test_an_approval_leaves_its_authors_out(station: Station, written: Path) -> None:
    (written / "p.rego").write_text(APPROVAL)
    own = {"reviews": [{"person": "user:ada", "approve": True, "author": True}]}
    (written / "own.json").write_text(json.dumps({"input": own, "expect": {"approve": False}}))
    assert station("policy", "test", "p.rego", "--type", "approval", "--input", "own.json").code == 0


WAITING = a_run("production/network", status=RunStatus.UNCONFIRMED)


@pytest.fixture
def waiting(store: SqlStore) -> None:
    verdict = Verdict("root/tags", "plan", mandatory=False, result=Result.DENY, messages=("no owner",), warnings=("w",))
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(WAITING.stack)])
        transaction.add_runs([WAITING])
        transaction.record_judgement(WAITING.id, Judgement(WAITING.digest, None, 0, NOW, (verdict,)))


@pytest.mark.usefixtures("waiting")
def test_a_review_is_noted_and_shown(remote: Station) -> None:
    result = remote("run", "review", WAITING.id, "--reject", "--note", "not before the launch")
    assert (result.code, result.out.strip()) == (
        0,
        f"your rejection of run {WAITING.id} of production/network is recorded",
    )
    assert remote("run", "review", WAITING.id, "--approve").code == 0
    shown = remote("run", "get", WAITING.id).out
    assert "policies    root/tags deny (advisory): no owner; w" in shown.replace("policies      ", "policies    ")
    found = json.loads(remote("run", "get", WAITING.id, "-o", "json").out)
    (review,) = found["reviews"]
    assert (review["person"], review["approve"], review["author"], review["note"]) == ("operator", True, False, "")
    assert found["policies"][0] == {
        "policy": "root/tags",
        "type": "plan",
        "enforcement": "advisory",
        "result": "deny",
        "messages": ["no owner"],
        "warnings": ["w"],
        "error": False,
    }
    assert found["awaitsApproval"] is False


@pytest.mark.usefixtures("waiting")
def test_a_review_that_does_not_count_says_why(remote: Station, stage: tuple[Stage, HttpServer], ports: Ports) -> None:
    effect = ReviewEffect(counts=False, because="policy root/yes does not count it: operator caused the run")
    stage[0].app = WarmApp(replace(ports, metrics=Metrics(), review_effect=lambda run, person: effect))
    result = remote("run", "review", WAITING.id, "--approve")
    assert result.out == (
        f"your approval of run {WAITING.id} of production/network is recorded, but does not count: "
        "policy root/yes does not count it: operator caused the run\n"
    )


@pytest.mark.usefixtures("waiting")
def test_a_review_says_which(remote: Station) -> None:
    result = remote("run", "review", WAITING.id)
    assert result.code != 0
    assert "--approve" in result.err


def test_a_run_that_does_not_wait_is_not_reviewed(remote: Station, store: SqlStore) -> None:
    run = a_run("production/network", status=RunStatus.FINISHED)
    with store.writing() as transaction:
        transaction.put_stacks([a_stack(run.stack)])
        transaction.add_runs([run])
    result = remote("run", "review", run.id, "--approve")
    assert (result.code, result.err) == (1, f"error: run {run.id} is finished: only a waiting run can be reviewed\n")
