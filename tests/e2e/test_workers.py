"""Workers on other machines: what they apply, and what becomes of it when they or the service are killed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.station import Repo, Server, Station, a_free_port, a_script, a_terraform, document, eventually, lines
from tests.tools.brokers import Redis, running

POOL = document("WorkerPool", "far", {"engine": "pull"})
POOLS = {"pull": POOL, "celery": document("WorkerPool", "far", {"engine": "celery"})}


class WorkerProcess:
    """A `station worker` with a data directory of its own."""

    def __init__(self, station: Station, server: Server, name: str = "w1") -> None:
        self.station = station
        self.data_dir = station.folder / name
        self.log = station.folder / f"{name}-{time.monotonic_ns()}.log"
        token = (station.data_dir / "token").read_text().strip()
        with self.log.open("wb") as out, Path(os.devnull).open("rb") as nothing:
            self.process = station.start(
                *("worker", "--pool", "root/far", "--name", name, "--url", server.url),
                *("--data-dir", str(self.data_dir)),
                stdin=nothing,
                out=out,
                err=out,
                STATION_TOKEN=token,
            )

    def kill(self) -> None:
        """kill -9, and nothing else of it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)

    def leftovers(self) -> list[str]:
        """The files of runs and legs that are still on its disk."""
        found = [*(self.data_dir / "runs").rglob("*"), *(self.data_dir / "legs").iterdir()]
        return [str(path.relative_to(self.data_dir)) for path in found]


@pytest.fixture
def engine() -> str:
    return "pull"


@pytest.fixture
def far(repo: Repo, new_station: Callable[..., Station], tmp_path: Path, engine: str) -> Iterator[Station]:
    settings: dict[str, object] = {"worker_lease": 4, "grace_period": 3, "parallelism": 1}
    with ExitStack() as stack:
        if engine == "celery":
            settings["celery_broker_file"] = stack.enter_context(running(Redis, tmp_path / "redis")).file
        yield new_station(repo.url, **settings)


def on(engine: str, *values: str, faults: tuple[str, ...]) -> object:
    """A case of a test on an engine, with the faults that it goes through."""
    marks = [pytest.mark.fault(fault, engine=engine) for fault in faults]
    return pytest.param(engine, *values, marks=marks, id="-".join([engine, *values]))


@contextmanager
def working(station: Station, server: Server, name: str = "w1") -> Iterator[WorkerProcess]:
    worker = WorkerProcess(station, server, name)
    try:
        yield worker
    finally:
        worker.kill()


def run_of(server: Server) -> dict[str, object]:
    (run,) = server.runs()
    return run


def statuses(server: Server) -> list[object]:
    """Return the statuses of all runs; while the service has not looked yet, there is none."""
    return [run["status"] for run in server.runs()]


def slow(tmp_path: Path, seconds: float = 3) -> str:
    """An apply that says when it begins, how it was stopped, and when it has ended."""
    seen = tmp_path / "seen"
    return (
        f"trap 'echo stopped >> {seen}; exit 1' INT; echo began >> {seen}; "
        f"for i in $(seq {int(seconds * 10)}); do sleep 0.1; done; echo ended >> {seen}"
    )


def test_a_worker_does_what_the_service_cannot_and_keeps_nothing(repo: Repo, far: Station, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    secret = tmp_path / "secrets" / "root" / "password"
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2-hunter2\n")
    secret.chmod(0o600)
    far.settings["secrets_dir"] = tmp_path / "secrets"
    spec = {"env": {"PASSWORD": {"file": "password"}}, "source": {"path": "code"}, "workerPool": "far"}
    apply = f'cat message >> {seen}; echo "$PASSWORD" >> {seen}; echo "log: $PASSWORD"'
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", apply, **spec), "code/message": "from Git\n"})
    with far.serving() as server:
        eventually(lambda: statuses(server) == ["queued"])
        with working(far, server) as worker:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["from Git", "hunter2-hunter2"]
            run = run_of(server)
            log = server.api(f"/runs/{run['id']}/log")["text"]
            assert "log: ***" in log
            assert "station[apply]" in log
            eventually(lambda: worker.leftovers() == [])
            assert worker.stop() == 0
        assert "hunter2" not in worker.log.read_text()


@pytest.mark.parametrize(
    ("engine", "killed"),
    [
        on("pull", "worker", faults=("worker killed",)),
        on("pull", "service", faults=("service killed",)),
        on("celery", "service", faults=("service killed",)),
    ],
)
def test_an_apply_survives_a_kill_of_the_worker_and_of_the_service(
    repo: Repo, far: Station, tmp_path: Path, engine: str, killed: str
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOLS[engine], "a.yaml": a_script("a", slow(tmp_path), workerPool="far")})
    far.settings["listen"] = f"127.0.0.1:{a_free_port()}"
    with far.serving() as server:
        worker = WorkerProcess(far, server)
        eventually(lambda: lines(seen) == ["began"])
        if killed == "worker":
            worker.kill()
            worker = WorkerProcess(far, server)
            eventually(lambda: server.all_synced(1))
        else:
            server.kill()
    if killed == "service":
        with far.serving() as server:
            eventually(lambda: server.all_synced(1))
            assert run_of(server)["status"] == "finished"
    assert lines(seen) == ["began", "ended"], worker.log.read_text()
    assert worker.stop() == 0


