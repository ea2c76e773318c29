"""A node of the tests' own: does for the pods of a namespace what the scheduler, the kubelet and a container would do.

A pod's command is started as a process of this machine. Its emptyDirs and Secrets become directories, and the paths of
its mounts those of the directories, in arguments and variables. What is told to the API is what a kubelet tells: phases,
states of containers, and the end of a deletion once the process has stopped within its grace.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.tools.cluster import Cluster

Json = dict[str, Any]
NODE = "tests"
_LOOK = 0.1


class Process(Protocol):
    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


Spawn = Callable[[list[str], dict[str, str], Path, Path], Process]
"""Starts a command with an environment, in a directory, with a log."""


def spawn(command: list[str], env: dict[str, str], directory: Path, log: Path) -> Process:
    with log.open("ab") as out:
        return subprocess.Popen(
            command, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


@dataclass
class _Container:
    processes: list[Process]
    asked: float | None = None
    """When it was asked to end."""


@dataclass
class Node:
    """Runs the pods of one namespace from `start` to `stop`."""

    cluster: Cluster
    namespace: str
    folder: Path
    images: frozenset[str]
    """What can be pulled."""
    spawn: Spawn = spawn
    starts: int = 1
    """How often the command of a pod is started, at the same time."""
    path: str = os.environ["PATH"]
    seen: list[Json] = field(default_factory=list)
    """Every pod that was started, as it was."""
    _containers: dict[str, _Container] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._client = self.cluster.client()
        (self.folder / "bin").mkdir(parents=True)
        with suppress(FileExistsError):
            (self.folder / "bin" / "station").symlink_to(Path(sys.executable).with_name("station"))
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        self._client.post("/api/v1/nodes", json=body)
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Tests", "message": ""}]}}
        self._patch(f"/api/v1/nodes/{NODE}/status", ready)
        self._thread = threading.Thread(target=self._keep_looking, name="node", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop everything, and leave no pod that waits for this node."""
        self._lose()
        for pod in self._pods():
            self._remove(pod)
        self._client.close()

    def lose(self) -> None:
        """Vanish with all that runs here, without a word, and come back as an empty node."""
        self._lose()
        for pod in self._pods():
            if pod["spec"].get("nodeName") == NODE:
                self._containers[pod["metadata"]["uid"]] = _Container([])
        self._stopping.clear()
        self._thread = threading.Thread(target=self._keep_looking, name="node", daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """Kill all that runs in the pods, as the kernel does where there is no memory left."""
        for pid in self._everything():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command of each pod, and to nothing that it has started."""
        for container in self._containers.values():
            for process in container.processes:
                if process.poll() is None:
                    os.kill(process.pid, number)

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _lose(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(20)
        self.kill()
        for container in self._containers.values():
            for process in container.processes:
                process.wait(20)

    def _everything(self) -> list[int]:
        """Find the pods' processes, and what they have started: that has a directory of this node in its PATH."""
        processes = [each for container in self._containers.values() for each in container.processes]
        mark, found = os.fsencode(self.folder / "bin"), [each.pid for each in processes if each.returncode is None]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if any(
                        part.startswith(b"PATH=") and mark in part
                        for part in (entry / "environ").read_bytes().split(b"\0")
                    ):
                        found.append(int(entry.name))
        return found

    def _keep_looking(self) -> None:
        while not self._stopping.wait(_LOOK):
            with suppress(httpx.HTTPError):
                for pod in self._pods():
                    self._look(pod)

    def _look(self, pod: Json) -> None:
        container = self._containers.get(pod["metadata"]["uid"])
        if container is not None:
            self._watch(pod, container)
        elif pod["metadata"].get("deletionTimestamp"):
            self._remove(pod)
        elif pod["status"].get("phase") in {"Succeeded", "Failed"}:
            return
        elif not pod["spec"].get("nodeName"):
            self._schedule(pod)
        else:
            self._start(pod)

    def _schedule(self, pod: Json) -> None:
        if pod["spec"].get("nodeSelector"):
            condition = {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes fit",
            }
            self._tell(pod, {"conditions": [condition]})
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]}, "target": target}
        self._client.post(f"{self._url(pod)}/binding", json=body)

    def _start(self, pod: Json) -> None:
        (container,) = pod["spec"]["containers"]
        if container["image"] not in self.images:
            waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
            self._tell(pod, _status(pod, "Pending", {"waiting": waiting}))
            return
        mounts = self._volumes(pod, container)
        if mounts is None:
            return
        env = {"PATH": f"{self.folder / 'bin'}:{self.path}", "LANG": "C.UTF-8"}
        for each in container.get("env", ()):
            env[each["name"]] = _moved(each["value"], mounts)
        command = [_moved(word, mounts) for word in container["command"]]
        log = self.folder / f"{pod['metadata']['name']}.log"
        processes = []
        for number in range(self.starts):
            own = env | {"STATION_DATA_DIR": f"{env['STATION_DATA_DIR']}{number or ''}"}
            processes.append(self.spawn(command, own, self.folder, log))
        self.seen.append(pod)
        self._containers[pod["metadata"]["uid"]] = _Container(processes)
        self._tell(pod, _status(pod, "Running", {"running": {"startedAt": _now()}}))

    def _volumes(self, pod: Json, container: Json) -> dict[str, Path] | None:
        """Return the directories of the mounts, by path; None: a Secret is not there yet."""
        root, found = self.folder / pod["metadata"]["uid"], {}
        for volume in pod["spec"]["volumes"]:
            directory = root / volume["name"]
            directory.mkdir(parents=True, exist_ok=True)
            if "secret" in volume:
                name = volume["secret"]["secretName"]
                answer = self._client.get(f"/api/v1/namespaces/{self.namespace}/secrets/{name}")
                if answer.status_code != 200:
                    return None
                for key, data in answer.json()["data"].items():
                    (directory / key).write_bytes(base64.b64decode(data))
            found[volume["name"]] = directory
        return {each["mountPath"]: found[each["name"]] for each in container["volumeMounts"]}

    def _watch(self, pod: Json, container: _Container) -> None:
        codes = [process.poll() for process in container.processes]
        deleted = pod["metadata"].get("deletionTimestamp")
        if not container.processes:
            # It was lost with the node, and nobody knows; the cluster is told that it is gone when somebody deletes it.
            if deleted:
                self._remove(pod)
            return
        if all(code is not None for code in codes):
            if pod["status"].get("phase") not in {"Succeeded", "Failed"}:
                code = next((code for code in codes if code), 0)
                ended = {"exitCode": abs(code), "reason": "Error" if code else "Completed", "finishedAt": _now()}
                self._tell(pod, _status(pod, "Failed" if code else "Succeeded", {"terminated": ended}))
            if deleted:
                self._remove(pod)
        elif deleted:
            grace, now = pod["metadata"].get("deletionGracePeriodSeconds", 30), time.monotonic()
            number = signal.SIGTERM if container.asked is None else signal.SIGKILL
            if container.asked is None or now - container.asked > grace:
                container.asked = container.asked or now
                for process, code in zip(container.processes, codes, strict=True):
                    if code is None:
                        os.kill(process.pid, number)

    def _pods(self) -> list[Json]:
        return list(self._client.get(f"/api/v1/namespaces/{self.namespace}/pods").json()["items"])

    def _remove(self, pod: Json) -> None:
        self._client.request("DELETE", self._url(pod), json={"gracePeriodSeconds": 0})

    def _tell(self, pod: Json, status: Json) -> None:
        self._patch(f"{self._url(pod)}/status", {"status": status})

    def _patch(self, path: str, body: Json) -> None:
        self._client.patch(path, json=body, headers={"Content-Type": "application/merge-patch+json"})

    def _url(self, pod: Json) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"


def _status(pod: Json, phase: str, state: Json) -> Json:
    (container,) = pod["spec"]["containers"]
    running = "running" in state
    one = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    return {
        "phase": phase,
        "startTime": pod["status"].get("startTime") or _now(),
        "conditions": [{"type": "Ready", "status": str(running)}],
        "containerStatuses": [one | {"ready": running, "state": state}],
    }


def _moved(text: str, mounts: dict[str, Path]) -> str:
    for path, directory in mounts.items():
        if text == path or text.startswith(f"{path}/"):
            return str(directory) + text.removeprefix(path)
    return text


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
