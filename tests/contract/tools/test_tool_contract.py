"""What every tool gives, whatever it is: plans, applies of exactly that plan, outputs, resources, a destruction."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler import operations
from reconciler.core.runs import Run, RunStatus
from reconciler.loop.service import utc_now
from reconciler.tools.registry import TOOLS
from spaces.names import StackId
from tests.contract.tools.conftest import SUBJECTS
from tests.contract.tools.subjects.base import SECRET, Subject
from tests.e2e.station import Repo, a_script, document, eventually, lines
from tests.integration.loop.machine import Look, Machine

STACK = StackId.parse("root/it")
Scenario = Callable[[str], bool]


def test_every_tool_has_a_subject() -> None:
    assert set(SUBJECTS) == TOOLS


class Stand:
    """A repository with the subject's stack in it, and the service that follows it."""

    def __init__(self, repo: Repo, machine: Machine, subject: Subject) -> None:
        self.repo, self.machine, self.subject = repo, machine, subject

    def commit(self, source: dict[str, str], **changes: object) -> None:
        spec = {"tool": self.subject.tool, "source": {"path": "./it"}, **self.subject.spec(), **changes}
        files = {f"it/{name}": content for name, content in source.items()}
        self.repo.commit({"it.yaml": document("Stack", "it", spec), **files})

    def reconcile(self) -> Look:
        return self.machine.reconcile()

    def look_again(self) -> Run:
        """Have the stack planned although nothing changed in Git, and return the run after its end."""
        operations.request_run(self.machine.service.store, STACK, "ada", utc_now())
        (run,) = self.machine.reconcile().runs
        return run

    def log(self, run: Run) -> str:
        return self.machine.log(run)


@pytest.fixture
def stand(repo: Repo, machine: Machine, subject: Subject) -> Stand:
    return Stand(repo, machine, subject)


