"""Tools that misbehave, through the whole service: each ends within its limits, and the other stacks never notice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine

LIMIT = 64 * 1024
FAST = {"run_timeout": 60.0, "silence_timeout": 60.0, "grace_period": 0.5, "log_limit": LIMIT}


@pytest.mark.parametrize(
    ("apply", "settings", "status", "reason"),
    [
        pytest.param("sleep 601", {"run_timeout": 1.5}, "failed", "PhaseTimeout", id="hangs"),
        pytest.param("echo on; sleep 602", {"silence_timeout": 1.0}, "failed", "SilenceTimeout", id="silent"),
        pytest.param(
            "trap '' INT TERM HUP; for i in $(seq 60); do sleep 1; done",
            {"run_timeout": 1.5},
            "interrupted",
            "Interrupted",
            id="ignores SIGINT",
        ),
        pytest.param("setsid sleep 603 & echo gone", {}, "finished", "Applied", id="leaves a background child"),
        pytest.param(
            "head -c 300000000 /dev/zero | tr '\\0' 'x'; echo",
            {},
            "finished",
            "Applied",
            id="one line of 300 MB",
        ),
        pytest.param("yes 'a line of the log' | head -c 1000000000", {}, "finished", "Applied", id="1 GB of log"),
        pytest.param("printf '\\377\\000\\033[2J'; exit 0", {}, "finished", "Applied", id="bytes that are no text"),
        pytest.param("exec 1>&- 2>&-; sleep 0.2", {}, "finished", "Applied", id="closes its output"),
        pytest.param(
            "ulimit -f 1; head -c 1000000 /dev/zero > big",
            {},
            "interrupted",
            "Interrupted",
            id="killed by a file limit",
        ),
    ],
)
def test_a_tool_ends_within_its_limits(
    *, repo: Repo, new_machine: Callable[..., Machine], apply: str, settings: dict[str, float], status: str, reason: str
) -> None:
    machine = new_machine(repo.url, **(FAST | settings))
    repo.commit({"rough.yaml": a_script("rough", apply), "fine.yaml": a_script("fine", "echo fine")})
    began = time.monotonic()
    look = machine.reconcile()
    took = time.monotonic() - began
    rough = next(run for run in look.runs if run.stack.name == "rough")
    assert (rough.status, rough.reason) == (status, reason)
    assert look.sync["root/fine"] == "Synced"
    assert took < 30
    log = machine.log(rough)
    assert len(log) < 2 * LIMIT
    if "00000000" in apply:
        assert "bytes omitted here" in log
    if "trap" in apply:
        assert "took too long" in rough.message
    # Each case sleeps for a time of its own: others may run beside it.
    for seconds in re.findall(r"sleep (6\d\d)", apply):
        words = f"sleep\0{seconds}".encode()
        assert [p for p in Path("/proc").glob("[0-9]*/cmdline") if words in _read(p)] == []
    assert not (machine.settings.data_dir / "runs" / rough.id / "work").exists()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
