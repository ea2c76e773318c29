"""The API for persons: what a token opens, what it hides, and what it answers about access."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject
from reconciler.core.runs import RunStatus
from reconciler.core.state import Sync
from reconciler.metrics import Metrics
from reconciler.store.sql import SqlStore
from reconciler.store.stored import ApiToken, ConfigurationState, Halt, KeptDocument
from reconciler.tokens import token_hash
from reconciler.web.api_tokens import make_token
from reconciler.web.ports import Ports
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.effective.stack import effective
from spaces.model.people import GroupSpec, UserSpec
from spaces.model.role import RoleBindingSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.validate import examine_files
from tests.factories import NOW, OTHER_REVISION, REVISION, a_run, a_stack, later
from tests.integration.web.client import Client
from tests.integration.web.warm import WarmApp

PLATFORM, PRODUCTION, SECRET = SpaceName("platform"), SpaceName("production"), SpaceName("secret")
V1 = "/api/v1"


def binding(role: str, name: str, space: SpaceName, **more: Any) -> tuple[ResourceRef, RoleBindingSpec]:
    subject = {"group": "team"} if name == "team" else {"user": name}
    spec = RoleBindingSpec.model_validate({"role": role, "subjects": [subject], **more})
    return ResourceRef(Kind.ROLE_BINDING, space, name), spec


@pytest.fixture
def tree() -> SpaceTree:
    """root over platform over production (which inherits), and root over secret."""
    nodes = {PLATFORM: SpaceNode(ROOT), PRODUCTION: SpaceNode(PLATFORM, inherit=True), SECRET: SpaceNode(ROOT)}
    return SpaceTree.build(nodes)


@pytest.fixture
def access(tree: SpaceTree) -> Access:
    """root-admin everywhere; rita reads, otto operates, wanda writes in production; sam admin in secret; team none."""
    documents = AccessDocuments(
        users={name: UserSpec() for name in ("root-admin", "rita", "otto", "wanda", "sam", "nobody", "all", "adele")},
        groups={"team": GroupSpec(members=("wanda",))},
        api_keys=frozenset({"ci"}),
        bindings=dict(
            [
                binding("admin", "root-admin", ROOT),
                binding("reader", "all", ROOT),
                binding("reader", "rita", PRODUCTION),
                binding("operator", "otto", PRODUCTION, expires="2026-03-01T13:00:00Z"),
                binding("writer", "team", PRODUCTION),
                binding("admin", "sam", SECRET),
                binding("admin", "adele", PRODUCTION),
            ]
        ),
    )
    return Access.compile(documents, tree, (), NOW)


@pytest.fixture
def as_user(ports: Ports, store: SqlStore) -> Iterator[Callable[..., Client]]:
    """Give a client with a token of that user's."""
    app = WarmApp(replace(ports, metrics=Metrics()))
    with ExitStack() as stack:

        def client(name: str, kind: str = "user", **own: Any) -> Client:
            with store.writing() as transaction:
                subject = Subject.parse(f"{kind}:{name}")
                text, _ = make_token(transaction, subject, "operator", NOW, later(3600))
            here = WarmApp(replace(ports, metrics=Metrics(), **own)) if own else app
            return stack.enter_context(Client(here, text))

        yield client


@pytest.fixture
def runs(store: SqlStore) -> dict[str, str]:
    """A stack and a run that waits in every space."""
    found = {}
    with store.writing() as transaction:
        for space in ("platform", "production", "secret"):
            stack = a_stack(f"{space}/network", sync=Sync.SYNCED)
            transaction.put_stacks([stack])
            run = a_run(f"{space}/network", status=RunStatus.UNCONFIRMED)
            transaction.add_runs([run])
            found[space] = run.id
    return found


