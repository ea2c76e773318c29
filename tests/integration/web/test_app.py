from __future__ import annotations

import logging
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from reconciler.core.conditions import assess
from reconciler.core.runs import RunKind, RunStatus
from reconciler.core.state import Condition, ConditionStatus, ConditionType, Sync
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.store.stored import LEADER, ConfigurationState, Halt, KeptDocument, StoreError
from reconciler.web import gauges
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.tokens import operator_token
from tests.factories import NOW, OTHER_REVISION, REVISION, a_desired, a_run, a_stack, an_applied
from tests.integration.web.client import OPERATOR_TOKEN, Client
from tests.integration.web.warm import WarmApp

PUBLIC = ("/healthz", "/readyz", "/metrics", "/.well-known/openid-configuration", "/.well-known/jwks")
ROUTES = [
    ("GET", "/stacks"),
    ("GET", "/stacks/production/network"),
    ("GET", "/stacks/production/network/explain"),
    ("GET", "/stacks/production/network/runs"),
    ("GET", "/stacks/production/network/resources"),
    ("GET", "/stacks/production/network/outputs"),
    ("GET", "/stacks/production/network/effective"),
    ("GET", "/stacks/production/network/adoption"),
    ("POST", "/stacks/production/network/runs"),
    ("POST", "/stacks/production/network/destroy"),
    ("POST", "/stacks/production/network/suspend"),
    ("POST", "/stacks/production/network/resume"),
    ("POST", "/stacks/production/network/lock"),
    ("POST", "/stacks/production/network/unlock"),
    ("POST", "/stacks/production/network/pin"),
    ("POST", "/stacks/production/network/unpin"),
    ("POST", "/stacks/production/network/drift"),
    ("POST", "/stacks/production/network/refresh"),
    ("POST", "/stacks/production/network/plan"),
    ("POST", "/stacks/production/network/forget"),
    ("POST", "/stacks/production/network/tasks"),
    ("GET", "/tfstates/production/network"),
    ("GET", "/tfstates/production/network/versions"),
    ("GET", "/tfstates/production/network/versions/04"),
    ("POST", "/tfstates/production/network/versions"),
    ("POST", "/tfstates/production/network/versions/04/rollback"),
    ("DELETE", "/tfstates/production/network/lock"),
    ("POST", "/fetch"),
    ("GET", "/drift"),
    ("GET", "/resources"),
    ("GET", "/runs"),
    ("GET", "/runs/01"),
    ("GET", "/runs/01/plan"),
    ("GET", "/runs/01/log"),
    ("GET", "/runs/01/log/events"),
    ("GET", "/events"),
    ("POST", "/runs/01/confirm"),
    ("POST", "/runs/01/discard"),
    ("POST", "/runs/01/cancel"),
    ("POST", "/runs/01/retry"),
    ("POST", "/runs/01/replan"),
    ("POST", "/runs/01/through"),
    ("POST", "/runs/01/prioritize"),
    ("POST", "/runs/01/reviews"),
    ("GET", "/runs/01/policy-input"),
    ("GET", "/revisions"),
    ("GET", "/queue"),
    ("GET", "/workers"),
    ("GET", "/rollouts"),
    ("POST", "/rollouts/production/resume"),
    ("GET", "/pools"),
    ("GET", "/pools/production/big"),
    ("POST", "/pools/production/big/drain"),
    ("POST", "/pools/production/big/resume"),
    ("GET", "/sealing"),
    ("POST", "/issuer/rotate"),
    ("GET", "/blueprints"),
    ("GET", "/blueprints/production/network"),
    ("POST", "/blueprints/production/network/render"),
    ("POST", "/blueprints/production/network/order"),
    ("GET", "/blueprint-orders"),
    ("GET", "/blueprint-orders/05"),
    ("GET", "/blueprint-instances"),
    ("GET", "/blueprint-instances/production/network"),
    ("GET", "/blueprint-instances/production/network/render"),
    ("GET", "/status"),
    ("GET", "/settings"),
    ("POST", "/doctor"),
    ("GET", "/spaces"),
    ("GET", "/me"),
    ("GET", "/documents"),
    ("GET", "/runs/01/log.txt"),
    ("GET", "/access/can"),
    ("GET", "/access/settings"),
    ("GET", "/access/who"),
    ("GET", "/access/of"),
    ("GET", "/access/changes"),
    ("GET", "/resources/groups"),
    ("GET", "/notifications"),
    ("GET", "/notifications/waiting"),
    ("POST", "/notifications/06/resend"),
    ("GET", "/held"),
    ("GET", "/held/03"),
    ("POST", "/held/03/approve"),
    ("GET", "/audit"),
    ("GET", "/audit/check"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/02"),
]


OPEN = {("POST", "/api/v1/login"), ("POST", "/api/v1/login/token")}
"""Where a program begins that has no token yet."""


RUNNER = {
    ("POST", "/api/runner/v1/pools/{space}/{name}/claim"),
    ("POST", "/api/runner/v1/pools/{space}/{name}/hello"),
    ("GET", "/api/runner/v1/leg/tree"),
    ("PUT", "/api/runner/v1/leg/saved"),
    *(("POST", f"/api/runner/v1/leg/{verb}") for verb in ("take", "beat", "log", "end")),
}
"""What workers ask, with tokens of their own."""


class BrokenStore:
    """A store whose database is away."""

    def reading(self) -> object:
        raise StoreError("the database at db.example cannot be reached", "the database is not available now")

    writing = reading


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [
        *(pytest.param(method, path, None, id=f"{method} {path}") for method, path in ROUTES),
        pytest.param("GET", "/stacks", "wrong", id="wrong token"),
        pytest.param("GET", "/stacks", OPERATOR_TOKEN + "x", id="longer token"),
        pytest.param("GET", "/stacks", "ä", id="token that is not ASCII"),
    ],
)
def test_every_route_asks_for_a_token(app: WarmApp, store: SqlStore, method: str, path: str, token: str | None) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network")])
    with Client(app, None) as client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
        answer = client.request(method, f"/api/v1{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["reason"] == "Unauthorized"


PROBLEM = "#/components/schemas/Problem"


def test_openapi_describes_exactly_these_routes(client: Client) -> None:
    described = client.get("/api/v1/openapi.json").json()
    found = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    wanted = {
        (
            method,
            "/api/v1"
            + path.replace("/production/network", "/{space}/{name}")
            .replace("/rollouts/production", "/rollouts/{space}")
            .replace("/pools/production/big", "/pools/{space}/{name}")
            .replace("/01", "/{run}")
            .replace("/02", "/{token}")
            .replace("/03", "/{held}")
            .replace("/04", "/{version}")
            .replace("/05", "/{commit}")
            .replace("/06", "/{number}"),
        )
        for method, path in ROUTES
    }
    assert found - {("GET", path) for path in PUBLIC} - {("POST", "/hooks/{sender}")} - OPEN - RUNNER == wanted
    assert "HTTPValidationError" not in described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method, description in methods.items():
            asks = path.startswith("/api/") and (method.upper(), path) not in OPEN
            assert asks == ("security" in description)
            problems = {
                status
                for status, answer in description["responses"].items()
                if answer.get("content") == {"application/problem+json": {"schema": {"$ref": PROBLEM}}}
            }
            sent = {"401", "404", "405", "422", "429", "503", *(["409"] if method != "get" else [])}
            matches = any(each["name"] == "If-Match" for each in description.get("parameters", ()))
            sent |= {"412"} if matches else set()
            assert problems == (sent if path.startswith("/api/") else set())


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (401, "GET", "/api/v1/stacks", None),
        (404, "GET", "/api/v1/runs/01", None),
        (405, "PUT", "/api/v1/stacks", None),
        (409, "POST", "/api/v1/stacks/production/network/resume", None),
        (422, "GET", "/api/v1/stacks?limit=0", None),
        (422, "POST", "/api/v1/stacks/production/network/suspend", {"for": "4h"}),
        (422, "POST", "/api/v1/tokens", {"subject": "user:ada", "seconds": 60, "admin": True}),
    ],
)
def test_errors_are_what_openapi_says(
    client: Client, store: SqlStore, *, status: int, method: str, path: str, body: object
) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network", desired=a_desired(suspended=True))])
    described = client.get("/api/v1/openapi.json").json()["components"]["schemas"]["Problem"]
    more = {"json": body} if body is not None else {}
    headers = {"Authorization": "Bearer x"} if status == 401 else None
    answer = client.request(method, path, headers=headers, **more)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert set(described["required"]) <= problem.keys() <= described["properties"].keys()
    assert ("errors" in problem) == (status == 422)
    if body is not None:
        assert ("admin" if "admin" in str(body) else "body") in [each["field"] for each in problem["errors"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"subject": }', "is not JSON: Expecting value at character 12"),
        (b'{"subject": "\xff"}', "is not JSON in UTF-8 that can be read"),
        (b"[" * 60_000, "is not JSON in UTF-8 that can be read"),
    ],
)
def test_a_body_that_is_no_json_is_named(client: Client, body: bytes, message: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.request("POST", "/api/v1/tokens", content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "body", "message": message}])


