"""A real repository and the real `station` command, for tests from the outside."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

import pygit2

from tests.e2e.forked import Forked, Nursery
from tests.needs import need

STATION = Path(sys.executable).parent / "station"
API = "apiVersion: stationkeeper/v1\n"
Process = subprocess.Popen[bytes] | Forked


def document(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> str:
    """Write one document; JSON is YAML."""
    head = {"name": name, **metadata}
    return f"{API}kind: {kind}\nmetadata: {json.dumps(head)}\nspec: {json.dumps(spec)}\n"


def a_script(name: str, apply: str, **spec: Any) -> str:
    """Write a script stack that needs no source."""
    commands = {key: spec.pop(key) for key in ("plan", "destroy") if spec.get(key) is not None} | {"apply": apply}
    spec.pop("plan", None)
    metadata = {key: spec.pop(key) for key in ("movedFrom", "labels", "space") if key in spec}
    return document("Stack", name, {"tool": "script", "script": commands, **spec}, **metadata)


def a_terraform(name: str, path: str, **spec: Any) -> str:
    """Write a terraform stack."""
    metadata = {key: spec.pop(key) for key in ("movedFrom", "labels", "space") if key in spec}
    return document("Stack", name, {"tool": "terraform", "source": {"path": path}, **spec}, **metadata)


def eventually(what: Callable[[], Any], seconds: float = 40.0, every: float = 0.05) -> Any:
    """Wait until `what` gives something true, and give that. What the API does not know yet may come, too."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = what()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in {HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}:
                raise
            found = None
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"it did not come about within {seconds:g} s")
        time.sleep(every)


def lines(file: Path) -> list[str]:
    """Return the lines of a file that runs write to, without spaces around them; none while it is missing."""
    return [line.strip() for line in file.read_text().splitlines()] if file.exists() else []


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Repo:
    """A Git repository with a work tree and the branch main, made with the git command."""

    def __init__(self, path: Path, files: Mapping[str, str | bytes | None] | None = None) -> None:
        need("git")
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "--template=", "-b", "main", ".")
        if files is not None:
            self.commit(files)

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the repository that is there already."""
        repo = cls.__new__(cls)
        repo.path = path
        return repo

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every git command: nothing of this machine's settings."""
        clean = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "file"}
        return {"PATH": os.environ["PATH"], **clean}

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        command = ["git", *who, "-c", "maintenance.auto=false", *arguments]
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(
        self, files: Mapping[str, str | bytes | None] | None = None, message: str = "Change it", *options: str
    ) -> str:
        """Write the files (None: remove; text without its common indent), commit everything, return the revision."""
        for name, content in (files or {}).items():
            target = self.path / name
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(textwrap.dedent(content).encode() if isinstance(content, str) else content)
        tree = self.stage()
        if options:
            self.git("commit", "-q", "--allow-empty", "-m", message, *options)
            return self.head()
        # Tests make some thousand commits: in this process, each takes a tenth of the time.
        opened = pygit2.Repository(self.path)
        parents = [] if opened.head_is_unborn else [opened.head.target]
        who = self.signature()
        return str(opened.create_commit("HEAD", who, who, f"{message}\n", tree, parents))

    def signature(self) -> pygit2.Signature:
        """Return who commits, now."""
        return pygit2.Signature("Ada", "ada@example.org")

    def stage(self) -> pygit2.Oid:
        """Put the whole work tree into the index; return its tree."""
        index = pygit2.Repository(self.path).index
        index.add_all()
        index.write()
        return index.write_tree()

    def head(self) -> str:
        return str(pygit2.Repository(self.path).head.target)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Pass:
    """What a `station reconcile -o json` came to."""

    code: int
    data: dict[str, Any]
    err: str

    @property
    def sync(self) -> dict[str, str]:
        return {stack["id"]: stack["sync"] for stack in self.data["stacks"]}

    @property
    def ran(self) -> dict[str, str]:
        """The newest run of each stack that ran in this pass, by its status."""
        return {run["stack"]: run["status"] for run in self.data["runs"]}

    @property
    def halted(self) -> str | None:
        return self.data["halted"] and str(self.data["halted"]["reason"])

    @property
    def problems(self) -> str:
        """All diagnostics as text, one line each; that access is not set up is no problem here."""
        return "\n".join(
            "{file}:{line}:{column}: {severity}: {code}: {summary}".format(**it)
            for it in self.data["diagnostics"]
            if it["code"] != "access-not-configured"
        )

    def stack(self, name: str) -> dict[str, Any]:
        return next(stack for stack in self.data["stacks"] if stack["id"] == name)

    def ready(self, name: str) -> str:
        return str(self.stack(name)["conditions"]["Ready"]["reason"])

    def run(self, name: str) -> dict[str, Any]:
        return next(run for run in reversed(self.data["runs"]) if run["stack"] == name)

    def why(self, name: str) -> list[str]:
        return [f"{why['component']}: {why['summary']}" for why in self.run(name)["why"]]


