"""A Kubernetes API of the tests' own: etcd, kube-apiserver and kube-controller-manager, on free ports of loopback.

Tests get it as the fixture `cluster`. There are no nodes: every object can be made, read, changed and deleted, and
controllers act on them (a Deployment gets its ReplicaSet and its Pods), but no Pod ever runs.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
READY_WITHIN = 90.0
STOPPED_WITHIN = 20.0
TOKEN = "the-tests-administrator"
_KEY = "service-accounts.pem"


@dataclass(frozen=True)
class Cluster:
    url: str
    kubeconfig: Path
    authority: Path
    programs: tuple[Program, ...]

    @property
    def api_server(self) -> Program:
        return self.programs[1]

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self.authority)
        return httpx.Client(base_url=self.url, verify=trusted, headers={"Authorization": f"Bearer {TOKEN}"})

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Return what `kubectl` prints on its standard output; raise where it fails."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout


def missing() -> list[str]:
    """Return the programs that a cluster needs and this machine does not have."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Yield a cluster that answers; all that it writes lies in the folder. Stop its processes at the end."""
    with running_api(folder) as api:
        (port,) = _free_ports(1)
        manager = [
            f"--kubeconfig={api.kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'manager'}",
            f"--service-account-private-key-file={folder / _KEY}",
            f"--root-ca-file={api.authority}",
            "--leader-elect=false",
        ]
        ready, authority = f"https://127.0.0.1:{port}/healthz", folder / "manager" / "kube-controller-manager.crt"
        with _running(Program(folder, "kube-controller-manager", manager, ready, authority)) as program:
            yield replace(api, programs=(*api.programs, program))


@contextmanager
def running_api(folder: Path, *more: str) -> Iterator[Cluster]:
    """Yield an API without controllers. `more` are further arguments of kube-apiserver."""
    key = folder / _KEY
    _make_key(key)
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},administrator,administrator,system:masters\n")
    # Each server makes its own certificate, which is also the authority that its clients trust.
    authority = folder / "apiserver.crt"
    kubeconfig = folder / "kubeconfig"
    client_port, peer_port, port = _free_ports(3)
    store, peer, url = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}", f"https://127.0.0.1:{port}"
    kubeconfig.write_text(_kubeconfig(url, authority))
    etcd = [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]
    api_server = [
        f"--etcd-servers={store}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        # A Service cannot have an endpoint on loopback, and no Pod runs that would ask for it.
        "--endpoint-reconciler-type=none",
        *more,
    ]
    with (
        _running(Program(folder, "etcd", etcd, f"{store}/health")) as first,
        _running(Program(folder, "kube-apiserver", api_server, f"{url}/readyz", authority)) as second,
    ):
        yield Cluster(url, kubeconfig, authority, (first, second))


@dataclass
class Program:
    """A server of the cluster."""

    folder: Path
    name: str
    arguments: Sequence[str]
    ready: str
    """The URL at which it answers once it is ready."""
    authority: Path | None = None
    pid: int = 0

    def start(self) -> None:
        """Start it, also again, and return when it is ready."""
        log = self.folder / f"{self.name}.log"
        self.pid = _orphan([self.name, *self.arguments], self.folder, log)
        deadline = time.monotonic() + READY_WITHIN
        while not _answers(self.ready, self.authority):
            late = time.monotonic() > deadline
            if late or not lives(self.pid):
                trouble = "is not ready" if late else "has ended"
                end = log.read_text(errors="replace").splitlines()[-20:]
                raise RuntimeError("\n".join([f"{self.name} {trouble}", *end]))
            time.sleep(0.1)

    def kill(self) -> None:
        """kill -9, and nothing else of it."""
        os.kill(self.pid, signal.SIGKILL)
        while lives(self.pid):
            time.sleep(0.02)


@contextmanager
def _running(program: Program) -> Iterator[Program]:
    try:
        program.start()
        yield program
    finally:
        if program.pid:
            _stop(program.pid)


def _orphan(command: Sequence[str], folder: Path, log: Path) -> int:
    """Start a process that is nobody's child, since some tests end all children of theirs; return its id."""
    script = 'log=$1; shift; exec "$@" </dev/null >"$log" 2>&1 & echo $!'
    started = ["sh", "-c", script, "sh", str(log), *command]
    return int(subprocess.run(started, cwd=folder, stdout=subprocess.PIPE, check=True).stdout)


def lives(pid: int) -> bool:
    """Whether a process is there that has not ended: of a killed one, threads may hold its port a little longer."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
    return False


def _stop(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOPPED_WITHIN
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        while lives(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def _answers(url: str, authority: Path | None) -> bool:
    if authority is not None and not authority.exists():
        return False
    try:
        trusted = ssl.create_default_context(cafile=authority)
        return httpx.get(url, verify=trusted, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    except (httpx.HTTPError, ssl.SSLError):
        return False


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


def _make_key(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _kubeconfig(url: str, authority: Path) -> str:
    return f"""\
apiVersion: v1
kind: Config
current-context: tests
contexts: [{{name: tests, context: {{cluster: tests, user: administrator}}}}]
clusters: [{{name: tests, cluster: {{server: "{url}", certificate-authority: "{authority}"}}}}]
users: [{{name: administrator, user: {{token: {TOKEN}}}}}]
"""
