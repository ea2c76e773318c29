"""Workers that Celery brings messages: what is done once, whatever is sent twice, late, or lost with its broker."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.station import Repo, Server, Station, a_script, document, eventually, lines
from tests.e2e.test_workers import WorkerProcess, run_of, slow, working
from tests.tools.brokers import PASSWORD, Broker, RabbitMq, Redis, running

POOL = document("WorkerPool", "far", {"engine": "celery"})
QUEUE = "station.root.far"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with running(Redis, tmp_path / "redis") as broker:
        yield broker


@pytest.fixture
def with_broker(repo: Repo, new_station: Callable[..., Station]) -> Callable[[Broker], Station]:
    def make(broker: Broker) -> Station:
        return new_station(repo.url, worker_lease=20, grace_period=3, parallelism=1, celery_broker_file=broker.file)

    return make


@pytest.fixture
def far(with_broker: Callable[[Broker], Station], redis: Redis) -> Station:
    return with_broker(redis)


def logs(server: Server, *workers: WorkerProcess) -> str:
    return "\n".join(path.read_text() for path in (server.log, *(worker.log for worker in workers)))


@pytest.mark.fault("double delivery", engine="celery")
def test_a_run_goes_over_redis_with_no_secret_in_it_and_a_message_that_comes_again_does_nothing(
    repo: Repo, far: Station, redis: Redis, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    secret = tmp_path / "secrets" / "root" / "password"
    secret.parent.mkdir(parents=True)
    secret.write_text("hunter2-hunter2\n")
    secret.chmod(0o600)
    far.settings["secrets_dir"] = tmp_path / "secrets"
    spec = {"env": {"PASSWORD": {"file": "password"}}, "workerPool": "far"}
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", f'echo "$PASSWORD" >> {seen}; echo "$PASSWORD"', **spec)})
    with redis.overheard() as heard, far.serving() as server:
        eventually(lambda: [it["status"] for it in server.runs()] == ["queued"])
        waits = server.api("/stacks/root/a")["waits"]
        assert waits == "its worker pool root/far has no worker"
        with working(far, server) as worker:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["hunter2-hunter2"]
            (shown,) = server.api("/pools/root/far")["workers"]
            assert (shown["name"], shown["places"], shown["gone"]) == ("w1", 1, False)
            sent = re.findall(r'"LPUSH" "station\.root\.far" "(.*)"$', heard.read_text(), re.MULTILINE)
            messages = [json.loads(each.replace('\\"', '"').replace("\\\\", "\\")) for each in sent]
            bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
            run = run_of(server)
            said = [{"run": run["id"], "attempt": 1, "leg": leg} for leg in ("plan", "apply")]
            assert [(args, kwargs) for args, kwargs, _ in bodies] == [([], each) for each in said]
            for message in messages * 2:
                redis.ask("LPUSH", QUEUE, json.dumps(message))
            # Nor does a message of another shape end the worker, nor what is none at all.
            for body in (b"[]", b"[[], {}, {}]"):
                redis.ask("LPUSH", QUEUE, json.dumps(messages[0] | {"body": base64.b64encode(body).decode()}))
                redis.ask("LPUSH", QUEUE, "garbage")
            eventually(lambda: redis.ask("LLEN", QUEUE) == "0" and "names no leg" in worker.log.read_text())
            assert worker.stop() == 0
            assert worker.leftovers() == []
        assert [it["status"] for it in server.runs()] == ["finished"]
        assert lines(seen) == ["hunter2-hunter2"]
        told = heard.read_text() + logs(server, worker)
        assert "hunter2" not in told
        assert PASSWORD not in logs(server, worker)
        token = (far.data_dir / "token").read_text().strip()
        assert token not in told


@pytest.mark.slow
def test_a_run_goes_over_rabbitmq(repo: Repo, with_broker: Callable[[Broker], Station], tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", f"echo done >> {seen}", workerPool="far")})
    with running(RabbitMq, tmp_path / "rabbitmq") as broker:
        far = with_broker(broker)
        with far.serving() as server, working(far, server) as worker:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["done"]
            assert worker.stop() == 0


@pytest.mark.fault("worker killed", engine="celery")
@pytest.mark.fault("broker killed", engine="celery")
def test_a_message_that_is_lost_with_its_broker_is_sent_again(
    repo: Repo, far: Station, redis: Redis, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOL, "b.yaml": a_script("b", "true")})
    with far.serving() as server:
        with working(far, server):
            eventually(lambda: server.api("/pools/root/far")["workers"])
        # The service still counts on the worker, and sends it a message that nobody reads.
        repo.commit({"a.yaml": a_script("a", f"echo done >> {seen}", workerPool="far")})
        eventually(lambda: redis.ask("LLEN", QUEUE) == "1")
        redis.kill()
        eventually(lambda: "no message can be sent" in server.log.read_text())
        repo.commit({"c.yaml": a_script("c", f"echo later >> {seen}", workerPool="far")})
        eventually(lambda: any("gets no messages" in (it["waits"] or "") for it in server.api("/queue")["items"]))
        redis.start()
        assert redis.ask("LLEN", QUEUE) == "0"
        with working(far, server):
            eventually(lambda: server.all_synced(3))
        assert sorted(lines(seen)) == ["done", "later"]
        assert PASSWORD not in server.log.read_text()


@pytest.mark.fault("worker killed", engine="celery")
@pytest.mark.fault("broker killed", engine="celery")
def test_an_apply_survives_kills_of_its_worker_and_of_the_broker(
    repo: Repo, far: Station, redis: Redis, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    repo.commit({"p.yaml": POOL, "a.yaml": a_script("a", slow(tmp_path), workerPool="far")})
    with far.serving() as server, working(far, server) as worker:
        eventually(lambda: lines(seen) == ["began"])
        redis.kill()
        worker.kill()
        with working(far, server) as again:
            eventually(lambda: server.all_synced(1))
            assert lines(seen) == ["began", "ended"], again.log.read_text()
            assert again.stop() == 0
        assert [it["status"] for it in server.runs()] == ["finished"]


@pytest.mark.fault("worker stopped", engine="celery")
def test_a_worker_takes_up_no_more_than_it_has_places_for_and_another_one_does_the_rest(
    repo: Repo, far: Station, tmp_path: Path
) -> None:
    hold, seen = tmp_path / "hold", tmp_path / "seen"
    waits = f"echo $STATION_RUN_ID >> {seen}; while ! test -e {hold}; do sleep 0.1; done"
    repo.commit({"p.yaml": POOL, **{f"{name}.yaml": a_script(name, waits, workerPool="far") for name in "abc"}})
    with far.serving() as server, working(far, server) as first:
        eventually(lambda: len(lines(seen)) == 1)
        with working(far, server, "w2") as second:
            eventually(lambda: len(lines(seen)) == 2)
            shown = {it["name"]: (it["active"], it["places"]) for it in server.api("/pools/root/far")["workers"]}
            assert shown == {"w1": (1, 1), "w2": (1, 1)}
            second.process.terminate()
            hold.touch()
            assert second.process.wait(20) == 0, "it ends with the run that it has"
            eventually(lambda: server.all_synced(3))
        assert first.stop() == 0
        assert len(lines(seen)) == 3


def test_a_worker_without_the_broker_says_what_is_missing(repo: Repo, far: Station) -> None:
    repo.commit({"p.yaml": POOL})
    with far.serving() as server:
        del far.settings["celery_broker_file"]
        worker = WorkerProcess(far, server)
        assert worker.process.wait(20) == 1
        assert "set celery_broker_file here, as for the service" in worker.log.read_text()
    wrong = far.folder / "wrong"
    wrong.write_text("http://user:hunter2@broker\n")
    wrong.chmod(0o600)
    far.settings["celery_broker_file"] = wrong
    told = far("serve")
    assert told.code == 1
    assert "needs one URL: redis, rediss, sentinel, amqp, amqps://" in told.err
    assert "hunter2" not in told.err