def ids(answer: httpx.Response) -> list[str]:
    return [item.get("id") or item["name"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("name", "spaces", "stacks"),
    [
        pytest.param("rita", ["platform", "production"], ["production"], id="a reader sees up where it inherits"),
        pytest.param("sam", ["secret"], ["secret"], id="and not where it does not"),
        pytest.param("nobody", [], [], id="somebody without a role sees nothing"),
        pytest.param(
            "all", ["platform", "production", "root", "secret"], ["platform", "production", "secret"], id="all"
        ),
    ],
)
def test_lists_and_counts_hold_only_what_one_may_read(
    as_user: Callable[..., Client], runs: dict[str, str], name: str, spaces: list[str], stacks: list[str]
) -> None:
    client = as_user(name)
    assert ids(client.get(f"{V1}/spaces")) == spaces
    assert ids(client.get(f"{V1}/stacks")) == [f"{space}/network" for space in stacks]
    assert ids(client.get(f"{V1}/stacks", q="network")) == [f"{space}/network" for space in stacks]
    assert sorted(ids(client.get(f"{V1}/runs"))) == sorted(runs[space] for space in stacks)
    for space, run in runs.items():
        assert ids(client.get(f"{V1}/runs", prefix=run)) == ([run] if space in stacks else [])
    counts = client.get(f"{V1}/status").json()["counts"]
    assert sum(counts["stacks"].values()) == sum(counts["runs"].values()) == len(stacks)
    counted = {item["name"]: sum(item["stacks"].values()) for item in client.get(f"{V1}/spaces").json()["items"]}
    assert {space for space, count in counted.items() if count} == set(stacks)


def test_who_reads_a_stack_reads_what_its_runs_get_from_above_and_nobody_else_does(
    ports: Ports, store: SqlStore
) -> None:
    files = {
        "p.yaml": b"""
apiVersion: stationkeeper/v1
kind: Space
metadata: {name: platform}
---
apiVersion: stationkeeper/v1
kind: Space
metadata: {name: production}
spec: {parent: platform, inherit: true}
---
apiVersion: stationkeeper/v1
kind: Context
metadata: {name: level, space: platform}
spec: {attach: {matchLabels: {tier: web}}, env: {LEVEL: info}}
---
apiVersion: stationkeeper/v1
kind: Stack
metadata: {name: network, space: production, labels: {tier: web}}
spec: {tool: script, script: {apply: x}}
"""
    }
    documents = examine_files(files).documents
    app = WarmApp(replace(ports, metrics=Metrics(), effective=lambda stack: effective(documents, stack)))
    with store.writing() as transaction:
        tokens = {
            name: make_token(transaction, Subject.parse(f"user:{name}"), "operator", NOW, later(3600))[0]
            for name in ("rita", "sam")
        }
    with Client(app, tokens["rita"]) as rita, Client(app, tokens["sam"]) as sam:
        shown = rita.get(f"{V1}/stacks/production/network/effective").json()
        assert sam.get(f"{V1}/stacks/production/network/effective").status_code == 404
    assert [(each["space"], each["how"]) for each in shown["attached"]] == [("platform", "attached by labels tier=web")]
    assert (shown["env"][0]["value"], shown["env"][0]["origin"]["space"]) == ("info", "platform")


@pytest.mark.parametrize(
    ("inherit", "path"), [(True, "platform/production"), (False, None)], ids=["sees what is above", "does not"]
)
def test_where_a_space_is_to_seal_for_is_told_as_far_as_one_sees_it(
    *, ports: Ports, store: SqlStore, access: Access, inherit: bool, path: str | None
) -> None:
    nodes = {PLATFORM: SpaceNode(ROOT), PRODUCTION: SpaceNode(PLATFORM, inherit=inherit), SECRET: SpaceNode(ROOT)}
    tree = SpaceTree.build(nodes)
    rights = Access.compile(access._documents, tree, access.admins, NOW)
    app = WarmApp(replace(ports, metrics=Metrics(), tree=lambda: tree, access=lambda: rights))
    with store.writing() as transaction:
        token = make_token(transaction, Subject.parse("user:rita"), "operator", NOW, later(3600))[0]
    with Client(app, token) as rita:
        assert rita.get(f"{V1}/sealing", space="production").json()["path"] == path
        hidden, nowhere = (rita.get(f"{V1}/sealing", space=space) for space in ("secret", "nowhere"))
        assert (hidden.status_code, nowhere.status_code) == (404, 404)


def test_who_may_read_a_stack_and_not_its_runs_is_told_of_none(
    ports: Ports, store: SqlStore, tree: SpaceTree, runs: dict[str, str]
) -> None:
    documents = AccessDocuments(
        users={"lee": UserSpec()},
        bindings=dict([binding("lister", "lee", ROOT)]),
        roles={"lister": _role("stack:read")},
    )
    access, path = Access.compile(documents, tree, (), NOW), f"{V1}/stacks/production/network"
    with store.writing() as transaction:
        text, _ = make_token(transaction, Subject.parse("user:lee"), "operator", NOW, later(60))
    with Client(WarmApp(replace(ports, access=lambda: access, metrics=Metrics())), text) as client:
        stack = client.get(path)
        assert (stack.status_code, stack.json()["lastRun"]) == (200, None)
        assert [client.get(f"{path}/{rest}").status_code for rest in ("runs", "explain")] == [404, 404]


def test_a_space_above_that_one_does_not_see_is_not_named_as_parent(as_user: Callable[..., Client]) -> None:
    (found,) = as_user("sam").get(f"{V1}/spaces").json()["items"]
    assert (found["name"], found["parent"]) == ("secret", None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/stacks/{space}/network"),
        ("GET", "/stacks/{space}/network/runs"),
        ("GET", "/stacks/{space}/network/resources"),
        ("GET", "/stacks/{space}/network/outputs"),
        ("GET", "/stacks/{space}/network/effective"),
        ("GET", "/blueprints/{space}/network"),
        ("GET", "/blueprint-instances/{space}/network"),
        ("GET", "/blueprint-instances/{space}/network/render"),
        ("POST", "/stacks/{space}/network/runs"),
        ("POST", "/stacks/{space}/network/destroy"),
        ("POST", "/stacks/{space}/network/suspend"),
        ("POST", "/stacks/{space}/network/resume"),
        ("POST", "/stacks/{space}/network/unlock"),
        ("POST", "/stacks/{space}/network/unpin"),
        ("POST", "/stacks/{space}/network/drift"),
        ("POST", "/stacks/{space}/network/refresh"),
        ("POST", "/stacks/{space}/network/plan"),
        ("GET", "/tfstates/{space}/network"),
        ("GET", "/tfstates/{space}/network/versions/1"),
        ("POST", "/tfstates/{space}/network/versions"),
        ("POST", "/tfstates/{space}/network/versions/1/rollback"),
        ("DELETE", "/tfstates/{space}/network/lock"),
        ("GET", "/drift?space={space}"),
        ("GET", "/stacks?space={space}"),
        ("GET", "/runs?space={space}&subtree=true"),
        ("GET", "/runs/{run}"),
        ("GET", "/runs/{run}/plan"),
        ("GET", "/runs/{run}/log"),
        ("POST", "/runs/{run}/confirm"),
        ("POST", "/runs/{run}/discard"),
        ("POST", "/runs/{run}/cancel"),
        ("POST", "/runs/{run}/retry"),
        ("GET", "/access/who?action=stack:read&space={space}"),
        ("GET", "/access/can?subject=user:sam&action=stack:read&space={space}"),
        ("GET", "/access/can?subject=user:adele&action=stack:read&space={space}"),
    ],
)
def test_what_one_may_not_see_answers_as_what_does_not_exist(
    as_user: Callable[..., Client], runs: dict[str, str], method: str, path: str
) -> None:
    for name in ("rita", "adele", "nobody"):
        client = as_user(name)
        hidden, absent = (
            client.request(method, V1 + path.format(space=space, run=run))
            for space, run in (("secret", runs["secret"]), ("absent", "0" * 26))
        )
        said = absent.text.replace("absent", "secret").replace("0" * 26, runs["secret"])
        assert (hidden.status_code, hidden.text) == (absent.status_code, said), name
        assert hidden.status_code == 404 or (hidden.status_code, name) == (200, "adele")


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("rita", "/runs/{run}/confirm", 404),
        ("rita", "/runs/{run}/discard", 404),
        ("rita", "/runs/{run}/retry", 404),
        ("rita", "/stacks/production/network/runs", 404),
        ("rita", "/stacks/production/network/suspend", 404),
        ("otto", "/runs/{run}/confirm", 200),
        ("otto", "/runs/{run}/discard", 200),
        ("otto", "/stacks/production/network/suspend", 200),
        ("otto", "/stacks/production/network/destroy", 404),
        ("otto", "/stacks/production/network/forget", 404),
        ("wanda", "/stacks/production/network/forget", 409),
        ("rita", "/stacks/production/network/drift", 404),
        ("rita", "/stacks/production/network/plan", 404),
        ("wanda", "/tfstates/production/network/versions", 404),
        ("adele", "/tfstates/production/network/versions", 409),
        ("wanda", "/runs/{run}/confirm", 200),
    ],
)
def test_a_change_needs_its_right(
    as_user: Callable[..., Client], runs: dict[str, str], store: SqlStore, *, name: str, path: str, status: int
) -> None:
    answer = as_user(name).post(V1 + path.format(run=runs["production"]))
    assert answer.status_code == status, answer.text
    with store.reading() as reading:
        run = reading.run(runs["production"])  # type: ignore[arg-type]
        assert run is not None
        if status == 404:
            assert (run.status, run.confirmed_by) == (RunStatus.UNCONFIRMED, None)
            assert "for which you have " in answer.json()["detail"]
        elif path.endswith("/confirm"):
            assert run.confirmed_by == f"user:{name}"


