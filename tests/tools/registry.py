"""A registry of providers on loopback, over https: it speaks the protocol of the public ones, and signs what it has."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from tests.tools.certificate import a_certificate

PROVIDER = Path(__file__).parents[2] / ".tools" / "providers" / "terraform-provider-local_v1.4.0"
VERSION = "1.4.0"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
_NAME = f"terraform-provider-local_{VERSION}_linux_{MACHINE}.zip"


@dataclass
class Registry:
    """`source` is the provider's address, `certificate` the file by which a client knows the registry."""

    port: int
    certificate: Path
    package: bytes
    downloads: int = 0

    @property
    def source(self) -> str:
        return f"localhost:{self.port}/hashicorp/local"

    @property
    def zip_hash(self) -> str:
        """What a lock file that was written on another kind of machine says of the package."""
        return f"zh:{hashlib.sha256(self.package).hexdigest()}"


@contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """Serve the provider `local` until the end of the block. `folder` must be a short path: gpg puts sockets there."""
    folder.mkdir(exist_ok=True)
    package = _package(folder)
    sums = f"{hashlib.sha256(package).hexdigest()}  {_NAME}\n".encode()
    key_id, key, signature = _signed(sums)
    certificate, private = a_certificate(folder)
    platform = {"os": "linux", "arch": MACHINE}
    offer = {
        **platform,
        "protocols": ["5.0"],
        "filename": _NAME,
        "download_url": f"/{_NAME}",
        "shasum": hashlib.sha256(package).hexdigest(),
        "shasums_url": "/sums",
        "shasums_signature_url": "/sums.sig",
        "signing_keys": {"gpg_public_keys": [{"key_id": key_id, "ascii_armor": key}]},
    }
    versions = {"versions": [{"version": VERSION, "protocols": ["5.0"], "platforms": [platform]}]}
    answers = {
        "/.well-known/terraform.json": json.dumps({"providers.v1": "/v1/"}).encode(),
        "/v1/hashicorp/local/versions": json.dumps(versions).encode(),
        f"/v1/hashicorp/local/{VERSION}/download/linux/{MACHINE}": json.dumps(offer).encode(),
        "/sums": sums,
        "/sums.sig": signature,
        f"/{_NAME}": package,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.downloads += self.path == f"/{_NAME}"
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry = Registry(server.server_port, certificate, package)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _package(folder: Path) -> bytes:
    file = folder / _NAME
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.write(PROVIDER, f"terraform-provider-local_v{VERSION}")
    return file.read_bytes()


def _signed(data: bytes) -> tuple[str, str, bytes]:
    """Return the id of a new key, the key itself, and its signature of the data."""
    home = tempfile.mkdtemp(prefix="gpg-")

    def gpg(*words: str, given: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
        return subprocess.run([*command, *words], input=given, capture_output=True, check=True).stdout

    try:
        gpg("--quick-gen-key", "registry@example.com", "rsa2048", "sign", "never")
        listed = gpg("--list-keys", "--with-colons").decode().splitlines()
        key_id = next(line.split(":")[4] for line in listed if line.startswith("pub:"))
        return key_id, gpg("--armor", "--export").decode(), gpg("--detach-sign", given=data)
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=False)
        shutil.rmtree(home, ignore_errors=True)
