"""What the service does for Pulumi by itself: the state that it keeps, and the second look before a destruction."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from reconciler.core.phases import Leg
from reconciler.engine.ends import LegId, report_of_end
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.tfstate.backlog import pending_requests
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.pulumi.state import KeptState, unsent
from reconciler.tools.registry import tool

CHECKPOINT = ".pulumi/stacks/proj/it.json"
DIES = f"""
import os, pathlib, signal, sys
from reconciler.tools.base import TfstateBackend
from reconciler.tools.pulumi.state import KeptState

kept = KeptState(pathlib.Path(sys.argv[1]), TfstateBackend(*sys.argv[2:5]), "it")
saving = kept.saving()
saving.__enter__()
(kept.directory / "{CHECKPOINT}").write_text('{{"checkpoint": "new"}}')
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def kept(place: Any, tfstate_server: Any) -> KeptState:
    stored = {"serial": 4, "path": "stacks/proj/it.json", "meta": "version: 1", "checkpoint": {"checkpoint": "old"}}
    tfstate_server.tfstate = json.dumps(stored).encode()
    it = KeptState(place.scratch / "pulumi-state", tfstate_server.backend, "it")
    assert it.load()
    return it


def test_what_a_run_wrote_before_it_died_is_stored_by_the_next_service(
    place: Any, tfstate_server: Any, kept: KeptState
) -> None:
    answer = tfstate_server.answer
    tfstate_server.answer = lambda method, *more: (500, b"") if method == "POST" else answer(method, *more)
    backend = (kept.backend.address, kept.backend.username, kept.backend.password)
    directory = RunDirectory(place.top)
    directory.claim(Leg.APPLY, 1, ProcessIdentity(1, 1, "an earlier boot"))
    done = subprocess.run([sys.executable, "-c", DIES, kept.directory, *backend], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        report = report_of_end(directory, LegId("r1", 1, Leg.APPLY), canceled=False)
        assert (report.ending, report.pending_tfstate) == (Ending.INTERRUPTED, directory.pending_tfstate)
    (pending,) = pending_requests(directory.pending_tfstate)
    state = json.loads(pending.body)
    assert (pending.method, state["serial"], state["checkpoint"]) == ("POST", 5, {"checkpoint": "new"})


def test_a_state_that_was_stored_is_not_stored_again(place: Any, kept: KeptState, tfstate_server: Any) -> None:
    with kept.saving():
        assert unsent(place.scratch) is None
        (kept.directory / CHECKPOINT).write_text('{"checkpoint": "new"}')
    assert (json.loads(tfstate_server.tfstate)["serial"], unsent(place.scratch)) == (5, None)


def test_no_link_leads_out_of_the_directory(place: Any, kept: KeptState) -> None:
    others = place.top / "others"
    (others / "proj").mkdir(parents=True)
    (others / "proj" / "it.json").write_text('{"checkpoint": "not ours"}')
    stacks = kept.directory / ".pulumi" / "stacks"
    stacks.rename(place.top / "moved")
    stacks.symlink_to(others)
    (place.scratch / "pulumi-sent.json").write_text('{"stack": "it", "digest": ""}')
    with pytest.raises(StepFailed):
        kept.checkpoint()
    assert unsent(place.scratch) is None
    kept.directory.joinpath(".pulumi", "stacks").unlink()
    kept.directory.rename(place.top / "moved too")
    kept.directory.symlink_to(others)
    kept.load()
    assert sorted(path.name for path in others.rglob("*")) == ["it.json", "proj"]


def delete(name: str, its_id: str) -> dict[str, Any]:
    return {"op": "delete", "urn": f"urn:pulumi:it::p::a:B::{name}", "oldState": {"type": "a:B", "id": its_id}}


@pytest.mark.parametrize(
    ("later", "words"),
    [
        pytest.param([("one", "1")], None, id="less than was planned"),
        pytest.param([("one", "1"), ("two", "2"), ("new", "3")], "plan: a:B::new;", id="one more"),
        pytest.param([("one", "other"), ("two", "2")], "plan: a:B::one;", id="another of the same name"),
        pytest.param([], None, id="nothing is left"),
    ],
)
def test_a_destruction_removes_only_what_its_plan_names(
    place: Any, later: list[tuple[str, str]], words: str | None
) -> None:
    begun: list[tuple[str, ...]] = []
    steps = {"steps": [delete("one", "1"), delete("two", "2")]}
    root = {"urn": "urn:pulumi:it::p::pulumi:pulumi:Stack::p-it", "type": "pulumi:pulumi:Stack"}
    left = [{"urn": f"urn:pulumi:it::p::a:B::{name}", "type": "a:B", "id": its_id} for name, its_id in later]
    state = {"deployment": {"resources": [root, *left] if left else []}}

    def do(argv: Any, *, stdout: Any = None, **_: Any) -> int:
        if stdout is not None:
            stdout.write_text(json.dumps(state if "export" in argv else steps))
        else:
            begun.append(tuple(argv))
        return 0

    work = ToolJob("pulumi", place.work, place.scratch, {"stack": "it", "backend": "file:///nowhere"}, destroy=True)
    assert len(tool("pulumi").plan(work, do).changes) == 2
    if words is None:
        tool("pulumi").apply(work, do)
    else:
        with pytest.raises(StepFailed, match=words):
            tool("pulumi").apply(work, do)
    assert [command[1] for command in begun] == ["refresh"] + ["destroy"] * bool(left and not words)
    if left and not words:
        named = [each for each in begun[-1] if each.startswith("urn:")]
        assert named == [it["urn"] for it in (root, *left)], "all of it, and nothing else, by name"