def test_status_tells_of_everything_only_to_who_may_read_everything(
    as_user: Callable[..., Client], store: SqlStore
) -> None:
    diagnostic = {"severity": "error", "code": "c", "summary": "secret/vault", "hint": None}
    diagnostic |= {"file": "secret/a.yaml", "line": 1, "column": 1}
    with store.writing() as transaction:
        transaction.put_configuration(
            ConfigurationState(
                admitted_revision=REVISION,
                diagnostics=(diagnostic,),
                kept=(
                    KeptDocument("Stack", "secret", "vault", "secret/a.yaml", REVISION, "broken"),
                    KeptDocument("Stack", "production", "db", "production/a.yaml", REVISION, "broken"),
                ),
                halted=Halt("BranchEmptied", "secret/vault would leave", OTHER_REVISION, NOW),
                documents={"Stack": 2},
            )
        )
    answer = as_user("rita").get(f"{V1}/status")
    assert "secret" not in answer.text
    assert "vault" not in answer.text
    assert [kept["name"] for kept in answer.json()["kept"]] == ["db"]
    assert (answer.json()["diagnostics"], answer.json()["counts"]["documents"]) == ([], {})
    assert answer.json()["halted"]["reason"] == "BranchEmptied"
    told = as_user("all").get(f"{V1}/status").json()
    assert (len(told["kept"]), len(told["diagnostics"]), told["counts"]["documents"]) == (2, 1, {"Stack": 2})
    assert "vault" in told["halted"]["message"]