def test_the_life_of_a_thing(stand: Stand, subject: Subject, scenario: Scenario, tmp_path: Path) -> None:
    store = stand.machine.service.store
    ran = tmp_path / "ran"
    takes = {"greeting": "GREETING", "secret": "SECRET"}
    child = a_script(
        "child",
        f'echo "$GREETING" >> {ran}; printf %s "$SECRET" | sha256sum >> {ran}; echo "it is $SECRET"',
        dependsOn=[{"stack": "it", "outputs": takes}],
    )
    stand.repo.commit({"child.yaml": child})

    scenario("created")
    stand.commit(subject.files("one"))
    look = stand.reconcile()
    run, used = look.runs
    assert (run.status, subject.made()) == (RunStatus.FINISHED, "one"), stand.log(run)
    with store.reading() as reading:
        outputs = {output.name: (output.value, output.sensitive) for output in reading.outputs(STACK)}
        planned = reading.planned(run.id)
    assert outputs == {"greeting": ("hello one", False), "secret": (SECRET, True)}
    assert planned is not None
    assert planned.has_changes

    scenario("output used by another stack")
    assert used.status is RunStatus.FINISHED, stand.log(used)
    assert lines(ran) == ["hello one", f"{hashlib.sha256(SECRET.encode()).hexdigest()}  -"]
    assert look.sync == {"root/it": "Synced", "root/child": "Synced"}

    scenario("nothing to change")
    again = stand.look_again()
    assert (again.status, again.reason) == (RunStatus.FINISHED, "NothingToDo"), stand.log(again)

    scenario("changed in Git")
    # What others depend on cannot be destroyed.
    stand.repo.commit({"child.yaml": None})
    stand.commit(subject.files("two"))
    (run,) = stand.reconcile().runs
    assert (run.status, subject.made()) == (RunStatus.FINISHED, "two"), stand.log(run)
    runs = [run, used, again]

    if scenario("changed outside"):
        subject.meddle()
        repaired = stand.look_again()
        assert (repaired.status, repaired.reason, subject.made()) == (RunStatus.FINISHED, "Applied", "two"), stand.log(
            repaired
        )
        runs.append(repaired)

    if scenario("destroyed"):
        operations.request_destroy(store, STACK, "ada", utc_now())
        (waits,) = stand.reconcile().runs
        assert (waits.status, subject.made()) == (RunStatus.UNCONFIRMED, "two"), stand.log(waits)
        stand.machine.confirm("root/it")
        (gone,) = stand.reconcile().runs
        assert (gone.status, subject.made()) == (RunStatus.FINISHED, None), stand.log(gone)
        runs.append(gone)

    scenario("secret output masked and encrypted")
    assert not any(SECRET in stand.log(run) for run in runs)
    stand.machine.close()
    kept = [path for path in stand.machine.settings.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    # The source is in Git, and in what is kept of it.
    stored = [path for path in kept if "mirrors" not in path.parts and SECRET.encode() in path.read_bytes()]
    assert stored == []


def test_a_failure_in_the_middle_of_an_apply(stand: Stand, subject: Subject, scenario: Scenario) -> None:
    if not scenario("failure in the middle"):
        return
    stand.commit(subject.failing())
    (run,) = stand.reconcile().runs
    assert (run.status, subject.made()) == (RunStatus.FAILED, "half"), stand.log(run)
    assert run.reason == "ToolFailed"
    assert "out of luck" in run.message + stand.log(run)
    with stand.machine.service.store.reading() as reading:
        assert bool(reading.resources(STACK)) is subject.lists_half, "what is there by then"
        assert reading.outputs(STACK) == []
    stand.commit(subject.files("two"))
    (mended,) = stand.reconcile().runs
    assert (mended.status, subject.made()) == (RunStatus.FINISHED, "two"), stand.log(mended)


def test_a_cancel_stops_the_tool(stand: Stand, subject: Subject, scenario: Scenario) -> None:
    if not scenario("canceled"):
        return
    stand.commit(subject.hanging())
    with ThreadPoolExecutor(1) as pool:
        passing = pool.submit(stand.reconcile)
        eventually((subject.world / "hanging").exists)
        began = time.monotonic()
        operations.cancel(
            stand.machine.service.store, stand.machine.run_of("root/it", RunStatus.APPLYING).id, "ada", utc_now()
        )
        stand.machine.service.loop.wake()
        (run,) = passing.result(60).runs
    assert time.monotonic() - began < 40, "it was not waited for"
    expected = RunStatus.FAILED if subject.stops else RunStatus.INTERRUPTED
    assert run.status is expected, stand.log(run)


def test_a_tool_that_hangs_is_stopped_at_its_deadline(stand: Stand, subject: Subject, scenario: Scenario) -> None:
    if not scenario("hangs"):
        return
    stand.commit(subject.hanging(), timeout=subject.deadline)
    (run,) = stand.reconcile().runs
    expected = (RunStatus.FAILED, "PhaseTimeout") if subject.stops else (RunStatus.INTERRUPTED, "Interrupted")
    assert (run.status, run.reason) == expected, stand.log(run)


def test_a_saved_plan_that_was_replaced_is_not_applied(stand: Stand, subject: Subject, scenario: Scenario) -> None:
    if not scenario("stale plan"):
        return
    stand.commit(subject.files("one"), autodeploy=False)
    (waits,) = stand.reconcile().runs
    assert (waits.status, subject.made()) == (RunStatus.UNCONFIRMED, None), stand.log(waits)
    stand.commit(subject.files("two"), autodeploy=False)
    stand.machine.confirm("root/it")
    superseded, newer = stand.reconcile().runs
    assert (superseded.id, superseded.status, newer.status) == (waits.id, RunStatus.SUPERSEDED, RunStatus.UNCONFIRMED)
    directory = stand.machine.settings.data_dir / "runs" / newer.id
    with (directory / "planned.json").open("ab") as plan:
        plan.write(b" ")
    stand.machine.confirm("root/it")
    (refused,) = stand.reconcile().runs
    assert (refused.status, refused.reason, subject.made()) == (RunStatus.FAILED, "PlanChanged", None)
