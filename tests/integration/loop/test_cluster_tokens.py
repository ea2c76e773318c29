"""A real API server of Kubernetes lets runs in by their tokens alone: a plan may look, an apply may write."""

from __future__ import annotations

import json
import shlex
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from reconciler.issuer.issuer import DISCOVERY_PATH, JWKS_PATH, discovery
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, document, eventually, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs
from tests.tools.certificate import a_certificate
from tests.tools.cluster import Cluster, running_api

pytestmark = [pytest.mark.xdist_group("kubernetes"), needs("bwrap", "etcd", "kube-apiserver")]

ISSUER, AUDIENCE = "https://station.example.com", "https://cluster.example.com"
MAPS = "/api/v1/namespaces/default/configmaps"
RULES = "/apis/rbac.authorization.k8s.io/v1"
PROGRAM = f"""
import base64, json, os, ssl, sys, urllib.error, urllib.request
config = json.load(open(os.environ["KUBECONFIG"]))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
trusted = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
headers = {{"Authorization": "Bearer " + open(user["tokenFile"]).read(), "Content-Type": "application/json"}}
body = json.dumps({{"metadata": {{"name": "made"}}}}).encode() if sys.argv[1] == "POST" else None
request = urllib.request.Request(cluster["server"] + "{MAPS}", body, headers, method=sys.argv[1])
try:
    print(sys.argv[1], urllib.request.urlopen(request, context=trusted).status)
except urllib.error.HTTPError as error:
    print(sys.argv[1], error.code, json.load(error)["message"])
"""


@contextmanager
def published(machine: Machine, folder: Path) -> Iterator[tuple[str, Path]]:
    """Publish the issuer's documents over https on loopback; yield where, and the certificate."""
    certificate, private = a_certificate(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"https://127.0.0.1:{server.server_port}"
            fetched = httpx.get(machine.service.server.url() + self.path, headers={"Host": "station.example.com"})
            document = fetched.json()
            if self.path == DISCOVERY_PATH:
                assert document == discovery(ISSUER)
                # The name of the issuer leads nowhere from here.
                document["jwks_uri"] = here + JWKS_PATH
            body = json.dumps(document).encode()
            self.send_response(fetched.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", certificate
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine]) -> Machine:
    return new_machine(repo.url, issuer_url=ISSUER, tool_path=f"{sys.prefix}/bin:{sys.prefix}:{sys.base_prefix}")


@pytest.fixture
def api(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("api")
    with published(machine, folder) as (where, certificate):
        issuer = {
            "url": ISSUER,
            "discoveryURL": where + DISCOVERY_PATH,
            "certificateAuthority": certificate.read_text(),
            "audiences": [AUDIENCE],
        }
        users = {"username": {"claim": "sub", "prefix": f"{ISSUER}#"}}
        trust = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{"issuer": issuer, "claimMappings": users}],
        }
        (folder / "trust.yaml").write_text(json.dumps(trust))
        with running_api(folder, f"--authentication-config={folder / 'trust.yaml'}") as api:
            yield api


def allow(client: httpx.Client, phase: str, *verbs: str) -> None:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{ISSUER}#space:root:phase:{phase}"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": phase}
    for kind, content in {
        "clusterroles": {"rules": rules},
        "clusterrolebindings": {"roleRef": role, "subjects": [user]},
    }.items():
        client.post(f"{RULES}/{kind}", json={"metadata": {"name": phase}, **content}).raise_for_status()


def test_a_cluster_knows_each_phase_by_the_token_of_its_kubeconfig(
    repo: Repo, machine: Machine, api: Cluster, tmp_path: Path
) -> None:
    looked, changed = tmp_path / "looked", tmp_path / "changed"
    issuer = machine.service.ports.issuer
    assert issuer is not None

    def answer(audience: str) -> int:
        token = issuer.sign({"aud": audience, "sub": "space:root:phase:none"}, utc_now())
        trusted = ssl.create_default_context(cafile=api.authority)
        return httpx.get(api.url + MAPS, verify=trusted, headers={"Authorization": f"Bearer {token}"}).status_code

    eventually(lambda: answer(AUDIENCE) == 403, every=0.2)
    assert answer("https://another.example.com") == 401
    with api.client() as client:
        allow(client, "plan", "list")
        allow(client, "apply", "list", "create")
    spec = {
        "provider": "oidc",
        "audience": AUDIENCE,
        "subject": "space:{space}:phase:{phase}",
        "kubernetes": {"server": api.url, "certificateAuthority": api.authority.read_text()},
    }
    ask = f"{shlex.quote(sys.executable)} ask.py"
    plan = f"{ask} GET >> {looked}; {ask} POST >> {looked}; exit 2"
    stack = a_script("a", f"{ask} POST >> {changed}", plan=plan, integrations=["cluster"], files={"ask.py": PROGRAM})
    repo.commit({"cluster.yaml": document("CloudIntegration", "cluster", spec), "a.yaml": stack})
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}, machine.log(look.runs[0])
    got, refused = lines(looked)
    assert got == "GET 200"
    assert refused.startswith(f'POST 403 configmaps is forbidden: User "{ISSUER}#space:root:phase:plan" cannot create')
    assert lines(changed) == ["POST 201"]
