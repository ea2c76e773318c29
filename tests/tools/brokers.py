"""A Redis and a RabbitMQ of the tests' own: each with its own directory and ports, on loopback only, and empty."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.station import a_free_port
from tests.needs import need

PASSWORD = "pass-of-the-broker"


@dataclass
class Process:
    """A server with its log, which is there once it listens."""

    command: list[str]
    folder: Path
    port: int
    env: dict[str, str]
    _process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 90) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + seconds
        while not self._listens():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the server and all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass
class Redis:
    """A Redis that keeps nothing on the disk; with a `certificate` and its key it speaks TLS only."""

    folder: Path
    port: int = field(default_factory=a_free_port)
    certificate: tuple[Path, Path] | None = None

    def __post_init__(self) -> None:
        config = self.folder / "redis.conf"
        listen = f"port {self.port}"
        if self.certificate is not None:
            files = "tls-cert-file {}\ntls-key-file {}\ntls-auth-clients no".format(*self.certificate)
            listen = f"port 0\ntls-port {self.port}\n{files}"
        config.write_text(f'bind 127.0.0.1\n{listen}\nrequirepass {PASSWORD}\nsave ""\nappendonly no\n')
        self._server = Process(["redis-server", str(config)], self.folder, self.port, dict(os.environ))

    @property
    def url(self) -> str:
        return f"{'rediss' if self.certificate else 'redis'}://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def file(self) -> Path:
        """The file that the setting names."""
        return url_file(self.folder, self.url)

    def start(self) -> None:
        self._server.start()

    def kill(self) -> None:
        self._server.kill()

    def ask(self, *words: str) -> str:
        """Ask with its own command."""
        command = ["redis-cli", "-p", str(self.port), "--no-auth-warning", *words]
        done = subprocess.run(command, env=os.environ | {"REDISCLI_AUTH": PASSWORD}, capture_output=True, check=True)
        return done.stdout.decode().strip()

    @contextmanager
    def overheard(self) -> Iterator[Path]:
        """Write down every command that anybody sends."""
        path = self.folder / "heard"
        command = ["redis-cli", "-p", str(self.port), "--no-auth-warning", "monitor"]
        with path.open("wb") as out:
            spy = subprocess.Popen(command, env=os.environ | {"REDISCLI_AUTH": PASSWORD}, stdout=out)
        try:
            yield path
        finally:
            spy.kill()
            spy.wait()


@dataclass
class RabbitMq:
    """A RabbitMQ as a node of its own, with a port mapper of its own; not the one of the machine's service."""

    folder: Path
    port: int = field(default_factory=a_free_port)

    def __post_init__(self) -> None:
        # Debian's wrapper changes the user and the directory, and reads the machine's settings.
        found = shutil.which("rabbitmq-server")
        assert found is not None
        script = Path(found).resolve().with_name("rabbitmq-server")
        mapper, distribution = a_free_port(), a_free_port()
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text("acookieoftests")
        cookie.chmod(0o400)
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (self.folder / "plugins").write_text("[].\n")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        }
        command = ["epmd", "-address", "127.0.0.1", "-port", str(mapper)]
        self._mapper = Process(command, self.folder, mapper, env)
        self._server = Process([str(script)], self.folder, self.port, env)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def file(self) -> Path:
        """The file that the setting names."""
        return url_file(self.folder, self.url)

    def start(self) -> None:
        self._mapper.start()
        self._server.start()

    def kill(self) -> None:
        self._server.kill()
        self._mapper.kill()


Broker = Redis | RabbitMq
_Kind = TypeVar("_Kind", Redis, RabbitMq)


def url_file(folder: Path, url: str) -> Path:
    path = folder / "url"
    path.write_text(f"{url}\n")
    path.chmod(0o600)
    return path


@contextmanager
def running(kind: type[_Kind], folder: Path, **more: Any) -> Iterator[_Kind]:
    """Run a broker until the end of the block; skip the test where it is not installed."""
    need("redis-server" if issubclass(kind, Redis) else "rabbitmq-server")
    folder.mkdir()
    broker = kind(folder, **more)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