# Tokens


def test_only_a_hash_of_a_token_is_stored(as_user: Callable[..., Client], store: SqlStore) -> None:
    made = as_user("root-admin").post(f"{V1}/tokens", json={"subject": "apiKey:ci", "seconds": 60})
    assert made.status_code == 201, made.text
    text = made.json()["token"]
    with store.reading() as reading:
        stored = reading.api_token(made.json()["id"])
    assert stored is not None
    assert (stored.subject, stored.created_by, stored.hash) == ("apiKey:ci", "user:root-admin", token_hash(text))
    assert stored.expires_at == later(60)
    assert text not in as_user("root-admin").get(f"{V1}/tokens").text


@pytest.mark.parametrize("change", ["expired", "revoked", "changed", "other secret", "holder gone", "cut", "run's"])
def test_a_token_that_opens_nothing(ports: Ports, store: SqlStore, change: str) -> None:
    app = WarmApp(ports)
    with store.writing() as transaction:
        holder = "gone" if change == "holder gone" else "rita"
        expires = NOW if change == "expired" else later(60)
        text, token = make_token(transaction, Subject.parse(holder), "operator", NOW, expires)
        other, _ = make_token(transaction, Subject.parse("sam"), "operator", NOW, later(60))
        if change == "revoked":
            transaction.remove_api_token(token.id)
        if change == "run's":
            transaction.put_stacks([a_stack("production/network")])
            run = a_run("production/network")
            transaction.add_runs([run])
            text = "run-token"
            transaction.put_tokens({token_hash(text): (run.stack, run.id)})
    match change:
        case "changed":
            text = text[:-1] + ("A" if text[-1] != "A" else "B")
        case "other secret":
            text = f"station_{token.id}_{other.split('_', 2)[2]}"
        case "cut":
            text = text[:-1]
    with Client(app, text) as client:
        answer = client.get(f"{V1}/stacks")
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