@pytest.mark.parametrize("body", [b"", b"{}", b"null"])
def test_a_body_that_says_nothing_is_none(client: Client, store: SqlStore, body: bytes) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network", desired=a_desired())])
    assert client.request("POST", "/api/v1/stacks/production/network/suspend", content=body).status_code == 200


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("/runs", "stack", "stack: is not a parameter of this request; "),
        ("/runs", "statuss", "statuss: is not a parameter of this request; did you mean status?"),
        ("/spaces", "limitt", "limitt: is not a parameter of this request; did you mean limit?"),
    ],
)
def test_a_parameter_that_nobody_knows_is_refused(client: Client, path: str, name: str, message: str) -> None:
    answer = client.get(f"/api/v1{path}", **{name: "x"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == name
    assert answer.json()["detail"].startswith(message)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/v1", "/api/v1/nothing", "/api/v2/stacks"])
def test_elsewhere_is_nothing(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")


def test_a_wrong_method_is_a_problem_too(client: Client) -> None:
    answer = client.request("DELETE", "/api/v1/stacks")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("host", ["localhost", "localhost:8420", "127.0.0.1:8420", "10.0.0.7", "[::1]:8420"])
def test_addresses_and_localhost_are_answered(app: WarmApp, host: str) -> None:
    with Client(app) as client:
        assert client.request("GET", "/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/stacks"])
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[::1"])
def test_names_of_others_are_refused(app: WarmApp, host: str, path: str) -> None:
    with Client(app) as client:
        answer = client.request("GET", path, headers={"Host": host})
    assert (answer.status_code, answer.json()["reason"]) == (421, "UnknownHost")


@pytest.mark.parametrize("token", [None, OPERATOR_TOKEN], ids=["no token", "operator"])
def test_a_huge_body_is_not_read(app: WarmApp, token: str | None) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 4 * 1024 * 1024:
            read += 16_384
            yield b" " * 16_384

    with Client(app, token) as client:
        answer = client.post("/api/v1/tokens", content=body(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert read < 200_000


@pytest.mark.parametrize("path", ["/api/v1/stacks?q=%00", "/api/v1/stacks?label=%00a=b", "/api/v1/tokens/%00"])
def test_nul_reaches_no_database(client: Client, path: str) -> None:
    answer = client.request("GET", path)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_name_of_ones_own_is_answered(ports: Ports) -> None:
    with Client(create_app(replace(ports, hosts=frozenset({"station.example"})))) as client:
        assert client.request("GET", "/healthz", headers={"Host": "Station.Example:443"}).status_code == 200


def test_answers_are_neither_kept_nor_guessed_at(client: Client) -> None:
    headers = client.get("/api/v1/stacks").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_status(client: Client, store: SqlStore) -> None:
    diagnostic = {"severity": "error", "code": "unknown-key", "summary": "s", "hint": None}
    diagnostic |= {"file": "a.yaml", "line": 1, "column": 2}
    kept = KeptDocument("Stack", "production", "network", "a.yaml", REVISION, "broken")
    with store.writing() as transaction:
        transaction.put_service("one", "here", "1.2.3", NOW)
        transaction.take_lease(LEADER, "one", datetime.now(UTC), timedelta(minutes=1))
        transaction.put_configuration(
            ConfigurationState(
                generation=3,
                url="https://user:secret@git.example/config.git",
                branch="main",
                attempted_revision=OTHER_REVISION,
                admitted_revision=REVISION,
                kept=(kept,),
                diagnostics=(diagnostic,),
                halted=Halt("HistoryRewritten", "the branch was rewound", OTHER_REVISION, NOW),
                documents={"Stack": 2},
                changed_at=NOW,
            )
        )
        transaction.put_stacks([a_stack("production/network", sync=Sync.SYNCED), a_stack("production/db")])
        transaction.add_runs([a_run("production/db")])
    answer = client.get("/api/v1/status")
    status = answer.json()
    assert "secret" not in answer.text
    assert status.pop("version")
    assert status == {
        "services": [
            {
                "name": "one",
                "host": "here",
                "version": "1.2.3",
                "leads": True,
                "answers": False,
                "seenAt": "2026-03-01T12:00:00Z",
            }
        ],
        "frozen": [],
        "ready": True,
        "url": "https://git.example/config.git",
        "branch": "main",
        "generation": 3,
        "attemptedRevision": OTHER_REVISION,
        "admittedRevision": REVISION,
        "changedAt": "2026-03-01T12:00:00Z",
        "halted": {
            "reason": "HistoryRewritten",
            "message": "the branch was rewound",
            "hint": "push the revision in force back to the branch, alone or merged with what is there",
            "revision": OTHER_REVISION,
            "since": "2026-03-01T12:00:00Z",
        },
        "kept": [
            {
                "kind": "Stack",
                "space": "production",
                "name": "network",
                "file": "a.yaml",
                "revision": REVISION,
                "because": "broken",
            }
        ],
        "sources": [],
        "diagnostics": [diagnostic],
        "counts": {"stacks": {"Synced": 1, "Unknown": 1}, "runs": {"queued": 1}, "documents": {"Stack": 2}},
        "pins": [],
        "rollouts": [],
    }


def test_status_of_a_fresh_store(client: Client) -> None:
    status = client.get("/api/v1/status").json()
    assert (status["admittedRevision"], status["halted"], status["counts"]["stacks"]) == (None, None, {})


def test_spaces(client: Client, store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks([assess(a_stack("production/network", applied=an_applied()), None, (), NOW)])
    first = client.get("/api/v1/spaces", limit=2).json()
    second = client.get("/api/v1/spaces", limit=2, cursor=first["next"]).json()
    assert [*first["items"], *second["items"]] == [
        {"name": "platform", "parent": "root", "inherit": False, "stacks": {}, "ready": 0, "stalled": 0},
        {
            "name": "production",
            "parent": "platform",
            "inherit": True,
            "stacks": {"Synced": 1},
            "ready": 1,
            "stalled": 0,
        },
        {"name": "root", "parent": None, "inherit": False, "stacks": {}, "ready": 0, "stalled": 0},
    ]
    assert second["next"] is None


def test_alive_and_ready(ports: Ports, store: SqlStore) -> None:
    with Client(WarmApp(replace(ports, metrics=Metrics(), ready=lambda: False)), None) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
    with Client(WarmApp(replace(ports, metrics=Metrics())), None) as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (200, "ok\n")
        with store.writing() as transaction:
            transaction.put_configuration(ConfigurationState(halted=Halt("HistoryRewritten", "prod/db", None, NOW)))
        readiness = client.get("/readyz")
    assert (readiness.status_code, readiness.text) == (200, "admission is halted: HistoryRewritten\n")


def test_not_ready_while_passes_fail_on_the_store(ports: Ports) -> None:
    why: list[str | None] = ["the database cannot grow: the disk is full", None]
    with Client(create_app(replace(ports, metrics=Metrics(), trouble=lambda: why.pop(0))), None) as client:
        readiness = client.get("/readyz")
        assert (readiness.status_code, readiness.text) == (503, "the database cannot grow: the disk is full\n")
        assert client.get("/readyz").status_code == 200


def test_a_store_that_is_away(ports: Ports) -> None:
    app = WarmApp(replace(ports, store=BrokenStore()))  # type: ignore[arg-type]
    with Client(app) as client:
        assert client.get("/healthz").status_code == 200
        readiness = client.get("/readyz")
        assert (readiness.status_code, readiness.text) == (503, "the database is not available now\n")
        answer = client.get("/api/v1/stacks")
        assert (answer.status_code, answer.json()["reason"]) == (503, "StoreUnavailable")
        assert "db.example" not in answer.text
        scraped = client.get("/metrics")
        assert scraped.status_code == 200
        assert "stationkeeper_build_info" in scraped.text
        assert "stationkeeper_stacks" not in scraped.text


def test_a_bug_tells_the_log_and_not_the_caller(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bool:
        raise RuntimeError("hunter2")

    with Client(WarmApp(replace(ports, ready=broken))) as client, caplog.at_level(logging.ERROR):
        answer = client.get("/api/v1/status")
    assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError")
    assert "hunter2" not in answer.text
    assert "GET /api/v1/status failed" in caplog.text


def test_metrics_show_what_the_store_holds(client: Client, store: SqlStore, ports: Ports) -> None:
    ready = Condition(ConditionStatus.TRUE, "UpToDate", "", NOW)
    with store.writing() as transaction:
        transaction.put_configuration(
            ConfigurationState(
                branch="main",
                admitted_revision=REVISION,
                documents={"Stack": 2},
                diagnostics=({"severity": "error"}, {"severity": "error"}),
            )
        )
        transaction.put_stacks(
            [
                a_stack(
                    "production/network",
                    desired=a_desired(tool="terraform"),
                    applied=an_applied(),
                    sync=Sync.SYNCED,
                    conditions={ConditionType.READY: ready},
                ),
                a_stack("production/db"),
                a_stack("production/gone", desired=None),
            ]
        )
        transaction.add_runs(
            [
                a_run("production/db"),
                a_run("production/network", kind=RunKind.DRIFT, status=RunStatus.PLANNING),
                a_run("production/proxy", status=RunStatus.UNCONFIRMED),
            ]
        )
    ports.metrics.run_ended("production", "network", "tracked", "finished")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        f'stationkeeper_config_revision_info{{branch="main",revision="{REVISION}"}} 1.0',
        'stationkeeper_config_documents{kind="Stack"} 2.0',
        'stationkeeper_config_diagnostics{severity="error"} 2.0',
        'stationkeeper_config_diagnostics{severity="warning"} 0.0',
        'stationkeeper_stack_info{ready="True",space="production",stack="network",sync="Synced",tool="terraform"} 1.0',
        'stationkeeper_stacks{space="production",sync="Synced",tool="terraform"} 1.0',
        'stationkeeper_stacks{space="production",sync="Unknown",tool="script"} 1.0',
        'stationkeeper_stack_resources{space="production",stack="network"} 0.0',
        'stationkeeper_stack_last_applied_timestamp_seconds{space="production",stack="network"} 1772366400.0',
        'stationkeeper_runs_active{kind="tracked",status="queued"} 1.0',
        'stationkeeper_runs_active{kind="drift",status="planning"} 1.0',
        'stationkeeper_runs_active{kind="tracked",status="applying"} 0.0',
        'stationkeeper_run_queue_depth{pool="default"} 1.0',
        'stationkeeper_halted{reason="HistoryRewritten"} 0.0',
        'stationkeeper_runs_waiting_since_timestamp_seconds{space="production",stack="proxy"} 1.7723664e+09',
        'stationkeeper_runs_total{kind="tracked",space="production",stack="network",status="finished"} 1.0',
    ):
        assert line in lines
    assert not any('stack="gone"' in line for line in lines)


def test_of_two_services_one_shows_what_is_in_the_store(ports: Ports, store: SqlStore) -> None:
    """Whoever is scraped first. The other one takes over when it is scraped no more."""
    with store.writing() as transaction:
        transaction.put_stacks([a_stack("production/network")])
    now = NOW
    one, two = (WarmApp(replace(ports, holder=name, metrics=Metrics(), now=lambda: now)) for name in ("one", "two"))

    def shown(app: WarmApp) -> int:
        with Client(app) as client:
            text = client.get("/metrics").text
        assert 'stationkeeper_reconcile_total{result="success"} 0.0' in text, "what happens in a service is its own"
        return sum(line.startswith("stationkeeper_stacks{") for line in text.splitlines())

    assert (shown(one), shown(two)) == (1, 0)
    now += timedelta(minutes=2)
    assert (shown(two), shown(one)) == (0, 1)
    now += timedelta(minutes=2)
    assert shown(two) == 0
    now += timedelta(minutes=2)
    assert (shown(two), shown(one)) == (1, 0)


def test_the_gauges_stay_where_the_database_takes_no_writes(store: SqlStore) -> None:
    class Full:
        reading = store.reading

        def writing(self) -> NoReturn:
            raise StoreError("the disk is full")

    assert gauges.read_gauges(store, "one", NOW) is not None
    later = NOW + timedelta(hours=1)
    assert gauges.read_gauges(Full(), "one", later) is not None  # type: ignore[arg-type]
    assert gauges.read_gauges(Full(), "two", later) is None  # type: ignore[arg-type]


def test_the_operators_token_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(operator_token(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(tokens)) == 1
    assert len(tokens[0]) >= 40
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["token"]
