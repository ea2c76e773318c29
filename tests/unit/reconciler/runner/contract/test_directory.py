import os
import stat
from dataclasses import replace

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Planned
from reconciler.runner import main
from reconciler.runner.contract.directory import RunDirectory, free_ended
from reconciler.runner.contract.job import Ending, LegReport
from reconciler.runner.contract.process_id import ProcessIdentity
from reconciler.runner.tfstate.backlog import Spool, anything_pending


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


def report(leg, ending, attempt=1, planned=None):
    return LegReport("r1", attempt, leg, ending, "X", "m", Phase.INIT, planned=planned)


CHANGES, NOTHING = Planned(has_changes=True), Planned(has_changes=False)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (report(Leg.PLAN, Ending.SUCCEEDED, planned=CHANGES), False),
        (report(Leg.PLAN, Ending.SUCCEEDED, planned=NOTHING), True),
        (report(Leg.PLAN, Ending.SUCCEEDED), False),
        *((report(Leg.PLAN, ending, planned=CHANGES), True) for ending in Ending if ending is not Ending.SUCCEEDED),
        *((report(Leg.APPLY, ending), True) for ending in Ending),
    ],
)
def test_which_ends_of_legs_end_the_run(directory, ended, last):
    assert ended.ends_run is last
    assert not directory.ends_run()
    directory.write_report(ended)
    assert directory.ends_run() is last


def test_the_newest_attempt_says_whether_the_run_has_ended(directory):
    directory.write_report(report(Leg.PLAN, Ending.LOST, attempt=9))
    directory.write_report(report(Leg.PLAN, Ending.SUCCEEDED, attempt=10, planned=CHANGES))
    assert not directory.ends_run()
    directory.write_report(report(Leg.APPLY, Ending.FAILED, attempt=10))
    assert directory.ends_run()
    directory.record(Leg.PLAN, 11).write_bytes(b"damaged")
    assert not directory.ends_run()


def test_freeing_leaves_what_is_still_to_be_recorded_and_follows_no_link(directory, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    for place in (directory.work, directory.scratch, directory.home, directory.temporary):
        (place / "big").write_bytes(b"x" * 1000)
        (place / "link").symlink_to(tmp_path / "precious")
        (place / "shut").mkdir(mode=0o500)
    directory.log.write_text("kept")
    directory.planned.write_text("{}")
    directory.write_report(report(Leg.APPLY, Ending.SUCCEEDED))
    directory.claim(Leg.APPLY, 1, ProcessIdentity.of(os.getpid()))
    Spool(directory.pending_tfstate).add("POST", "", b"{}")
    directory.free()
    kept = {path.name for path in directory.root.iterdir()}
    assert kept == {"log", "planned.json", "apply-1.exit.json", "apply-1.started", "tfstate-pending"}
    assert anything_pending(directory.pending_tfstate)
    assert (tmp_path / "precious" / "file").exists()
    directory.free()


def test_a_directory_that_was_replaced_by_a_link_is_not_followed(directory, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    directory.home.rmdir()
    directory.home.symlink_to(tmp_path / "precious")
    directory.free()
    assert not directory.home.is_symlink()
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.parametrize("alive", [True, False])
def test_at_the_start_room_is_made_by_what_ended_and_by_nothing_that_works(directory, tmp_path, alive):
    me = ProcessIdentity.of(os.getpid())
    directory.claim(Leg.APPLY, 1, me if alive else replace(me, start=me.start + 1))
    directory.write_report(report(Leg.APPLY, Ending.SUCCEEDED))
    waits = RunDirectory.of(tmp_path, "r2")
    waits.make()
    waits.write_report(report(Leg.PLAN, Ending.SUCCEEDED, planned=CHANGES))
    (tmp_path / "runs" / ".strange").mkdir()
    (tmp_path / "runs" / "file").touch()
    free_ended(tmp_path)
    assert directory.work.exists() is alive
    assert waits.work.exists()
    assert directory.read_report(Leg.APPLY, 1) is not None


def test_no_runs_at_all(tmp_path):
    free_ended(tmp_path / "nothing")


@pytest.mark.parametrize("takes", [True, False], ids=["the disk takes it", "only with more room"])
def test_an_end_is_recorded_then_its_place_is_free_then_it_is_told(directory, monkeypatch, takes):
    done = []
    write = RunDirectory.write_report

    def write_report(self, it):
        done.append("record")
        if not takes and self.work.exists():
            raise OSError(28, "No space left on device")
        write(self, it)

    monkeypatch.setattr(RunDirectory, "write_report", write_report)
    monkeypatch.setattr(main, "_notify", lambda notice: done.append((notice, directory.work.exists())))
    main._record(report(Leg.APPLY, Ending.SUCCEEDED), directory)
    assert done == [*["record"] * (1 if takes else 2), ({"recorded": ["apply", 1]}, False)]
    assert directory.read_report(Leg.APPLY, 1).ending is Ending.SUCCEEDED
    assert [path.name for path in directory.root.iterdir()] == ["apply-1.exit.json"], "what was set aside is gone"


def test_a_plan_that_may_be_applied_keeps_its_place(directory):
    main._record(report(Leg.PLAN, Ending.SUCCEEDED, planned=CHANGES), directory)
    assert directory.work.exists()