def test_a_token_opens_until_it_ends(ports: Ports, store: SqlStore) -> None:
    with store.writing() as transaction:
        text, _ = make_token(transaction, Subject.parse("rita"), "operator", NOW, later(60))
    for seconds, status in ((59.9, 200), (60, 401)):
        app = WarmApp(replace(ports, metrics=Metrics(), now=lambda seconds=seconds: later(seconds)))
        with Client(app, text) as client:
            assert client.get(f"{V1}/stacks").status_code == status


@pytest.mark.parametrize(
    ("name", "subject", "status"),
    [
        pytest.param("root-admin", "user:rita", 201, id="for one who may do less"),
        pytest.param("rita", "user:rita", 201, id="for oneself"),
        pytest.param("rita", "user:sam", 404, id="for somebody else"),
        pytest.param("adele", "user:rita", 404, id="users lie in the root, where she is no admin"),
        pytest.param("root-admin", "user:absent", 404, id="for nobody"),
        pytest.param("root-admin", "group:team", 422, id="for a group"),
        pytest.param("root-admin", "admin:operator", 422, id="for the operator"),
        pytest.param("root-admin", "user:a b", 422, id="for what is no name"),
    ],
)
def test_who_makes_tokens_for_whom(as_user: Callable[..., Client], name: str, subject: str, status: int) -> None:
    answer = as_user(name).post(f"{V1}/tokens", json={"subject": subject, "seconds": 60})
    assert answer.status_code == status, answer.text


def test_nobody_makes_a_token_that_opens_more_than_they_may_do(ports: Ports, store: SqlStore, tree: SpaceTree) -> None:
    documents = AccessDocuments(
        users={"clerk": UserSpec(), "boss": UserSpec(), "temp": UserSpec()},
        bindings=dict(
            [binding("admin", "boss", ROOT), binding("clerk", "clerk", ROOT), binding("clerk", "temp", ROOT)]
        ),
        roles={"clerk": _role("user:*")},
    )
    access = Access.compile(documents, tree, (), NOW)
    with store.writing() as transaction:
        text, _ = make_token(transaction, Subject.parse("clerk"), "operator", NOW, later(60))
    with Client(WarmApp(replace(ports, access=lambda: access)), text) as client:
        refused = client.post(f"{V1}/tokens", json={"subject": "user:boss", "seconds": 60})
        assert (refused.status_code, refused.json()["reason"]) == (403, "Beyond")
        assert client.post(f"{V1}/tokens", json={"subject": "user:temp", "seconds": 60}).status_code == 201


