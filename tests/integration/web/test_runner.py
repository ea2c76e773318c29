"""The runner API: a leg is taken once, its token opens nothing else, and nothing late is heard."""

from __future__ import annotations

import io
import tarfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.runs import Run, RunEvent, RunStatus
from reconciler.engine import pull as pulling
from reconciler.engine.base import Ending, LegOrder, LegReport, Limits, PrepareFailed
from reconciler.engine.ends import LegId
from reconciler.engine.handout import LegRefused
from reconciler.engine.ledger import Ledger, LegOffer
from reconciler.engine.pull import PullEngine
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import WITH_TREE
from reconciler.runner.contract.records import order_from_data, report_to_data, to_line
from reconciler.store.sql import SqlStore
from reconciler.version import __version__
from reconciler.web.api import runner_legs
from reconciler.web.ports import Ports, RunnerDoor
from reconciler.worker.service import ServiceClient
from tests.factories import a_run, advanced
from tests.integration.web.client import Client
from tests.integration.web.test_access import access, as_user, tree  # noqa: F401 - fixtures
from tests.integration.web.warm import WarmApp
from tests.unit.spaces.builders import begin, doc, space

CLAIM, LEG = "/api/runner/v1/pools/production/far/claim", "/api/runner/v1/leg"
ASKING = {"worker": "w1", "version": __version__}


@pytest.fixture
def engine(tmp_path: Path) -> PullEngine:
    return PullEngine(tmp_path / "data", lambda: None, lease=5)


@pytest.fixture
def ports(ports: Ports, engine: PullEngine) -> Ports:
    files = {
        "a.yaml": space("platform"),
        "b.yaml": space("production", "platform"),
        "p.yaml": doc("WorkerPool", "far", {"engine": "pull"}, space="production"),
        "q.yaml": doc("WorkerPool", "near", {"engine": "local"}, space="production"),
        "r.yaml": doc("WorkerPool", "told", {"engine": "celery"}, space="production"),
    }
    documents = begin(files).documents
    return replace(ports, documents=lambda: documents, runner=RunnerDoor(engine, 4096), holder="me")


def at_work(
    store: SqlStore, status: RunStatus = RunStatus.PLANNING, stack: str = "production/a", holder: str = "me"
) -> Run:
    run = a_run(stack, status=status, attempt=2, holder=holder, pool="production/far")
    with store.writing() as transaction:
        transaction.add_runs([run])
    return run


def order(run: Run, leg: Leg = Leg.PLAN) -> LegOrder:
    return LegOrder(
        run=run.id, attempt=run.attempt, stack=str(run.stack), leg=leg, tool="script", path=".", options={}, facts={},
        env={"PASSWORD": "hunter2"}, hooks={}, limits=Limits({Phase.PLAN: 9.0}, grace_seconds=1), carry_key="1b" * 32,
    )  # fmt: skip


def fill(work: Path) -> None:
    (work / "main").write_text("from Git")
    (work / "link").symlink_to("main")
    (work.parent / "home" / ".netrc").write_text("x")


def report(run: Run, leg: Leg = Leg.PLAN, **changes: object) -> bytes:
    told = LegReport(run.id, run.attempt, leg, Ending.SUCCEEDED, "Planned", "m", Phase.PLAN)
    return to_line(report_to_data(told) | changes)


def claimed(client: Client, **more: object) -> str:
    leg = client.post(CLAIM, json=ASKING | more).json()["leg"]
    return str(leg["token"])


def as_leg(app: WarmApp, token: str) -> Client:
    return Client(app, token)


