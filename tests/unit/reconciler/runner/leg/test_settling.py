"""What has to be on the disk before an apply changes anything."""

from __future__ import annotations

import errno

import pytest

from reconciler.core.phases import Leg
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Ending, Job, Limits
from reconciler.runner.leg.leg import run_leg
from reconciler.runner.leg.results import digest
from reconciler.runner.processes.stop import Cancel


@pytest.mark.parametrize("takes", [True, False])
def test_nothing_of_an_apply_runs_before_its_start_is_on_the_disk(tmp_path, monkeypatch, takes):
    directory = RunDirectory(tmp_path)
    directory.make()
    directory.planned.write_text("{}")
    done = []

    def settle(self):
        done.append("on the disk" if not (directory.work / "done").exists() else "too late")
        if not takes:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(RunDirectory, "settle", settle)
    job = Job(
        run="r1",
        attempt=1,
        stack="root/a",
        leg=Leg.APPLY,
        tool="script",
        binary="",
        path=".",
        options={"apply": "touch done"},
        facts={},
        env={},
        hooks={},
        limits=Limits({}),
        carry_key="1b" * 32,
        plan_digest=digest(directory.planned, ()),
    )
    report = run_leg(job, directory, None, Cancel(directory.cancel))
    assert report.ending is (Ending.SUCCEEDED if takes else Ending.FAILED)
    assert (directory.work / "done").exists() is takes
    assert done == ["on the disk"]