def test_tokens_are_listed_and_revoked_by_whose_they_are(
    as_user: Callable[..., Client], store: SqlStore, ports: Ports
) -> None:
    rita, sam, root = as_user("rita"), as_user("sam"), as_user("root-admin")
    (own,) = rita.get(f"{V1}/tokens").json()["items"]
    assert (own["subject"], own["expired"]) == ("user:rita", False)
    assert len(root.get(f"{V1}/tokens").json()["items"]) == 3
    hidden = sam.request("DELETE", f"{V1}/tokens/{own['id']}")
    assert (hidden.status_code, hidden.json()["detail"]) == (404, f"there is no token {own['id']}")
    assert rita.request("DELETE", f"{V1}/tokens/{own['id']}").status_code == 200
    assert rita.get(f"{V1}/stacks").status_code == 401
    with store.writing() as transaction:
        transaction.add_api_token(ApiToken("0" * 12, "user:rita", "operator", NOW, NOW, "x"))
    assert [token["expired"] for token in root.get(f"{V1}/tokens").json()["items"]].count(True) == 1


# Questions


@pytest.mark.parametrize(
    ("asker", "subject", "action", "space", "allowed", "because"),
    [
        ("rita", "rita", "stack:read", "production", True, "reader in production by binding production/rita"),
        (
            "rita",
            "rita",
            "stack:update",
            "production",
            False,
            "user:rita has no role that allows stack:update in production",
        ),
        ("rita", "rita", "stack:read", "secret", False, "user:rita has no role that allows stack:read in secret"),
        (
            "rita",
            "user:rita",
            "space:read",
            "platform",
            True,
            "reader in production by binding production/rita: production inherits from platform",
        ),
        (
            "adele",
            "wanda",
            "stack:update",
            "production",
            True,
            "writer in production by binding production/team, through group team",
        ),
        ("adele", "root-admin", "stack:update", "production", True, "by a role in a space above"),
        ("all", "root-admin", "stack:update", "production", True, "admin in root by binding root/root-admin"),
        (
            "otto",
            "otto",
            "run:confirm",
            "production",
            True,
            "operator in production by binding production/otto, until 2026-03-01T13:00:00Z",
        ),
    ],
)
def test_can(
    as_user: Callable[..., Client], asker: str, subject: str, action: str, space: str, *, allowed: bool, because: str
) -> None:
    answer = as_user(asker).get(f"{V1}/access/can", subject=subject, action=action, space=space)
    assert answer.json() == {"allowed": allowed, "because": because}


def test_the_operator_asks_about_everybody(client: Client) -> None:
    answer = client.get(f"{V1}/access/can", subject="rita", action="stack:read", space="production")
    assert answer.json()["allowed"]
    for question in ({"subject": "rita"}, {}):
        path = f"{V1}/access/{'can' if question else 'who'}"
        answer = client.get(path, **question, action="stack:read", space="prodcution")
        assert (answer.status_code, answer.json()["detail"]) == (404, "there is no space prodcution")


@pytest.mark.parametrize(
    ("asker", "holders"),
    [
        pytest.param("all", ["group:team", "user:adele", "user:root-admin", "user:wanda"], id="who reads all bindings"),
        pytest.param("adele", ["group:team", "user:adele", "user:wanda"], id="who reads those of the space"),
    ],
)
def test_who(as_user: Callable[..., Client], asker: str, holders: list[str]) -> None:
    client = as_user(asker)
    answer = client.get(f"{V1}/access/who", action="stack:update", space="production").json()
    assert [item["subject"] for item in answer["items"]] == holders
    assert all(item["because"] for item in answer["items"])
    assert len(client.get(f"{V1}/access/who", action="stack:update", space="production", limit=1).json()["items"]) == 1