def test_a_leg_goes_from_the_offer_to_its_end(
    app: WarmApp, client: Client, store: SqlStore, engine: PullEngine
) -> None:
    run = at_work(store)
    engine.offer("production/far", order(run), None, fill)
    token = claimed(client)
    with as_leg(app, token) as leg:
        assert leg.post(f"{LEG}/end", content=report(run)).status_code == 410, "it was not taken up"
        taken = leg.post(f"{LEG}/take", params={"worker": "w1"}).json()
        assert (order_from_data(taken["order"]), taken["tfstate"], taken["lease"]) == (order(run), None, 5)
        again = leg.post(f"{LEG}/take", params={"worker": "w1"})
        assert (again.status_code, again.json()["reason"]) == (410, "LegLost"), "secrets are given once"
        with tarfile.open(fileobj=io.BytesIO(leg.get(f"{LEG}/tree").content)) as tar:
            assert set(tar.getnames()) == {"work", "work/main", "work/link", "home", "home/.netrc"}
        assert leg.post(f"{LEG}/beat").json() == {"cancel": False, "tokens": {}}
        for offset, data, size in ((0, b"abc", 3), (0, b"abc", 3), (1, b"bcd", 4)):
            assert leg.post(f"{LEG}/log", params={"offset": offset}, content=data).json() == {"size": size}
        assert leg.post(f"{LEG}/log", params={"offset": 9}, content=b"x").status_code == 410
        assert leg.post(f"{LEG}/log", params={"offset": 4}, content=b"x" * 2_000_000).status_code == 413
        assert engine.reports() == []
        engine.cancel(run.id)
        assert leg.post(f"{LEG}/beat").json()["cancel"] is True
        wrongs = [report(run, message=5), report(run, phase="nowhere"), report(run, message="\ud800")]
        wrongs += [report(run, phase_seconds={"plan": seconds}) for seconds in (float("nan"), float("inf"), -1)]
        for wrong in (b"{}", b"[", b"\xff", *wrongs, report(run, reason="a\nb")):
            assert leg.post(f"{LEG}/end", content=wrong).json()["reason"] == "Invalid"
        assert leg.post(f"{LEG}/end", content=report(run, attempt=1)).status_code == 410
        for wrong in ({"offset": -1, "base64": ""}, {"offset": 4, "base64": "x"}, "x"):
            assert leg.post(f"{LEG}/end", content=report(run, log=wrong)).json()["reason"] == "Invalid"
        assert leg.post(f"{LEG}/end", content=report(run, log={"offset": 9, "base64": "eA=="})).status_code == 410
        rest = {"offset": 2, "base64": b64encode(b"cd and the rest").decode()}
        ended = leg.post(f"{LEG}/end", content=report(run, pending_tfstate="/etc", log=rest))
        assert ended.json() == {"recorded": True}
        assert Path(engine._data_dir, "runs", run.id, "log").read_bytes() == b"abcd and the rest"
        for path in ("end", "beat", "log", "take"):
            assert leg.post(f"{LEG}/{path}", content=report(run)).status_code in {410, 422}
    (told,) = engine.reports()
    assert (told.run, told.ending, told.pending_tfstate) == (run.id, Ending.SUCCEEDED, None)
    assert engine.reports() == []
    assert not list(Path(engine._data_dir, "runs", run.id).glob("*.tar")), "a worker has it"


def test_the_token_of_a_leg_opens_no_other_and_no_api(
    app: WarmApp, client: Client, store: SqlStore, engine: PullEngine
) -> None:
    run, other = at_work(store), a_run("production/b", status=RunStatus.PLANNING, attempt=1, pool="production/far")
    with store.writing() as transaction:
        transaction.add_runs([other])
    engine.offer("production/far", order(run), None, fill)
    engine.offer("production/far", order(other), None, fill)
    tokens = {claimed(client), claimed(client)}
    assert len(tokens) == 2
    token = next(each for each in tokens if each.startswith(run.id))
    with as_leg(app, token) as leg:
        for path in ("/api/v1/stacks", f"/api/v1/runs/{run.id}", "/api/v1/tfstate/production/a", "/metrics"):
            assert leg.get(path).status_code in {200, 401} - ({200} if path.startswith("/api") else set())
        assert leg.post(CLAIM, json=ASKING).status_code == 401
    for wrong in (token + "x", token.replace(run.id, other.id), token.replace(".plan.", ".apply."), "x", f"{run.id}."):
        with as_leg(app, wrong) as leg:
            assert leg.post(f"{LEG}/take", params={"worker": "w1"}).status_code == 410
            for path in ("log?offset=0", "end"):
                large = leg.post(f"{LEG}/{path}", content=b"x" * 2_000_000)
                assert large.status_code == 410, "what it sends is not even read"


