import os
import stat

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.runner.directory import RunDirectory
from reconciler.runner.identity import ProcessIdentity
from reconciler.runner.job import Ending, LegReport


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "runs").mkdir()
    made = RunDirectory.of(tmp_path, "r1")
    made.make()
    return made


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\n", "-x", "x" * 129])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ValueError):
        RunDirectory.of(tmp_path, name)


def test_only_the_owner_can_look_in(directory):
    for path in (directory.root, directory.work, directory.scratch, directory.home, directory.temporary):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("leg", Leg)
def test_a_leg_can_be_started_once(directory, leg):
    me = ProcessIdentity.of(os.getpid())
    assert directory.claim(leg, 1, me)
    assert not directory.claim(leg, 1, None)
    assert directory.claimant(leg, 1) == me
    assert directory.claimant(leg, 1).alive()
    assert directory.claim(leg, 2, None)
    assert directory.claimant(leg, 2) is None


def test_a_report_is_there_or_not(directory):
    report = LegReport("r1", 1, Leg.PLAN, Ending.FAILED, "X", "m", Phase.INIT)
    assert directory.read_report(Leg.PLAN, 1) is None
    directory.write_report(report)
    assert directory.read_report(Leg.PLAN, 1) == report
    assert stat.S_IMODE(directory.record(Leg.PLAN, 1).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"run": 1}', b"\xff"])
def test_a_damaged_report_is_none(directory, content):
    directory.record(Leg.PLAN, 1).write_bytes(content)
    assert directory.read_report(Leg.PLAN, 1) is None


def test_discarding_leaves_the_log_and_follows_no_link(directory, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (directory.work / "link").symlink_to(tmp_path / "precious")
    (directory.work / "shut").mkdir(mode=0o500)
    (directory.log).write_text("kept")
    directory.write_report(LegReport("r1", 1, Leg.PLAN, Ending.FAILED, "X", "m", Phase.INIT))
    directory.discard()
    assert [path.name for path in directory.root.iterdir()] == ["log"]
    assert (tmp_path / "precious" / "file").exists()
    directory.discard()


def test_another_process_with_the_same_pid_is_another_one():
    me = ProcessIdentity.of(os.getpid())
    assert me.alive()
    assert not ProcessIdentity(me.pid, me.start + 1, me.boot).alive()
    assert not ProcessIdentity(me.pid, me.start, "another boot").alive()
    assert not ProcessIdentity(me.pid, me.start + 1, me.boot).signal(0)
    assert me.signal(0)
