"""The relay between a tool and a service that comes and goes."""

import base64
import http.client
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.engine.base import Ending, Job, Limits, TfstateAccess
from reconciler.engine.local import LocalEngine
from reconciler.runner.tfstate import relay as relays
from reconciler.runner.tfstate.backlog import pending_requests
from reconciler.runner.tfstate.door import listen
from reconciler.runner.tfstate.relay import Relay
from tests.e2e.station import eventually
from tests.needs import needs

TERRAFORM = shutil.which("terraform")


class FakeService:
    """Keeps one stack's tfstate, in a data directory that stays while it goes away and comes back."""

    def __init__(self, directory):
        self.directory = directory
        self.tfstate = None
        self.holder = None
        self.requests = []
        self.refuse = None
        self.fail = None
        self.tells = False
        """Whether it gives the tfstate with a lock to those who prefer that."""
        self.slow = None
        """What unlocks wait for."""
        self._server = None

    def up(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                status, answer = service.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                if service.tells and "Prefer" in self.headers:
                    self.send_header("Preference-Applied", self.headers["Prefer"])
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_LOCK = do_UNLOCK = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listen(self.directory)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def down(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def access(self):
        return TfstateAccess(str(self.directory), "/api/v1/tfstate/root/a", "t0ken")

    def answer(self, method, path, headers, body):  # noqa: PLR0911
        if headers.get("Authorization") != "Bearer t0ken":
            return 401, b""
        self.requests.append((method, path.removeprefix("/api/v1/tfstate/root/a"), body))
        if self.fail:
            return self.fail, b""
        if self.slow is not None and method == "UNLOCK":
            self.slow.wait(10)
        if self.refuse and method == "POST":
            return self.refuse, b"no"
        match method:
            case "GET":
                return (404, b"") if self.tfstate is None else (200, self.tfstate)
            case "POST":
                self.tfstate = body
                return 200, b""
            case "LOCK" if self.holder is not None:
                return 423, self.holder
            case "LOCK":
                self.holder = body
                if self.tells and headers.get("Prefer"):
                    return (204, b"") if self.tfstate is None else (200, self.tfstate)
                return 200, b""
            case _:
                self.holder = None
                return 200, b""

    def posts(self):
        return [body for method, _path, body in self.requests if method == "POST"]


@pytest.fixture
def service(tmp_path):
    made = FakeService(tmp_path).up()
    yield made
    made.down()


@pytest.fixture
def relay(service, tmp_path, monkeypatch):
    monkeypatch.setattr(relays, "PARTING", 0.3)
    made = Relay(service.access, tmp_path / "pending", patience=0.3)
    yield made
    made.close()


def ask(relay, method, body=None, query="", password=None, path="/"):  # noqa: PLR0917
    host, _, port = relay.backend.address.removeprefix("http://").strip("/").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    word = base64.b64encode(f"{relay.backend.username}:{password or relay.backend.password}".encode()).decode()
    try:
        connection.request(method, path + query, body=body, headers={"Authorization": f"Basic {word}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_requests_are_passed_on(relay, service):
    assert ask(relay, "GET") == (404, b"")
    assert ask(relay, "LOCK", b'{"ID":"1"}') == (200, b"")
    assert ask(relay, "LOCK", b'{"ID":"2"}') == (423, b'{"ID":"1"}')
    assert ask(relay, "POST", b"one", "?ID=1") == (200, b"")
    assert ask(relay, "GET") == (200, b"one")
    assert ask(relay, "UNLOCK", b'{"ID":"1"}') == (200, b"")
    assert ("POST", "?ID=1", b"one") in service.requests


def test_what_is_known_of_one_unit_is_not_said_of_another(relay, service):
    service.tells, service.tfstate = True, b"of net"
    assert ask(relay, "LOCK", b'{"ID":"1"}', "?unit=net%2Feu") == (200, b"")
    assert ask(relay, "GET", query="?unit=net%2Feu") == (200, b"of net")
    assert [path for _, path, _ in service.requests] == ["?unit=net%2Feu"], "it came with the lock"
    service.tfstate = b"of app"
    assert ask(relay, "GET", query="?unit=app") == (200, b"of app")
    service.down()
    assert ask(relay, "POST", b"new", "?unit=net%2Feu&ID=1") == (200, b"")
    assert ask(relay, "GET", query="?unit=net%2Feu") == (200, b"new")
    assert ask(relay, "GET", query="?unit=app")[0] == 503


@pytest.mark.parametrize(
    ("changes", "status"), [({"password": "guess"}, 401), ({"path": "/other"}, 404)], ids=["password", "path"]
)
def test_only_the_tool_gets_through(relay, service, changes, status):
    assert ask(relay, "GET", **changes)[0] == status
    assert service.requests == []


@pytest.mark.parametrize("how", ["down", "failing"])
def test_nothing_is_read_while_the_service_is_away(relay, service, how):
    service.tfstate = b"one"
    if how == "down":
        service.down()
    else:
        service.fail = 503
    assert ask(relay, "GET")[0] == 503
    assert ask(relay, "LOCK", b"{}")[0] == 503
    assert ask(relay, "DELETE")[0] == 503


def test_a_read_waits_for_a_service_that_is_being_restarted(service, tmp_path):
    service.tfstate = b"one"
    service.down()
    relay = Relay(service.access, tmp_path / "pending", patience=10)
    threading.Timer(0.5, service.up).start()
    assert ask(relay, "GET") == (200, b"one")
    assert not relay.close()


def test_an_unlock_is_answered_before_the_service_has_it_and_nothing_overtakes_it(relay, service):
    ask(relay, "LOCK", b'{"ID":"1"}')
    service.slow = threading.Event()
    assert ask(relay, "UNLOCK", b'{"ID":"1"}') == (200, b"")
    assert service.holder == b'{"ID":"1"}'
    threading.Timer(0.2, service.slow.set).start()
    assert ask(relay, "LOCK", b'{"ID":"2"}') == (200, b"")
    assert [method for method, _query, _body in service.requests] == ["LOCK", "UNLOCK", "LOCK"]


def test_the_end_of_a_leg_waits_for_its_unlock(relay, service):
    ask(relay, "LOCK", b'{"ID":"1"}')
    service.slow = threading.Event()
    ask(relay, "UNLOCK", b'{"ID":"1"}')
    threading.Timer(0.2, service.slow.set).start()
    assert not relay.close()
    assert service.holder is None


def test_an_unlock_that_does_not_get_through_waits_on_disk(relay, service, tmp_path):
    ask(relay, "LOCK", b'{"ID":"1"}')
    service.fail = 503
    assert ask(relay, "UNLOCK", b'{"ID":"1"}') == (200, b"")
    assert relay.close()
    assert [each.method for each in pending_requests(tmp_path / "pending")] == ["UNLOCK"]


def test_what_is_written_waits_and_is_delivered_in_order(relay, service, tmp_path):
    service.down()
    assert ask(relay, "POST", b"one", "?ID=1") == (200, b"")
    assert ask(relay, "POST", b"two", "?ID=1") == (200, b"")
    assert ask(relay, "GET") == (200, b"two")
    assert ask(relay, "UNLOCK", b'{"ID":"1"}') == (200, b"")
    for path in (tmp_path / "pending").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    service.up()
    eventually(lambda: not list((tmp_path / "pending").iterdir()))
    assert [request[:2] for request in service.requests] == [("POST", "?ID=1"), ("POST", "?ID=1"), ("UNLOCK", "")]
    assert service.posts() == [b"one", b"two"]
    assert ask(relay, "GET") == (200, b"two")


def test_what_could_not_be_delivered_is_left_for_the_service(relay, service, tmp_path):
    service.down()
    ask(relay, "POST", b"one", "?ID=1")
    ask(relay, "UNLOCK", b"lock")
    assert relay.close()
    waiting = list(pending_requests(tmp_path / "pending"))
    assert [(each.method, each.query, each.body) for each in waiting] == [
        ("POST", "ID=1", b"one"),
        ("UNLOCK", "", b"lock"),
    ]


def test_a_refusal_reaches_the_tool(relay, service):
    service.refuse = 409
    assert ask(relay, "POST", b"one", "?ID=1") == (409, b"no")


def test_a_late_refusal_leaves_the_rest_for_the_service(relay, service, tmp_path):
    service.down()
    ask(relay, "POST", b"one", "?ID=1")
    service.refuse = 409
    service.up()
    eventually(lambda: service.requests)
    time.sleep(0.2)
    assert relay.close()
    assert len(list(pending_requests(tmp_path / "pending"))) == 1


def test_a_second_leg_delivers_what_the_first_left(relay, service, tmp_path):
    service.down()
    ask(relay, "POST", b"one", "?ID=1")
    relay.close()
    service.up()
    second = Relay(service.access, tmp_path / "pending", patience=5)
    assert ask(second, "GET") == (200, b"one")
    assert not second.close()
    assert service.tfstate == b"one"


@needs("terraform")
@pytest.mark.parametrize("away", [False, True], ids=["service stays", "service goes away in mid-apply"])
def test_terraform_does_not_notice(service, tmp_path, away):
    source = """
    resource "terraform_data" "first" {
      input = "x"
    }
    resource "terraform_data" "slow" {
      input = terraform_data.first.output
      provisioner "local-exec" {
        command = "sleep 2"
      }
    }
    output "it" {
      value = terraform_data.slow.output
    }
    """
    engine = LocalEngine(tmp_path / "data", tool_path=[Path(TERRAFORM).parent])

    def job(leg, digest=None):
        limits = Limits(dict.fromkeys(Phase, 60.0))
        return Job(
            run="r1", attempt=1, stack="root/a", leg=leg, tool="terraform", binary=TERRAFORM, path=".", options={},
            facts={"backend": "managed"}, env={}, hooks={}, limits=limits, carry_key="1b" * 32, plan_digest=digest,
            tfstate=service.access,
        )  # fmt: skip

    def report():
        [found] = engine.reports(60)
        assert found.ending == Ending.SUCCEEDED, (found, engine.log_path("r1").read_text())
        return found

    try:
        engine.start(job(Leg.PLAN), lambda directory: (directory / "main.tf").write_text(source) and None)
        planned = report()
        assert planned.planned.has_changes
        assert service.holder is None
        engine.start(job(Leg.APPLY, planned.plan_digest), None)
        eventually(
            lambda: "sleep" in engine.log_path("r1").read_text() or "Provisioning" in engine.log_path("r1").read_text(),
            30,
        )
        if away:
            service.down()
            eventually(lambda: "Creation complete" in engine.log_path("r1").read_text().partition("Executing")[2], 30)
            service.up()
        applied = report()
        assert applied.pending_tfstate is None
        assert service.holder is None
        assert len(json.loads(service.tfstate)["resources"]) == 2
        assert [output.value for output in applied.applied.outputs] == ["x"]
        assert "t0ken" not in engine.log_path("r1").read_text()
    finally:
        engine.close()


@pytest.mark.parametrize(("tfstate", "status"), [(None, 204), (b'{"serial": 1}', 200)])
def test_the_tfstate_comes_with_the_lock(service, relay, tfstate, status):
    service.tfstate, service.tells = tfstate, True
    assert ask(relay, "LOCK", b'{"ID": "l"}') == (200, b"")
    service.down()
    assert ask(relay, "GET") == (status, tfstate or b"")


def test_a_second_read_under_the_lock_does_not_need_the_service(service, relay):
    assert ask(relay, "LOCK", b'{"ID": "l"}')[0] == 200
    assert ask(relay, "GET")[0] == 404
    service.down()
    assert ask(relay, "GET")[0] == 404
    assert ask(relay, "POST", b'{"serial": 1}')[0] == 200
    assert ask(relay, "GET")[1] == b'{"serial": 1}'


def test_a_second_read_under_the_lock_does_not_ask_the_service(service, relay):
    ask(relay, "LOCK", b'{"ID": "l"}')
    ask(relay, "GET")
    asked = len(service.requests)
    assert ask(relay, "GET")[0] == 404
    assert len(service.requests) == asked
    ask(relay, "POST", b'{"serial": 1}')
    assert ask(relay, "GET")[:2] == (200, b'{"serial": 1}')
    assert len(service.requests) == asked + 1


def test_what_the_service_refused_is_not_what_a_read_gives(service, relay):
    ask(relay, "LOCK", b'{"ID": "l"}')
    service.refuse = 409
    assert ask(relay, "POST", b'{"serial": 1}')[0] == 409
    service.refuse = None
    assert ask(relay, "GET")[0] == 404


def test_what_was_read_under_a_lock_counts_for_nothing_after_it(service, relay):
    ask(relay, "LOCK", b'{"ID": "l"}')
    assert ask(relay, "GET")[0] == 404
    ask(relay, "UNLOCK", b'{"ID": "l"}')
    service.down()
    assert ask(relay, "GET")[0] == 503


def test_without_a_lock_nothing_is_remembered(service, relay):
    assert ask(relay, "GET")[0] == 404
    service.down()
    assert ask(relay, "GET")[0] == 503


def test_what_was_delivered_can_be_read_when_the_service_is_away_again(service, relay):
    ask(relay, "LOCK", b'{"ID": "l"}')
    ask(relay, "POST", b'{"serial": 1}')
    ask(relay, "UNLOCK", b'{"ID": "l"}')
    service.down()
    assert ask(relay, "GET")[:2] == (200, b'{"serial": 1}')
