"""Charts of a repository that asks for a password, fetched by the real helm."""

from __future__ import annotations

import base64
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import GitAccess
from reconciler.runner.leg import git_access
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.kubernetes.kubectl import Kinds
from reconciler.tools.kubernetes.manifests import _helm
from tests.needs import needs

pytestmark = needs("helm")

PASSWORD = "hunter2-hunter2"
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.0\n",
    "templates/it.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n",
}


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(f"bot:{PASSWORD}".encode()).decode():
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    for name, text in CHART.items():
        file = tmp_path / "chart" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    served = tmp_path / "served"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for command in (["package", "chart", "-d", "served"], ["repo", "index", "served"]):
        subprocess.run(["helm", *command], cwd=tmp_path, env=env, check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=served))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_helm_signs_in_to_exactly_the_named_repository(place: Any, repository: str) -> None:
    run = RunDirectory(place.top)
    accesses = [GitAccess("git@example.com:it.git", "git", ssh_key="key"), GitAccess(f"{repository}/", "bot", PASSWORD)]
    git_access.lay_out(accesses, run, run, {})
    job = ToolJob("kubectl", place.work, place.scratch, {}, stack="root/shop", charts=git_access.charts(accesses, run))
    kubectl: Any = SimpleNamespace(versions=frozenset, server_version=lambda: "v1.37.0")
    helm = {"chart": "web", "repository": repository, "version": ">=1.0"}
    place.do(_helm(job, place.do, helm, kubectl, Kinds({}), "shop"), stdout=place.scratch / "rendered")
    assert "metadata: {name: shop}" in (place.scratch / "rendered").read_text()
    assert PASSWORD not in str(place.do.commands)
    shutil.rmtree(place.scratch / "charts")
    with pytest.raises(StepFailed, match="helm exited with 1"):
        place.do(_helm(job, place.do, {**helm, "repository": f"{repository}/."}, kubectl, Kinds({}), "shop"))
