"""Plans of a stack as a branch would have it: whose code comes into a run, what the run gets, and what stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rbac.access.subjects import Subject
from reconciler.core.runs import Run
from reconciler.loop.service import utc_now
from reconciler.proposals import propose
from reconciler.refusals import OperationRefused
from reconciler.store.stored import RunFilter
from spaces.names import StackId
from tests.e2e.station import a_script, lines
from tests.integration.loop.access import Key, Signed, first
from tests.integration.loop.machine import Machine
from tests.needs import needs

pytestmark = needs("ssh-keygen")

NET, BASE = StackId.parse("platform/net"), StackId.parse("platform/base")


def a_plan(machine: Machine, stack: StackId, ref: str, asker: str = "user:carol") -> Run:
    """Ask for a plan, let the service work, and return the run as it ended."""
    proposal = machine.service.ports.proposal(stack, ref, Subject.parse(asker))
    queued = propose(machine.service.store, stack, proposal, asker, utc_now())
    machine.reconcile()
    with machine.service.store.reading() as reading:
        ended = reading.run(queued.id)
    assert ended is not None
    return ended


def refusal(machine: Machine, stack: StackId, ref: str, asker: str = "user:carol") -> str:
    with pytest.raises(OperationRefused) as refused:
        a_plan(machine, stack, ref, asker)
    return refused.value.message


def branch(signed: Signed, name: str) -> None:
    signed.repo.git("checkout", "-q", "-b", name, "main")


def test_a_branch_is_planned_as_its_authors_could_merge_it(service: Machine, signed: Signed, ran: Path) -> None:
    branch(signed, "feature")
    planned = a_script("base", "false", plan=f"echo $STATION_BRANCH >> {ran}; exit 2")
    there = signed.commit("bob", {"platform/base.yaml": planned, "platform/net/net.sh": "echo 2\n"})
    branch(signed, "strange")
    signed.commit("eve", {"platform/base.yaml": a_script("base", f"echo eve >> {ran}")})
    signed.commit("eve", {"platform/net/net.sh": f"echo eve >> {ran}\n"}, claims="bob")
    signed.repo.git("checkout", "-q", "main")
    signed.commit("ada", {"platform/team/app.yaml": a_script("app", "echo 3")})
    service.reconcile()
    before = service.look().stacks[str(BASE)]

    run = a_plan(service, BASE, "feature")
    assert (run.status, run.message) == ("finished", "planned only, as feature would have it")
    assert (run.proposes and run.proposes.revision, [str(why.component) for why in run.why]) == (there, ["spec"])
    assert a_plan(service, BASE, there[:12]).reason == "Proposed"
    assert lines(ran) == ["feature", there[:12]]
    assert a_plan(service, NET, "refs/heads/feature").reason == "Proposed"
    after = service.look().stacks[str(BASE)]
    assert (after.last, after.applied, after.desired, after.sync) == (
        before.last,
        before.applied,
        before.desired,
        before.sync,
    )
    with service.service.store.reading() as reading:
        assert there not in {each.revision for each in reading.list_revisions(RunFilter(), None, 100)}

    for stack in (BASE, NET):
        assert "without the right to" in refusal(service, stack, "strange")
    assert lines(ran) == ["feature", there[:12]]


def test_a_branch_gives_a_run_nothing_that_the_stack_in_force_does_not_have(service: Machine, signed: Signed) -> None:
    branch(signed, "more")
    env = {"TOKEN": {"file": "token"}, "PLAIN": "1"}
    needs_net = [{"stack": "net", "outputs": {"id": "NET_ID"}}]
    signed.commit("bob", {"platform/base.yaml": a_script("base", "true", env=env, dependsOn=needs_net)})
    said = refusal(service, BASE, "more")
    assert said.startswith("more gives platform/base what it does not have in force")
    assert said.endswith(": env TOKEN, output id of platform/net")

    branch(signed, "gone")
    signed.commit("bob", {"platform/base.yaml": None})
    assert refusal(service, BASE, "gone") == "gone holds no platform/base: see station diff"
    branch(signed, "other")
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo other")})
    signed.repo.git("checkout", "-q", "main")
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo main")})
    service.reconcile()
    assert "conflicts with what is in force" in refusal(service, BASE, "other")
    assert "is merged already" in refusal(service, BASE, signed.repo.git("rev-parse", "main~1"))
    assert refusal(service, BASE, "nowhere").endswith("has no branch and no commit nowhere")
    assert "--upload-pack" in refusal(service, BASE, "--upload-pack=touch x")


def test_a_new_stack_is_planned_and_leaves_nothing_behind(service: Machine, signed: Signed, ran: Path) -> None:
    branch(signed, "new")
    spec = {"plan": f"echo fresh >> {ran}; exit 2"}
    signed.commit("bob", {"platform/fresh.yaml": a_script("fresh", "false", **spec)})
    fresh = StackId.parse("platform/fresh")
    run = a_plan(service, fresh, "new")
    assert (run.message, [why.summary for why in run.why]) == ("planned only, as new would have it", ["new stack"])
    assert lines(ran) == ["fresh"]
    assert str(fresh) not in service.look().stacks
    signed.commit("bob", {"platform/fresh.yaml": a_script("fresh", "true", **spec, env={"TOKEN": {"file": "token"}})})
    assert refusal(service, fresh, "new").endswith(": env TOKEN")
    assert refusal(service, StackId.parse("platform/none"), "new") == "new holds no platform/none: see station diff"

    signed.repo.git("checkout", "-q", "main")
    moved = a_script("fresh", "true", movedFrom="platform/base")
    signed.commit("bob", {"platform/base.yaml": None, "platform/fresh.yaml": moved})
    look = service.reconcile()
    assert (look.halted, look.sync[str(fresh)], str(BASE) in look.sync) == (None, "Synced", False)
    with service.service.store.reading() as reading:
        assert run.id not in {each.id for each in reading.list_runs(RunFilter(fresh), None, 10)}


def test_a_service_whose_mirror_never_had_the_commit_fetches_it(service: Machine, signed: Signed) -> None:
    branch(signed, "far")
    signed.commit("bob", {"platform/base.yaml": a_script("base", "echo far")})
    proposal = service.service.ports.proposal(BASE, "far", Subject.parse("user:carol"))
    asked = propose(service.service.store, BASE, proposal, "user:carol", utc_now())
    service.close()
    shutil.rmtree(service.settings.data_dir / "mirrors")
    assert {run.id: run.message for run in service.reconcile().runs} == {asked.id: "planned only, as far would have it"}


def test_where_addresses_say_whose_commits_are_who_asks_answers_for_them(
    signed: Signed, new_machine: Callable[..., Machine], keys: Mapping[str, Key], ran: Path
) -> None:
    signed.commit(None, first(keys))
    machine = new_machine(signed.repo.url, admins=("ada",), identity="committer")
    machine.reconcile()
    branch(signed, "forged")
    signed.commit(None, {"platform/base.yaml": a_script("base", f"echo eve >> {ran}")}, claims="bob")
    assert "without the right to" in refusal(machine, BASE, "forged")
    assert a_plan(machine, BASE, "forged", "user:bob").message == "planned only, as forged would have it"


def test_a_plan_makes_way_for_what_changes_the_world(service: Machine, signed: Signed) -> None:
    branch(signed, "slow")
    signed.commit("bob", {"platform/base.yaml": a_script("base", "true", plan="sleep 60")})
    signed.repo.git("checkout", "-q", "main")
    loop, store = service.service.loop, service.service.store
    proposal = service.service.ports.proposal(BASE, "slow", Subject.parse("user:carol"))
    asked = propose(store, BASE, proposal, "user:carol", utc_now())
    loop.step(0)
    signed.commit("ada", {"platform/base.yaml": a_script("base", "echo now")})
    look = service.reconcile()
    ended = {run.id: run for run in look.runs}
    assert ended[asked.id].status == "canceled"
    assert ended[asked.id].message.endswith(" comes first")
    assert look.sync[str(BASE)] == "Synced"
