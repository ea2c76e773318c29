"""kill -9 at the worst moments: nothing is applied twice, nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.station import Repo, Station, a_free_port, a_script, a_terraform, eventually, lines

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]


def _until(gate: Path) -> str:
    """Wait in a shell until the test opens the gate, and no longer than a minute."""
    return f"for i in $(seq 1200); do test -e {gate} && break; sleep 0.05; done"


def _local_exec(record: Path, gate: Path) -> str:
    command = f"echo start >> {record}; {_until(gate)}; echo end >> {record}"
    return f"""
        resource "terraform_data" "before" {{
          input = "before"
        }}
        resource "terraform_data" "slow" {{
          depends_on = [terraform_data.before]
          provisioner "local-exec" {{
            command = "{command}"
          }}
        }}
        resource "terraform_data" "after" {{
          depends_on = [terraform_data.slow]
          input      = "after"
        }}
        output "done" {{
          value = terraform_data.after.output
        }}
    """


@pytest.mark.usefixtures("terraform")
@pytest.mark.parametrize("back", ["before it ends", "after it ended"])
@pytest.mark.fault("service killed", engine="local")
def test_an_apply_outlives_the_service_and_happens_once(
    repo: Repo, station: Station, tmp_path: Path, back: str
) -> None:
    """Back in time, the relay delivers the tfstate; else it lies in the spool, and the service takes it in from there."""
    record, gate = tmp_path / "applied", tmp_path / "gate"
    port = a_free_port()
    station.settings["listen"] = f"127.0.0.1:{port}"
    repo.commit({"slow.yaml": a_terraform("slow", "./slow"), "slow/main.tf": _local_exec(record, gate)})
    with station.serving() as server:
        eventually(lambda: lines(record) == ["start"])
        run = eventually(lambda: (it := server.runs()[0])["status"] == "applying" and it)
        server.kill()
    if back == "after it ended":
        with socket.create_server(("127.0.0.1", port)) as impostor:
            gate.touch()
            eventually(lambda: not station.mine(), 30)
            impostor.setblocking(False)
            with pytest.raises(BlockingIOError):
                impostor.accept()
        assert lines(record) == ["start", "end"], "the apply did not go on without the service"
    with station.serving() as server:
        if back == "before it ends":
            eventually(lambda: "1 continue" in server.log.read_text())
            assert (lines(record), server.runs()[0]["status"]) == (["start"], "applying")
            gate.touch()
        eventually(lambda: server.all_synced(1), 40)
        runs = server.runs()
    assert [(it["id"], it["status"], it["attempt"]) for it in runs] == [(run["id"], "finished", 1)]
    assert lines(record) == ["start", "end"], "there was not exactly one apply"
    resources = station("stack", "resources", "root/slow", "-o", "json").json
    assert {it["address"] for it in resources} == {f"terraform_data.{name}" for name in ("before", "slow", "after")}
    outputs = station("stack", "outputs", "root/slow", "-o", "json").json
    assert [(it["name"], it["value"]) for it in outputs] == [("done", "after")]
    assert "Apply complete!" in station("run", "logs", run["id"]).out

    asked = station("stack", "run", "root/slow", "-o", "json").json
    again = station.reconcile()
    planned = next(it for it in again.data["runs"] if it["id"] == asked["id"])
    assert (planned["status"], planned["reason"]) == ("finished", "NothingToDo"), "the tfstate is not whole"
    assert lines(record) == ["start", "end"]


@pytest.mark.fault("service killed", engine="local")
def test_a_plan_that_was_at_work_goes_on_or_is_made_again(repo: Repo, station: Station, tmp_path: Path) -> None:
    record, gate = tmp_path / "steps", tmp_path / "gate"
    plan = f"echo plan >> {record}; {_until(gate)}; exit 2"
    repo.commit({"a.yaml": a_script("a", f"echo apply >> {record}", plan=plan)})
    with station.serving() as server:
        eventually(lambda: lines(record) == ["plan"])
        server.kill()
    with station.serving() as server:
        gate.touch()
        eventually(lambda: server.all_synced(1), 30)
        assert [(it["status"], it["attempt"]) for it in server.runs()] == [("finished", 1)]
    assert lines(record) == ["plan", "apply"]


@pytest.mark.parametrize("victim", ["runner", "tool"])
@pytest.mark.fault("worker killed", engine="local")
def test_an_apply_that_is_killed_itself_is_interrupted_and_waits_for_a_person(
    repo: Repo, station: Station, tmp_path: Path, victim: str
) -> None:
    record = tmp_path / "applied"
    repo.commit({"a.yaml": a_script("a", f"echo start >> {record}; sleep 60; echo end >> {record}")})
    # The process of a run is found by its command line, which those that are forked do not have.
    with station.serving(fresh=True) as server:
        eventually(lambda: lines(record) == ["start"])
        _kill(station, victim)
        eventually(lambda: server.runs()[0]["status"] == "interrupted")
        stack = server.stacks()[0]
        assert (stack["sync"], stack["reason"]) == ("OutOfSync", "Interrupted")
        assert stack["conditions"]["Stalled"]["status"] == "True"
        eventually(lambda: not [pid for pid in station.mine() if _is(pid, "sleep 60")], 10)
        time.sleep(1.5)
        assert len(server.runs()) == 1, "it was started again without a word"
        repo.commit({"a.yaml": a_script("a", f"echo second >> {record}")})
        waiting = eventually(lambda: next((it for it in server.runs() if it["status"] == "unconfirmed"), None))
        assert lines(record) == ["start"]
        server.api(f"/runs/{waiting['id']}/confirm", "POST")
        eventually(lambda: server.all_synced(1))
    assert lines(record) == ["start", "second"]


def _is(pid: int, command: str) -> bool:
    try:
        return command in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return False


def _kill(station: Station, victim: str) -> None:
    what = "reconciler.runner" if victim == "runner" else "sleep 60"
    pids = eventually(lambda: [pid for pid in station.mine() if _is(pid, what)])
    # The tool is the shell around the sleep: the innermost process is ended by it, so the whole command line counts.
    for pid in pids if victim == "runner" else [min(pids)]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.fault("service killed", engine="local")
def test_kills_at_random_moments_repeat_no_apply_and_lose_none(
    repo: Repo, new_station: Callable[..., Station], tmp_path: Path
) -> None:
    """A pass over ten stacks is killed again and again while new commits come in."""
    chance = random.Random(7)
    record = tmp_path / "applied"
    record.touch()
    names = [f"s{number}" for number in range(10)]
    # A digest that gets its own word, so that every apply can be told from every other.
    station = new_station(repo.url, parallelism=4)

    def version(number: int) -> dict[str, str | None]:
        return {
            f"{name}.yaml": a_script(
                name, f"echo {name}:{number}:start >> {record}; sleep 0.2; echo {name}:{number}:end >> {record}"
            )
            for name in (names if number == 0 else chance.sample(names, 5))
        }

    repo.commit(version(0))
    for kills in range(1, 13):
        with station.serving() as server:
            time.sleep(chance.uniform(0.0, 1.2))
            server.kill()
        if kills % 3 == 0:
            repo.commit(version(kills))
    with station.serving() as server:
        # Before the last commit is in, all may be in sync with the one before it.
        eventually(
            lambda: server.api("/status")["admittedRevision"] == repo.head() and server.all_synced(len(names)), 30
        )
        runs = server.runs()
    told = Counter(record.read_text().split())
    assert max(told.values()) == 1, [line for line, count in told.items() if count > 1]
    starts = {line.rpartition(":")[0] for line in told if line.endswith(":start")}
    ends = {line.rpartition(":")[0] for line in told if line.endswith(":end")}
    assert starts == ends, "an apply was cut short"
    assert not [it for it in runs if it["status"] == "interrupted"]
    finished = [it for it in runs if it["status"] == "finished"]
    assert len(finished) == len(starts), "an apply is missing from the record, or one was recorded that never was"
    assert not [it for it in runs if it["status"] not in {"finished", "superseded", "failed"}], json.dumps(runs)
    assert not station.mine()
