"""A worker that is killed between two steps of a leg: the next one on its data directory says what became of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from reconciler.core.phases import Leg
from reconciler.core.runs import Run, RunStatus
from reconciler.engine.base import Ending, LegReport
from reconciler.engine.ends import LegId
from reconciler.engine.local import LocalEngine
from reconciler.engine.placing import Machine
from reconciler.engine.pull import PullEngine
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.records import order_from_data
from reconciler.store.sql import SqlStore
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from reconciler.worker.kept import KeptLeg, KeptLegs
from reconciler.worker.once import OneLeg
from reconciler.worker.service import Away, Lost, Offered, ServiceClient
from reconciler.worker.worker import Worker
from tests.e2e.station import eventually, lines
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.test_runner import at_work, fill, order

POOL = "production/far"


@pytest.fixture
def ports(with_pools: Ports) -> Ports:
    return with_pools


@pytest.fixture
def service(ports: Ports) -> Iterator[ServiceClient]:
    with HttpServer(create_app(ports, pages=False)) as server:
        service = ServiceClient(server.url, OPERATOR_TOKEN, trust_env=False)
        yield service
        service.close()
        assert ports.runner is not None
        ports.runner.engine.close()


@pytest.fixture
def worker(service: ServiceClient, tmp_path: Path) -> Iterator[Worker]:
    engine = LocalEngine(tmp_path / "worker", sandbox=False)
    yield Worker(POOL, "w1", 1, service, engine, Machine(tmp_path / "worker", "/usr/bin:/bin"))
    engine.close()


def offered(engine: PullEngine, service: ServiceClient, run: Run, leg: Leg, command: str) -> Offered:
    """Offer a leg, as the service does, and be told of it, as a worker is."""
    wanted = replace(order(run, leg), fills_cache=True, options={"apply": command, "plan": f"{command}; exit 2"})
    engine.offer(POOL, wanted, None, fill if leg is Leg.PLAN else None)
    found, _ = service.claim(POOL, "w1", [])
    assert found is not None
    return found


def next_worker(worker: Worker, engine: PullEngine) -> LegReport:
    """Let the next worker run until the service has heard how the leg ended, and the worker knows that it has."""
    legs = worker.machine.data_dir / "legs"
    thread = Thread(target=worker.run)
    thread.start()
    try:
        found: LegReport = eventually(engine.reports)[0]
        eventually(lambda: not list(legs.iterdir()))
        return found
    finally:
        worker.stop()
        thread.join(30)


@pytest.mark.parametrize("leg", Leg)
@pytest.mark.fault("worker killed", engine="pull")
def test_killed_after_it_took_the_leg_up_and_before_it_began(
    store: SqlStore, engine: PullEngine, service: ServiceClient, worker: Worker, tmp_path: Path, *, leg: Leg
) -> None:
    seen = tmp_path / "seen"
    run = at_work(store, RunStatus.PLANNING if leg is Leg.PLAN else RunStatus.APPLYING)
    found = offered(engine, service, run, leg, f"echo done >> {seen}")
    RunDirectory.of(tmp_path / "worker", run.id).make()
    KeptLegs(tmp_path / "worker" / "legs").put(KeptLeg(LegId(run.id, run.attempt, leg), found.token))
    service.take(found.token, "w1")
    told = next_worker(worker, engine)
    assert (told.run, told.reason, told.leg) == (run.id, "NeverStarted", leg)
    assert lines(seen) == []


def test_the_answer_that_says_what_to_do_is_lost(
    store: SqlStore, engine: PullEngine, service: ServiceClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, take = at_work(store), ServiceClient.take
    engine.offer(POOL, order(run), None, fill)

    def lose(self: ServiceClient, token: str, name: str) -> None:
        take(self, token, name)
        raise Away("ReadError")

    monkeypatch.setattr(ServiceClient, "take", lose)
    assert next_worker(worker, engine).reason == "NeverStarted"


@pytest.mark.parametrize("leg", Leg)
def test_the_disk_has_no_room_to_remember_a_leg_that_was_taken_up(
    store: SqlStore, engine: PullEngine, worker: Worker, monkeypatch: pytest.MonkeyPatch, *, leg: Leg
) -> None:
    run = at_work(store, RunStatus.PLANNING if leg is Leg.PLAN else RunStatus.APPLYING)
    engine.offer(POOL, order(run, leg), None, fill if leg is Leg.PLAN else None)
    put, room = KeptLegs.put, [True, False]

    def full(self: KeptLegs, kept: KeptLeg) -> None:
        if not room.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, kept)

    monkeypatch.setattr(KeptLegs, "put", full)
    told = next_worker(worker, engine)
    assert (told.reason, told.ending, room) == ("DiskFull", Ending.FAILED, [])


@pytest.mark.fault("worker killed", engine="pull")
def test_killed_when_the_leg_had_ended_and_nobody_was_told(
    store: SqlStore, engine: PullEngine, service: ServiceClient, worker: Worker, tmp_path: Path
) -> None:
    run, seen = at_work(store), tmp_path / "seen"
    found = offered(engine, service, run, Leg.PLAN, f"echo done >> {seen}")
    sent = service.take(found.token, "w1")
    directory = RunDirectory.of(tmp_path / "worker", run.id)
    directory.make()
    KeptLegs(tmp_path / "worker" / "legs").put(KeptLeg(LegId(run.id, run.attempt, Leg.PLAN), found.token))
    directory.renew_lease()
    worker.engine.start(worker.machine.place(order_from_data(sent.order), None), fill)
    eventually(lambda: directory.read_report(Leg.PLAN, run.attempt))
    told = next_worker(worker, engine)
    assert (told.run, told.ending, told.planned is not None) == (run.id, Ending.SUCCEEDED, True)
    assert lines(seen) == ["done"], "it is not done again"
    assert "succeeded" in RunDirectory.of(tmp_path / "data", run.id).log.read_text()
    assert directory.work.exists(), "its plan is still to be applied"


def test_one_leg_by_its_token_and_a_second_start_does_nothing(
    store: SqlStore, engine: PullEngine, service: ServiceClient, tmp_path: Path
) -> None:
    seen, run = tmp_path / "seen", at_work(store)
    found = offered(engine, service, run, Leg.PLAN, f"echo done >> {seen}")
    for name in ("first", "second"):
        here = LocalEngine(tmp_path / name, sandbox=False)
        OneLeg(found.token, name, service, here, Machine(tmp_path / name, "/usr/bin:/bin")).run()
        here.close()
        assert not list(tmp_path.glob(f"{name}/legs/*"))
    (told,) = engine.reports()
    assert (told.run, told.ending, lines(seen)) == (run.id, Ending.SUCCEEDED, ["done"])
    assert RunDirectory.of(tmp_path / "data", run.id).saved.exists(), "its machine may be gone"


@pytest.mark.fault("worker stopped", engine="kubernetes")
@pytest.mark.parametrize("canceled", [True, False])
def test_a_machine_that_has_to_end_stops_its_leg(
    store: SqlStore, engine: PullEngine, service: ServiceClient, tmp_path: Path, *, canceled: bool
) -> None:
    seen, run = tmp_path / "seen", at_work(store)
    found = offered(engine, service, run, Leg.PLAN, f"echo began >> {seen}; sleep 60")
    here = LocalEngine(tmp_path / "here", sandbox=False)
    leg = OneLeg(found.token, "here", service, here, Machine(tmp_path / "here", "/usr/bin:/bin"))
    thread = Thread(target=leg.run)
    thread.start()
    eventually(lambda: lines(seen) == ["began"])
    if canceled:
        engine.cancel(run.id)
    leg.stop()
    thread.join(30)
    here.close()
    (told,) = engine.reports()
    assert (told.ending, told.reason) == ((Ending.CANCELED, "Canceled") if canceled else (Ending.LOST, "RunnerDied"))


@pytest.mark.fault("double delivery", engine="pull")
def test_a_token_that_was_replaced_opens_nothing(store: SqlStore, engine: PullEngine, service: ServiceClient) -> None:
    run = at_work(store)
    first = offered(engine, service, run, Leg.PLAN, "true")
    engine._legs[run.id].reserved_until = 0.0
    second, _ = service.claim(POOL, "w2", [])
    assert second is not None
    with pytest.raises(Lost):
        service.take(first.token, "w1")
    assert service.take(second.token, "w2").lease == 5
    with pytest.raises(Lost), service.tree(first.token):
        pass
