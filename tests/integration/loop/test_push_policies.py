"""Push policies over real commits: which changes bring runs, which only plans, and what persons can still do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler import operations
from reconciler.core.runs import Run, RunEvent, RunKind, RunStatus
from reconciler.core.state import ConditionType
from reconciler.loop.policies.push import PushPolicies
from reconciler.loop.runs.decide import ToPush, decide_due
from reconciler.loop.service import utc_now
from reconciler.refusals import OperationRefused, Refusal
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, a_terraform, document, lines
from tests.factories import advanced
from tests.integration.loop.machine import Look, Machine
from tests.integration.loop.test_policies import a_policy, a_space
from tests.needs import needs

DOCS = """
    package stationkeeper
    ignore contains "only its documentation changed" if {
        input.push.components == ["source"]
        not input.push.truncated
        every path in input.push.paths { endswith(path, ".md") }
    }
"""
IGNORES = 'package stationkeeper\nignore contains "not now"\n'
PROPOSES = 'package stationkeeper\npropose contains "look at it first"\n'
TRACKS = "package stationkeeper\ntrack if true\n"
ERRS = "package stationkeeper\nignore := 1\n"
CRASHES = "package stationkeeper\nignore if { input.stack.name; numbers.range(1, 400000000)[_] == 0 }\n"


def a_push(name: str, rego: str, **spec: Any) -> str:
    return a_policy(name, rego, "push", **spec)


def a_stack(ran: Path, word: str, **spec: Any) -> str:
    return a_script("a", f"echo {word} >> {ran}", **spec)


def _ready(look: Look, stack: str = "root/a") -> tuple[str, str]:
    condition = look.stacks[stack].conditions[ConditionType.READY]
    return condition.reason, condition.message


def _ask_for_a_run(machine: Machine, stack: str = "root/a") -> Run:
    return operations.request_run(machine.service.store, StackId.parse(stack), "user:bob", utc_now())


def _audit(machine: Machine, event: str) -> list[dict[str, Any]]:
    with machine.service.store.reading() as reading:
        return [dict(row.event.details) for row in reading.audit(0, 1000) if row.event.event == event]


def test_a_change_of_docs_is_ignored_and_a_real_one_runs(repo: Repo, machine: Machine, ran: Path) -> None:
    stack = a_script("a", f"cat main.txt >> {ran}", source={"path": "a"})
    repo.commit({"p.yaml": a_push("docs", DOCS), "a.yaml": stack, "a/main.txt": "one\n", "a/README.md": "first\n"})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({"root/a": "finished"}, {"root/a": "Synced"})
    repo.commit({"a/README.md": "second\n", "a/more.md": "x\n"})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({}, {"root/a": "OutOfSync"})
    assert _ready(look) == ("IgnoredByPolicy", "policy root/docs ignores it: only its documentation changed")
    assert machine.reconcile().runs == []
    repo.commit({"a/main.txt": "two\n"})
    look = machine.reconcile()
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["one", "two"])
    said = [(it["policy"], it["result"]) for it in _audit(machine, "policy-decided")]
    assert said == [("root/docs", "track"), ("root/docs", "ignore"), ("root/docs", "track")]


def test_docs_after_a_change_that_was_not_applied_are_no_docs_only_change(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    stack = a_script("a", f"test -e ok && cat main.txt >> {ran}", source={"path": "a"})
    repo.commit({"p.yaml": a_push("docs", DOCS), "a.yaml": stack, "a/main.txt": "one\n"})
    assert machine.reconcile().ran == {"root/a": "failed"}
    repo.commit({"a/README.md": "second\n"})
    assert machine.reconcile().ran == {"root/a": "failed"}


def test_a_proposal_is_planned_and_not_applied(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a.yaml": a_stack(ran, "a")})
    look = machine.reconcile()
    assert [(run.kind, str(run.status), run.reason) for run in look.runs] == [
        (RunKind.PROPOSED, "finished", "Proposed")
    ]
    assert (look.sync, lines(ran)) == ({"root/a": "OutOfSync"}, [])
    assert _ready(look) == ("ProposedByPolicy", "policy root/look only proposes it: look at it first")
    machine.restart()
    assert machine.reconcile().runs == []
    _ask_for_a_run(machine)
    look = machine.reconcile()
    assert [(run.kind, str(run.status)) for run in look.runs] == [(RunKind.TRACKED, "finished")]
    assert (look.sync, lines(ran)) == ({"root/a": "Synced"}, ["a"])
    repo.commit({"a.yaml": a_stack(ran, "b")})
    look = machine.reconcile()
    assert [run.kind for run in look.runs] == [RunKind.PROPOSED]
    assert (look.sync, lines(ran)) == ({"root/a": "OutOfSync"}, ["a"])


def test_a_proposal_without_autodeploy_waits_for_nobody(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a.yaml": a_stack(ran, "a", autodeploy=False)})
    assert machine.reconcile().ran == {"root/a": "finished"}


def test_a_proposal_that_finds_nothing_is_not_applied_either(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a.yaml": a_stack(ran, "a", plan="exit 0")})
    look = machine.reconcile()
    assert [(run.reason, run.message) for run in look.runs] == [("Proposed", "nothing would change")]
    assert look.sync == {"root/a": "OutOfSync"}
    assert look.stacks["root/a"].applied is None


def test_plan_policies_are_asked_about_proposals(repo: Repo, machine: Machine, ran: Path) -> None:
    no = a_policy("no", 'package stationkeeper\ndeny contains "never"\n')
    repo.commit({"p.yaml": f"{a_push('look', PROPOSES)}---\n{no}", "a.yaml": a_stack(ran, "a")})
    look = machine.reconcile()
    (run,) = look.runs
    assert (str(run.status), run.reason) == ("finished", "Proposed")
    assert run.message == "planned only; a push policy keeps it from applying; policy root/no denies it: never"
    with machine.service.store.reading() as reading:
        judgement = reading.judgement(run.id)
    assert [verdict.policy for verdict in judgement.verdicts] == ["root/no"]


@needs("terraform")
def test_terraform_plans_a_proposal_and_leaves_its_tfstate_alone(repo: Repo, machine: Machine) -> None:
    code = 'resource "terraform_data" "x" {\n  input = "%s"\n}\n'
    repo.commit({"a/main.tf": code % "one", "a.yaml": a_terraform("a", "a")})
    assert machine.reconcile().sync == {"root/a": "Synced"}
    with machine.service.store.reading() as reading:
        before = reading.tfstate(StackId.parse("root/a"))
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a/main.tf": code % "two"})
    look = machine.reconcile()
    assert [(run.kind, str(run.status), run.changes.update) for run in look.runs] == [
        (RunKind.PROPOSED, "finished", 1)
    ], machine.log(look.runs[0])
    with machine.service.store.reading() as reading:
        assert reading.tfstate(StackId.parse("root/a")) == before
    _ask_for_a_run(machine)
    assert machine.reconcile().sync == {"root/a": "Synced"}


def test_a_proposal_that_fails_stands_still(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a.yaml": a_stack(ran, "a", plan="exit 7")})
    look = machine.reconcile()
    assert (look.ran, look.stuck("root/a")) == ({"root/a": "failed"}, "ToolFailed")
    assert machine.reconcile().runs == []


def test_a_person_runs_what_is_ignored(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("no", IGNORES), "a.yaml": a_stack(ran, "a")})
    assert (machine.reconcile().ran, lines(ran)) == ({}, [])
    _ask_for_a_run(machine)
    look = machine.reconcile()
    assert (look.ran, look.sync, lines(ran)) == ({"root/a": "finished"}, {"root/a": "Synced"}, ["a"])


@pytest.mark.parametrize(
    ("rego", "words"),
    [
        pytest.param(ERRS, "ignore must be true, false, or a set of sentences", id="another-shape"),
        pytest.param(CRASHES, "the engine crashed on it", id="crash"),
    ],
)
def test_one_that_cannot_be_evaluated_holds_back(
    repo: Repo, machine: Machine, ran: Path, rego: str, words: str
) -> None:
    repo.commit({"p.yaml": a_push("p", rego), "a.yaml": a_stack(ran, "a")})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({}, {"root/a": "OutOfSync"})
    reason, message = _ready(look)
    assert reason == "PolicyFailed"
    assert message.startswith("policy root/p could not be evaluated: it could not be evaluated: ")
    assert words in message
    asked = len(_audit(machine, "policy-decided"))
    machine.restart()
    assert machine.reconcile().runs == []
    assert len(_audit(machine, "policy-decided")) == asked
    _ask_for_a_run(machine)
    assert machine.reconcile().ran == {"root/a": "finished"}


@pytest.mark.parametrize("rego", [IGNORES, ERRS], ids=["ignores", "errs"])
def test_an_advisory_one_never_holds_back(repo: Repo, machine: Machine, ran: Path, rego: str) -> None:
    repo.commit({"p.yaml": a_push("p", rego, enforcement="advisory"), "a.yaml": a_stack(ran, "a")})
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert [(it["policy"], it["enforcement"]) for it in _audit(machine, "policy-decided")] == [("root/p", "advisory")]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        pytest.param(PROPOSES, IGNORES, "IgnoredByPolicy", id="ignore over propose"),
        pytest.param(TRACKS, PROPOSES, "ProposedByPolicy", id="propose over track"),
        pytest.param(ERRS, IGNORES, "IgnoredByPolicy", id="ignore over an error"),
        pytest.param(ERRS, PROPOSES, "PolicyFailed", id="an error over propose"),
    ],
)
def test_two_policies_disagree(  # noqa: PLR0917
    repo: Repo, machine: Machine, ran: Path, one: str, other: str, reason: str
) -> None:
    repo.commit({"p.yaml": f"{a_push('one', one)}---\n{a_push('other', other)}", "a.yaml": a_stack(ran, "a")})
    assert (_ready(machine.reconcile())[0], lines(ran)) == (reason, [])


def test_a_space_that_does_not_inherit_is_covered(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit(
        {
            "p.yaml": a_push("no", IGNORES),
            "team/space.yaml": a_space("team", inherit=False),
            "team/a.yaml": a_stack(ran, "a"),
        }
    )
    look = machine.reconcile()
    assert (look.ran, _ready(look, "team/a")[0]) == ({}, "IgnoredByPolicy")


def test_a_changed_policy_is_asked_about_what_is_out_of_sync(repo: Repo, machine: Machine, ran: Path) -> None:
    other = a_script("b", f"echo b >> {ran}")
    repo.commit({"a.yaml": a_stack(ran, "a"), "b.yaml": other})
    machine.reconcile()
    before = lines(ran)
    repo.commit({"p.yaml": a_push("no", IGNORES), "a.yaml": a_stack(ran, "new")})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({}, {"root/a": "OutOfSync", "root/b": "Synced"})
    asked = {it["stack"] for it in _audit(machine, "policy-decided")}
    assert asked == {"root/a"}
    repo.commit({"p.yaml": a_push("no", TRACKS)})
    look = machine.reconcile()
    # It is no part of the digest: the one that is in sync does not run.
    assert (look.ran, lines(ran)) == ({"root/a": "finished"}, [*before, "new"])
    repo.commit({"p.yaml": a_push("no", PROPOSES)})
    assert machine.reconcile().runs == []


def test_without_its_policy_a_change_runs(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("no", IGNORES), "a.yaml": a_stack(ran, "a")})
    machine.reconcile()
    repo.commit({"p.yaml": None})
    assert machine.reconcile().ran == {"root/a": "finished"}


def test_dependents_wait_for_what_is_held_back(repo: Repo, machine: Machine, ran: Path) -> None:
    child = a_script("b", f"echo b >> {ran}", dependsOn=[{"stack": "a"}])
    only = a_push("no", 'package stationkeeper\nignore if input.stack.name == "a"\n')
    repo.commit({"p.yaml": only, "a.yaml": a_stack(ran, "a"), "b.yaml": child})
    look = machine.reconcile()
    assert look.ran == {}
    assert _ready(look, "root/b") == ("WaitsForDependency", "root/a is out of sync: IgnoredByPolicy")
    _ask_for_a_run(machine)
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "finished", "root/b": "finished"}, ["a", "b"])


def test_a_new_output_of_another_stack_is_a_change_too(repo: Repo, machine: Machine, ran: Path) -> None:
    rego = 'package stationkeeper\nignore if { input.stack.name == "b"; input.push.components == ["dependencies"] }\n'
    parent = 'echo \'{"size": "%s"}\' > "$STATION_OUTPUTS"'
    child = a_script("b", f"echo $SIZE >> {ran}", dependsOn=[{"stack": "a", "outputs": {"size": "SIZE"}}])
    repo.commit({"p.yaml": a_push("p", rego), "a.yaml": a_script("a", parent % "small"), "b.yaml": child})
    look = machine.reconcile()
    assert (look.sync, lines(ran)) == ({"root/a": "Synced", "root/b": "Synced"}, ["small"]), look.problems
    repo.commit({"a.yaml": a_script("a", parent % "large")})
    look = machine.reconcile()
    assert (look.ran, look.sync) == ({"root/a": "finished"}, {"root/a": "Synced", "root/b": "OutOfSync"})
    assert _ready(look, "root/b") == ("IgnoredByPolicy", "policy root/p ignores it")
    _ask_for_a_run(machine, "root/b")
    machine.reconcile()
    assert lines(ran) == ["small", "large"]


def test_a_person_may_ask_while_a_proposal_is_queued_not_while_it_plans(
    repo: Repo, machine: Machine, ran: Path
) -> None:
    repo.commit({"p.yaml": a_push("look", PROPOSES), "a.yaml": a_stack(ran, "a")})
    store = machine.service.store
    machine.service.loop.look()
    _, followups = decide_due(store, machine.service.loop.holder, utc_now())
    (push,) = (each for each in followups if isinstance(each, ToPush))
    pushes = PushPolicies(store, machine.service.loop.follower, machine.service.ports.metrics)
    question = pushes.question(push.stack, utc_now())
    pushes.record(question, question.ask(), utc_now())
    decide_due(store, machine.service.loop.holder, utc_now())
    queued = machine.run_of("root/a", RunStatus.QUEUED)
    assert queued.kind is RunKind.PROPOSED
    with store.writing() as transaction:
        transaction.put_run(advanced(queued, RunEvent.CLAIM))
    with pytest.raises(OperationRefused) as refused:
        _ask_for_a_run(machine)
    assert refused.value.reason is Refusal.ALREADY_RUNNING
    with store.writing() as transaction:
        transaction.put_run(queued)
    asked = _ask_for_a_run(machine)
    assert machine.run_of("root/a", RunStatus.SUPERSEDED).id == queued.id
    look = machine.reconcile()
    assert (look.sync, lines(ran)) == ({"root/a": "Synced"}, ["a"])
    assert asked.kind is RunKind.TRACKED


def test_an_answer_that_comes_too_late_counts_for_nothing(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit({"p.yaml": a_push("no", IGNORES), "a.yaml": a_stack(ran, "a")})
    service = machine.service
    service.loop.look()
    pushes = PushPolicies(service.store, service.loop.follower, service.ports.metrics)
    question = pushes.question(StackId.parse("root/a"), utc_now())
    repo.commit({"a.yaml": a_stack(ran, "b")})
    service.loop.look()
    pushes.record(question, question.ask(), utc_now())
    assert machine.look().stacks["root/a"].push is None
    assert _audit(machine, "policy-decided") == []


def test_it_sees_who_changed_what_where(repo: Repo, machine: Machine, ran: Path) -> None:
    rego = """
        package stationkeeper
        ignore contains sprintf("%s %s %v %v %s", [
            input.push.branch, input.person, input.push.paths, input.push.components, input.space.name,
        ]) if input.push.applied == null
    """
    stack = a_script("a", f"echo a >> {ran}", source={"path": "a"})
    repo.commit({"p.yaml": a_push("p", rego), "a.yaml": stack, "a/one.txt": "1", "a/deep/two.txt": "2"})
    _, message = _ready(machine.reconcile())
    words = 'main ada@example.org ["a/deep/two.txt", "a/one.txt"] ["spec", "source", "tool"] root'
    assert message == f"policy root/p ignores it: {words}"


def test_a_notification_reaches_the_audit(repo: Repo, machine: Machine, ran: Path) -> None:
    rego = """
        package stationkeeper
        notify contains {"msg": sprintf("%s: %s", [input.stack.id, input.run.reason]), "severity": "error"} if
            input.event == "failed"
        notify contains "somebody has to look" if input.event == "waits"
    """
    wrong = a_policy("wrong", "package stationkeeper\nnotify contains 1\n", "notification")
    repo.commit(
        {
            "p.yaml": f"{a_policy('tell', rego, 'notification')}---\n{wrong}",
            "a.yaml": a_script("a", "exit 1"),
            "b.yaml": a_script("b", f"echo b >> {ran}", autodeploy=False),
            "c.yaml": a_script("c", f"echo c >> {ran}"),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "failed", "root/b": "unconfirmed", "root/c": "finished"}
    told = _audit(machine, "notified")
    assert {(it["stack"], it["severity"], it["message"]) for it in told if "message" in it} == {
        ("root/a", "error", "root/a: ToolFailed"),
        ("root/b", "info", "somebody has to look"),
    }
    assert {(it["stack"], it["policy"]) for it in told if "error" in it} == {
        (f"root/{name}", "root/wrong") for name in "abc"
    }
    value = machine.service.ports.metrics.registry.get_sample_value
    name = "stationkeeper_policy_decisions_total"
    assert [value(name, {"type": "notification", "result": it}) for it in ("notify", "quiet", "error")] == [2, 1, 3]
    machine.restart()
    machine.reconcile()
    assert len(_audit(machine, "notified")) == len(told)


def test_documents_of_these_types_are_taken(repo: Repo, machine: Machine) -> None:
    repo.commit({"p.yaml": document("Policy", "p", {"type": "push", "rego": "package stationkeeper\nnope if true\n"})})
    assert machine.reconcile().problems == ["p.yaml: error: rego-rule"]


def test_it_sees_the_repository_that_the_source_lies_in(repo: Repo, machine: Machine, ran: Path) -> None:
    rego = """
        package stationkeeper
        ignore contains sprintf("%v %v", [input.push.repository, input.push.branch])
    """
    other = Repo(repo.path.with_name("infra"), {"live/one.txt": "1"})
    other.git("branch", "-q", "stable")
    other.git("tag", "v1")
    sources = {"a": {"branch": "stable"}, "b": {"tag": "v1"}}
    stacks = {
        f"{name}.yaml": a_script(name, "true", source={"repository": "infra", "path": "live", **ref})
        for name, ref in sources.items()
    }
    infra = document("Repository", "infra", {"url": other.url})
    repo.commit({"p.yaml": a_push("p", rego), "infra.yaml": infra, **stacks})
    look = machine.reconcile()
    words = "policy root/p ignores it:"
    assert _ready(look, "root/a")[1] == f"{words} {other.url} stable", look.problems
    assert _ready(look, "root/b")[1] == f"{words} {other.url} null"
