import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.engine.base import Job, Limits
from reconciler.engine.local import LocalEngine
from tests.needs import need


def limits(**changes):
    values = {"phase_seconds": dict.fromkeys(Phase, 30.0), "grace_seconds": 20.0}
    return Limits(**{**values, **changes})


def script_job(run="r1", leg=Leg.PLAN, **changes):
    """Make a job for the script tool: `plan`, `apply` and `outputs` are its commands."""
    options = {name: changes.pop(name) for name in ("plan", "apply", "outputs") if name in changes}
    values = {
        "run": run,
        "attempt": 1,
        "stack": "root/a",
        "leg": leg,
        "tool": "script",
        "binary": "",
        "path": ".",
        "options": {"plan": "exit 2", "apply": "true", **options},
        "facts": {},
        "env": {},
        "hooks": {},
        "limits": limits(),
        "carry_key": "1b" * 32,
    }
    return Job(**{**values, **changes})


def empty(_directory):
    """Materialise nothing: a script without a source."""


@dataclass
class Driver:
    """Drives one engine as the service does."""

    engine: LocalEngine
    data_dir: Path
    seen: list = field(default_factory=list)

    def report(self, seconds=20):
        """Wait for the next report."""
        end = time.monotonic() + seconds
        while not self.seen:
            assert time.monotonic() < end, f"no report; log: {self.logs()}"
            self.seen += self.engine.reports(1)
        return self.seen.pop(0)

    def plan(self, materialise=empty, **changes):
        self.engine.start(script_job(**changes), materialise)
        return self.report()

    def both(self, materialise=empty, **changes):
        """Plan, then apply in a process of its own."""
        planned = self.plan(materialise, **changes)
        assert planned.reason == "Planned", planned
        return self.apply(planned, **changes)

    def apply(self, planned, **changes):
        self.start_apply(planned, **changes)
        return self.report()

    def start_apply(self, planned, **changes):
        self.engine.start(script_job(leg=Leg.APPLY, plan_digest=planned.plan_digest, **changes), None)

    def log(self, run="r1"):
        return self.engine.log_path(run).read_text(errors="replace")

    def logs(self):
        return {path.parent.name: path.read_text(errors="replace")[-2000:] for path in self.data_dir.glob("runs/*/log")}

    def wait_for_log(self, text, run="r1", seconds=20):
        end = time.monotonic() + seconds
        while not (self.engine.log_path(run).exists() and text in self.log(run)):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.01)

    def runner_pid(self, run="r1"):
        """Find the run's own process."""
        return self.engine._watched[run].pid


@pytest.fixture(params=[pytest.param(True, id="sandbox"), pytest.param(False, id="bare")])
def sandboxed(request):
    """Whether runs are shut in; only without a sandbox where bubblewrap is missing."""
    if request.param:
        need("bwrap")
    return request.param


@pytest.fixture
def driver(tmp_path, sandboxed):
    made = Driver(LocalEngine(tmp_path / "data", sandbox=sandboxed), tmp_path / "data")
    yield made
    engine = made.engine  # a test may have put another one in the place of the first
    for run in engine.active():
        engine.cancel(run)
    end = time.monotonic() + 10
    while engine.active() and time.monotonic() < end:
        engine.reports(0.2)
    engine.close()


def processes_with(text):
    """Find the processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line:
                found.append(int(entry.name))
    return found


def wait_until_gone(text, seconds=10):
    end = time.monotonic() + seconds
    while found := processes_with(text):
        assert time.monotonic() < end, found
        time.sleep(0.02)


@pytest.fixture(name="a_job")
def _a_job():
    return script_job


@pytest.fixture(name="make_limits")
def _make_limits():
    return limits


@pytest.fixture(name="gone")
def _gone():
    return wait_until_gone