@pytest.mark.parametrize("engine", [on(it, faults=("worker killed", "late worker")) for it in POOLS])
def test_a_worker_that_is_gone_for_good_leaves_an_interrupted_apply_and_its_tool_was_stopped(
    repo: Repo, far: Station, tmp_path: Path, engine: str
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOLS[engine], "a.yaml": a_script("a", slow(tmp_path, 60), workerPool="far")})
    with far.serving() as server:
        with working(far, server):
            eventually(lambda: lines(seen) == ["began"])
        eventually(lambda: lines(seen) == ["began", "stopped"])
        eventually(lambda: statuses(server) == ["interrupted"])
        # Back again, it says how the leg ended, and nobody hears it any more.
        with working(far, server) as late:
            eventually(lambda: late.leftovers() == [] and "not this worker's any more" in late.log.read_text())
        assert run_of(server)["status"] == "interrupted"


@pytest.mark.parametrize("engine", [on(it, faults=("cancel", "worker stopped")) for it in POOLS])
def test_a_run_is_canceled_on_its_worker_and_a_worker_ends_with_its_runs(
    repo: Repo, far: Station, tmp_path: Path, engine: str
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOLS[engine], "a.yaml": a_script("a", slow(tmp_path, 60), workerPool="far")})
    with far.serving() as server, working(far, server) as worker:
        eventually(lambda: lines(seen) == ["began"])
        worker.process.terminate()
        server.api(f"/runs/{run_of(server)['id']}/cancel", "POST")
        eventually(lambda: statuses(server) == ["failed"])
        assert lines(seen) == ["began", "stopped"]
        assert worker.process.wait(20) == 0
        assert re.search(r"ending once 1 leg", worker.log.read_text())


def test_what_one_worker_planned_another_one_applies(repo: Repo, far: Station, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    spec = {"autodeploy": False, "workerPool": "far", "source": {"path": "code"}}
    plan = f"echo plan >> {seen}; echo made > made; exit 2"
    repo.commit(
        {
            "p.yaml": POOL,
            "a.yaml": a_script("a", f"cat message made >> {seen}", plan=plan, **spec),
            "code/message": "from Git\n",
        }
    )
    with far.serving() as server:
        with working(far, server, "w1"):
            eventually(lambda: statuses(server) == ["unconfirmed"])
        with working(far, server, "w2") as second:
            run = run_of(server)["id"]
            assert (far.data_dir / "runs" / str(run) / "saved.tar").exists()
            server.api(f"/runs/{run}/confirm", "POST")
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["plan", "from Git", "made"]
            eventually(lambda: second.leftovers() == [])
            eventually(lambda: not list(far.data_dir.rglob("*.tar")))


CODE = """
terraform {}
resource "terraform_data" "first" {
  input = "x"
}
resource "terraform_data" "slow" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command = "echo began >> %s; sleep 3"
  }
}
output "it" {
  value = terraform_data.slow.output
}
"""


def test_a_tfstate_that_was_written_while_the_worker_was_away_reaches_the_service(
    repo: Repo, far: Station, tmp_path: Path, terraform: None
) -> None:
    seen = tmp_path / "seen"
    far.settings["worker_lease"] = 10
    repo.commit({"p.yaml": POOL, "a.yaml": a_terraform("a", "./code", workerPool="far"), "code/main.tf": CODE % seen})
    with far.serving() as server, working(far, server) as worker:
        eventually(lambda: lines(seen) == ["began"], 90)
        worker.kill()
        eventually(lambda: any(worker.data_dir.rglob("tfstate-pending/0*")))
        with working(far, server) as again:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["began"]
            outputs = server.api("/stacks/root/a/outputs")["items"]
            assert [(it["name"], it["value"]) for it in outputs] == [("it", "x")]
            assert server.api("/tfstates/root/a/versions")["items"]
            eventually(lambda: again.leftovers() == [])