@pytest.mark.fault("late worker", engine="pull")
@pytest.mark.fault("double delivery", engine="pull")
def test_whoever_is_late_is_not_heard(
    app: WarmApp,
    client: Client,
    store: SqlStore,
    engine: PullEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = at_work(store)
    engine.offer("production/far", order(run), None, fill)
    first = claimed(client)
    monkeypatch.setattr(pulling, "_RESERVED", 0.0)
    engine._legs[run.id].reserved_until = 0.0
    second = claimed(client, worker="w2")
    with as_leg(app, first) as early, as_leg(app, second) as late:
        assert early.post(f"{LEG}/take", params={"worker": "w1"}).status_code == 410, "another one was offered it"
        assert late.post(f"{LEG}/take", params={"worker": "w2"}).status_code == 200
        engine._legs[run.id].beat -= 6
        (told,) = engine.reports()
        assert (told.ending, told.message) == (Ending.LOST, "worker w2 has not been heard of for 5 s")
        assert late.post(f"{LEG}/beat").status_code == 410
        assert late.post(f"{LEG}/end", content=report(run)).status_code == 410
    applying = at_work(store, RunStatus.APPLYING, "production/b")
    engine.offer("production/far", order(applying, Leg.APPLY), None, None)
    token = claimed(client)
    with as_leg(app, token) as leg:
        assert leg.post(f"{LEG}/take", params={"worker": "w1"}).status_code == 200
        assert leg.get(f"{LEG}/tree").status_code == 204
        engine._legs[applying.id].beat -= 6
        assert engine.reports() == [], "its tool may still be stopping"
        with store.writing() as transaction:
            transaction.put_run(advanced(applying, RunEvent.FAIL))
        refused = leg.post(f"{LEG}/end", content=report(applying, Leg.APPLY))
        assert (refused.status_code, "has ended" in refused.json()["detail"]) == (410, True)


def test_a_leg_is_offered_to_nobody_while_it_is_being_taken(
    client: Client, store: SqlStore, engine: PullEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "_RESERVED", 0.0)
    run = at_work(store)
    engine.offer("production/far", order(run), None, fill)
    token, take, others = claimed(client), Ledger.take, []

    def taken_slowly(ledger: Ledger, worker: str | None, offer: LegOffer | None = None) -> bool:
        others.extend([engine.answer("production/far", "w2"), engine.hand_over(ledger.which)])
        if len(others) == 2:
            raise OSError(28, "No space left on device")
        return take(ledger, worker, offer)

    monkeypatch.setattr(Ledger, "take", taken_slowly)
    with pytest.raises(OSError, match="No space"):
        engine.take(engine.authorise(token), "w1", fresh=True)
    engine.take(engine.authorise(token), "w1")
    assert others == [None] * 4
    assert engine.authorise(token).worker == "w1"


def test_an_apply_is_for_the_worker_that_planned(client: Client, store: SqlStore, engine: PullEngine) -> None:
    run = at_work(store)
    engine.offer("production/far", order(run), None, fill)
    leg = engine.authorise(claimed(client, worker="w2"))
    engine.take(leg, "w2")
    engine.end(leg, LegReport(run.id, 2, Leg.PLAN, Ending.SUCCEEDED, "Planned", "m", Phase.PLAN))
    with pytest.raises(LegRefused, match="has ended"):
        engine.log(leg, 0, b"late", 9)
    assert not RunDirectory.of(engine._data_dir, run.id).log.exists()
    engine.offer("production/far", order(run, Leg.APPLY), None, None)
    assert engine.answer("production/far", "w1") is None
    assert engine.answer("production/near", "w2") is None
    assert engine.answer("production/far", "w2") is not None


def test_what_a_plan_left_goes_to_whoever_applies_it(
    app: WarmApp, client: Client, store: SqlStore, engine: PullEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = at_work(store)
    engine.offer("production/far", order(run), None, fill)
    with as_leg(app, claimed(client)) as leg:
        assert leg.request("PUT", f"{LEG}/saved", content=b"x").status_code == 410, "it was not taken up"
        taken = leg.post(f"{LEG}/take", params={"worker": "w1"}, headers={"Prefer": WITH_TREE}).json()
        assert (taken["saved"], b64decode(taken["tree"])) == (None, leg.get(f"{LEG}/tree").content)
        monkeypatch.setattr(runner_legs, "LARGEST_SAVED", 3)
        assert leg.request("PUT", f"{LEG}/saved", content=b"four").status_code == 413
        for data in (b"one", b"two"):
            assert leg.request("PUT", f"{LEG}/saved", content=data).json() == {"size": 3}
        leg.post(f"{LEG}/end", content=report(run))
        assert leg.request("PUT", f"{LEG}/saved", content=b"x").status_code == 410
    directory = RunDirectory.of(engine._data_dir, run.id)
    assert (directory.saved.stat().st_mode & 0o777, list(directory.root.glob("*.draft"))) == (0o600, [])
    with store.writing() as transaction:
        transaction.put_run(replace(run, status=RunStatus.APPLYING))
    engine.offer("production/far", order(run, Leg.APPLY), None, None)
    number = engine.ask("production/far", "w1")
    assert engine.answer("production/far", "w2") is None, "w1 has it already, and asks"
    engine.hang_up("production/far", number)
    with as_leg(app, claimed(client, worker="w2")) as leg:
        taken = leg.post(f"{LEG}/take", params={"worker": "w2", "fresh": True})
        assert taken.json()["saved"] == sha256(b"two").hexdigest()
        assert leg.get(f"{LEG}/tree").status_code == 410, "its token was replaced"
    with as_leg(app, taken.headers["Station-Token"]) as leg:
        assert leg.get(f"{LEG}/tree").content == b"two"
        assert leg.request("PUT", f"{LEG}/saved", content=b"x").status_code == 410
    directory.free()
    assert not directory.saved.exists()


def test_after_a_restart_what_was_taken_goes_on_and_what_was_offered_never_begins(
    engine: PullEngine, tmp_path: Path
) -> None:
    taken, ended, offered = (a_run(f"production/{name}", attempt=2) for name in "abc")
    for run in (taken, ended, offered):
        engine.offer("production/far", order(run), None, fill)
    tokens = {}
    for _ in (taken, ended):
        found = engine.answer("production/far", "w1")
        assert found is not None
        tokens[found[1].run] = found[0]
        engine.take(engine.authorise(found[0]), "w1")
    engine.end(
        engine.authorise(tokens[ended.id]),
        LegReport(ended.id, 2, Leg.PLAN, Ending.FAILED, "ToolFailed", "m", Phase.PLAN),
    )
    later = PullEngine(tmp_path / "data", lambda: None, lease=5)
    legs = {run.id: LegId(run.id, 2, Leg.PLAN) for run in (taken, offered, ended)}
    assert later.adopt(legs) == [taken.id]
    assert {told.run: told.reason for told in later.reports()} == {offered.id: "NeverStarted", ended.id: "ToolFailed"}
    assert later.beat(later.authorise(tokens[taken.id])) == {"cancel": False, "tokens": {}}
    assert not later.offered(LegId("other", 1, Leg.PLAN))


def test_who_may_work_and_for_what(
    as_user: Callable[..., Client],  # noqa: F811
    engine: PullEngine,
    store: SqlStore,
) -> None:
    wanda, adele = as_user("wanda"), as_user("adele")
    run = at_work(store)

    def broken(_work: Path) -> None:
        raise PrepareFailed("no", "SourceMissing")

    engine.offer("production/far", order(run), None, broken)
    assert [(told.ending, told.reason) for told in engine.reports()] == [(Ending.FAILED, "SourceMissing")]
    asking = ASKING | {"kept": [run.id, "0" * 26]}
    assert wanda.post(CLAIM, json=asking).status_code == 404, "a writer gets no secrets by it"
    assert adele.post(CLAIM, json=asking).json()["over"] == ["0" * 26]
    for pool in ("near", "nowhere"):
        assert adele.post(CLAIM.replace("far", pool), json=asking).status_code == 404
    assert adele.post(CLAIM, json=asking | {"version": "0"}).json()["reason"] == "OtherVersion"
    for wrong in ({"worker": "a b"}, {"kept": ["../x"]}, {"worker": ""}):
        assert adele.post(CLAIM, json=asking | wrong).status_code == 422


class RoundRobin(BaseHTTPRequestHandler):
    """A proxy that passes each request to the next of two services: one has the leg, and the other does not."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = len(self.asked) % 2 == 0
        body = b'{"cancel": false, "tokens": {}}' if found else b"{}"
        self.send_response(200 if found else 421)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        pass


def test_a_leg_of_another_service_is_said_to_be_elsewhere_and_asked_for_again(app: WarmApp, store: SqlStore) -> None:
    run = at_work(store, holder="other")
    for attempt, status in ((2, 421), (3, 410)):
        with as_leg(app, f"{run.id}.{attempt}.plan.secret") as leg:
            assert leg.post(f"{LEG}/beat").status_code == status, "another service has attempt 2"
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), RoundRobin)
    Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
    worker = ServiceClient(f"http://127.0.0.1:{proxy.server_port}", "token", trust_env=False)
    assert worker.beat("token") == (False, {})
    assert len(RoundRobin.asked) == 2
    worker.close()
    proxy.shutdown()
    proxy.server_close()


@pytest.mark.fault("double delivery", engine="celery")
def test_a_message_is_good_for_the_leg_that_it_names_and_once(
    client: Client, store: SqlStore, engine: PullEngine
) -> None:
    told, pool = CLAIM.replace("far", "told"), "production/told"
    greeting = client.post(told.replace("claim", "hello"), json=ASKING | {"places": 2, "tools": {"script": []}})
    assert (greeting.json()["engine"], greeting.json()["over"], engine.places(pool)) == ("celery", [], 2)
    run, other = at_work(store), at_work(store, stack="production/b", holder="other")
    engine.offer(pool, order(run), None, fill)
    assert engine.places(pool) == 1

    def claim(**changes: object) -> tuple[bool, bool]:
        wanted = {"run": run.id, "attempt": 2, "leg": "plan"} | changes
        said = client.post(told, json=ASKING | {"wanted": wanted}).json()
        return said["leg"] is not None, said["elsewhere"]

    for wrong in ({"leg": "apply"}, {"attempt": 1}, {"run": "0" * 26}):
        assert claim(**wrong) == (False, False)
    assert claim(run=other.id) == (False, True), "another service has it, and a worker of that one is to claim it"
    assert [claim(), claim()] == [(True, False), (False, False)]
    for url, more in ((told, {}), (CLAIM, {"wanted": {"run": run.id, "attempt": 2, "leg": "plan"}})):
        assert client.post(url, json=ASKING | more).json()["reason"] == "OtherEngine"