class Station:
    """The command with a home, a data directory and settings of its own."""

    def __init__(self, folder: Path, config_url: str, nursery: Nursery, **settings: Any) -> None:
        self.folder = folder
        self._nursery = nursery
        self.data_dir = folder / "data"
        self.home = folder / "home"
        self.tools = folder / "tools"
        for each in (self.home, self.tools):
            each.mkdir(parents=True, exist_ok=True)
        self.settings: dict[str, Any] = {
            "config_url": config_url,
            "data_dir": self.data_dir,
            "listen": "127.0.0.1:0",
            "file_repositories": "/",
            "poll_interval": 0.3,
            "require_sandbox": False,
            **settings,
        }
        self.more_env: dict[str, str] = {}
        self.path = f"{self.tools}:{os.environ['PATH']}"

    @property
    def env(self) -> dict[str, str]:
        given = {f"STATION_{name.upper()}": str(value) for name, value in self.settings.items()}
        return {"PATH": self.path, "HOME": str(self.home), "LANG": "C.UTF-8", **self.more_env, **given}

    def start(
        self, *arguments: str, stdin: IO[bytes], out: IO[bytes], err: IO[bytes], fresh: bool = False, **env: str
    ) -> Process:
        """Start a command: forked out of a process that has imported everything, or fresh, as a shell starts it."""
        if fresh:
            return subprocess.Popen(
                [STATION, *arguments], cwd=self.home, env=self.env | env, stdin=stdin, stdout=out, stderr=err
            )
        descriptors = [stdin.fileno(), out.fileno(), err.fileno()]
        return Forked(self._nursery.address, list(arguments), self.home, self.env | env, descriptors)

    def __call__(
        self, *arguments: str, timeout: float = 60, stdin: bytes = b"", fresh: bool = False, **env: str
    ) -> Result:
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            process = self.start(*arguments, stdin=given, out=out, err=err, fresh=fresh, **env)
            try:
                code = process.wait(timeout)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            result = Result(code, out.read().decode(), err.read().decode())
        assert "Traceback" not in result.err, result.err
        return result

    def reconcile(self, *arguments: str, timeout: float = 60, **env: str) -> Pass:
        done = self("reconcile", "-o", "json", *arguments, timeout=timeout, **env)
        assert done.out, done.err
        return Pass(done.code, done.json, done.err)

    def shim(self, tool: str) -> Path:
        """Put a recorder in front of a tool; gives the file that gets a line for every start."""
        real = subprocess.run(["which", tool], capture_output=True, text=True, check=True).stdout.strip()
        record = self.folder / f"{tool}.starts"
        record.touch()
        record.chmod(0o666)
        script = self.tools / tool
        script.write_text(f'#!/bin/sh\necho "$*" >> {record}\nexec {real} "$@"\n')
        script.chmod(0o755)
        return record

    @contextmanager
    def serving(self, *, fresh: bool = False) -> Iterator[Server]:
        """Serve until the end of the block, or until it is killed."""
        server = Server(self, fresh=fresh)
        try:
            server.wait_until_it_listens()
            yield server
        finally:
            server.stop()

    def mine(self) -> list[int]:
        """Find every process of this test's runs: all inherit a PATH that is its own."""
        mark = f"PATH={self.path}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != os.getpid()]

    def end(self) -> None:
        """Leave nothing behind."""
        for pid in self.mine():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


class Server:
    """A `station serve`."""

    def __init__(self, station: Station, *, fresh: bool) -> None:
        self.station = station
        self.log = station.folder / f"serve-{time.monotonic_ns()}.log"
        with self.log.open("wb") as out, Path(os.devnull).open("rb") as nothing:
            self.process = station.start("serve", stdin=nothing, out=out, err=out, fresh=fresh)
        self.url = ""

    def wait_until_it_listens(self) -> None:
        def listening() -> bool:
            text = self.log.read_text(errors="replace")
            assert self.process.poll() is None, text
            found = re.search(r"listening on (\S+);", text)
            self.url = found[1] if found else ""
            return bool(found)

        eventually(listening)

    def api(self, path: str, method: str = "GET") -> Any:
        token = (self.station.data_dir / "token").read_text().strip()
        request = urllib.request.Request(self.url + "/api/v1" + path, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def stacks(self) -> list[dict[str, Any]]:
        return list(self.api("/stacks?limit=1000")["items"])

    def runs(self) -> list[dict[str, Any]]:
        return list(self.api("/runs?limit=1000")["items"])

    def all_synced(self, count: int) -> bool:
        try:
            stacks = self.stacks()
        except (urllib.error.URLError, TimeoutError):
            return False
        return len(stacks) == count and all(stack["sync"] == "Synced" for stack in stacks)

    def kill(self) -> None:
        """kill -9, and nothing else of it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
