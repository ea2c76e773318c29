"""A Kubernetes API of the tests' own: etcd, kube-apiserver and kube-controller-manager, on free ports of loopback.

Tests get it as the fixture `cluster`. There are no nodes: every object can be made, read, changed and deleted, and
controllers act on them (a Deployment gets its ReplicaSet and its Pods), but no Pod ever runs.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
READY_WITHIN = 90.0
STOPPED_WITHIN = 20.0
TOKEN = "the-tests-administrator"


@dataclass(frozen=True)
class Cluster:
    url: str
    kubeconfig: Path
    authority: Path
    processes: tuple[int, ...]

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
    with ExitStack() as stack:
        etcd_port, peer_port, port, manager_port = _free_ports(4)
        _make_key(folder / "service-accounts.pem")
        (folder / "tokens.csv").write_text(f"{TOKEN},administrator,administrator,system:masters\n")
        etcd_url, peer_url, url = (
            f"http://127.0.0.1:{etcd_port}",
            f"http://127.0.0.1:{peer_port}",
            f"https://127.0.0.1:{port}",
        )

        etcd = stack.enter_context(
            _running(
                folder,
                "etcd",
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd_url}",
                f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                "--unsafe-no-fsync",
            )
        )
        _wait(etcd, folder, f"{etcd_url}/health")

        server = stack.enter_context(
            _running(
                folder,
                "kube-apiserver",
                f"--etcd-servers={etcd_url}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--secure-port={port}",
                # It makes its own certificate there, which is also the authority that clients trust.
                f"--cert-dir={folder}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'service-accounts.pem'}",
                f"--service-account-signing-key-file={folder / 'service-accounts.pem'}",
                # The tests' own address is no endpoint that Kubernetes would allow for its Service.
                "--endpoint-reconciler-type=none",
            )
        )
        authority = folder / "apiserver.crt"
        _wait(server, folder, f"{url}/readyz", authority)

        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(_kubeconfig(url, authority))
        manager = stack.enter_context(
            _running(
                folder,
                "kube-controller-manager",
                f"--kubeconfig={kubeconfig}",
                "--bind-address=127.0.0.1",
                f"--secure-port={manager_port}",
                f"--cert-dir={folder / 'manager'}",
                f"--service-account-private-key-file={folder / 'service-accounts.pem'}",
                f"--root-ca-file={authority}",
                "--leader-elect=false",
            )
        )
        _wait(
            manager,
            folder,
            f"https://127.0.0.1:{manager_port}/healthz",
            folder / "manager" / "kube-controller-manager.crt",
        )
        yield Cluster(url, kubeconfig, authority, (etcd.pid, server.pid, manager.pid))


@contextmanager
def _running(folder: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([name, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], folder: Path, url: str, authority: Path | None = None) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(url, authority):
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            name = Path(str(process.args[0])).name if isinstance(process.args, Sequence) else "the process"
            log = (folder / f"{name}.log").read_text(errors="replace").splitlines()
            state = "is not ready" if late else f"ended with {process.returncode}"
            raise RuntimeError("\n".join([f"{name} {state}", *log[-20:]]))
        time.sleep(0.1)


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