@pytest.mark.parametrize(
    ("asker", "subject", "found"),
    [
        ("wanda", "wanda", [("writer", "production")]),
        ("adele", "wanda", [("writer", "production")]),
        ("adele", "root-admin", []),
        ("adele", "sam", []),
        ("all", "sam", [("admin", "secret")]),
        ("sam", "absent", []),
    ],
)
def test_of(as_user: Callable[..., Client], asker: str, subject: str, found: list[tuple[str, str]]) -> None:
    answer = as_user(asker).get(f"{V1}/access/of", subject=subject).json()
    assert [(item["role"], item["space"]) for item in answer["items"]] == found


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("can", {"subject": "user:", "action": "stack:read", "space": "root"}),
        ("can", {"subject": "rita\n", "action": "stack:read", "space": "root"}),
        ("can", {"subject": "*", "action": "stack:read", "space": "root"}),
        ("can", {"subject": "rita", "action": "stack:*", "space": "root"}),
        ("can", {"subject": "rita", "action": "stack:reed", "space": "root"}),
        ("of", {"subject": "admin:operator"}),
    ],
)
def test_questions_that_make_no_sense(client: Client, path: str, params: dict[str, str]) -> None:
    assert client.get(f"{V1}/access/{path}", **params).status_code == 422


# Metrics


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_metrics_are_not_for_those_behind_a_proxy(as_user: Callable[..., Client], app: WarmApp, header: str) -> None:
    with Client(app, None) as client:
        assert client.get("/metrics").status_code == 200
        assert client.request("GET", "/metrics", headers={header: "10.0.0.1"}).status_code == 401
    assert as_user("all").request("GET", "/metrics", headers={header: "10.0.0.1"}).status_code == 200
    assert as_user("rita").request("GET", "/metrics", headers={header: "10.0.0.1"}).status_code == 404


def test_metrics_by_token(ports: Ports, client: Client) -> None:
    app = WarmApp(replace(ports, metrics=Metrics(), metrics_need_token=True))
    with Client(app, None) as stranger, Client(app) as operator:
        assert stranger.get("/metrics").status_code == 401
        assert operator.get("/metrics").status_code == 200


def test_decisions_are_counted(as_user: Callable[..., Client], runs: dict[str, str]) -> None:
    rita = as_user("rita")
    rita.post(f"{V1}/runs/{runs['production']}/confirm")
    lines = rita.get("/metrics").text.splitlines()
    assert 'stationkeeper_access_decisions_total{action="run:confirm",allowed="false"} 1.0' in lines


def _role(*actions: str) -> Any:
    from spaces.model.role import RoleSpec

    return RoleSpec(actions=actions)


def test_a_token_does_not_outlive_the_one_that_made_it(ports: Ports, store: SqlStore) -> None:
    with store.writing() as transaction:
        text, _ = make_token(transaction, Subject.parse("rita"), "operator", NOW, later(60))
    with Client(WarmApp(replace(ports, metrics=Metrics(), now=lambda: NOW)), text) as client:
        ends = [
            client.post(f"{V1}/tokens", json={"subject": "user:rita", "seconds": seconds}).json()["expiresAt"]
            for seconds in (30, 10_000_000)
        ]
    assert [datetime.fromisoformat(each) for each in ends] == [later(30), later(60)]


def test_a_token_ends_with_the_one_that_made_it(ports: Ports, store: SqlStore) -> None:
    app = WarmApp(replace(ports, metrics=Metrics(), now=lambda: NOW))
    with store.writing() as transaction:
        first, top = make_token(transaction, Subject.parse("rita"), "operator", NOW, later(60))
        beside, _ = make_token(transaction, Subject.parse("rita"), "operator", NOW, later(60))
    made = [first]
    for _ in range(2):
        with Client(app, made[-1]) as client:
            made.append(client.post(f"{V1}/tokens", json={"subject": "user:rita", "seconds": 50}).json()["token"])
    with Client(app, beside) as client:
        assert client.request("DELETE", f"{V1}/tokens/{top.id}").status_code == 200
        assert len(client.get(f"{V1}/tokens").json()["items"]) == 1
    for text in made:
        with Client(app, text) as client:
            assert client.get(f"{V1}/stacks").status_code == 401
