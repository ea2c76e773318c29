"""A cluster that does not answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from reconciler.engine.kubernetes import cluster as clusters
from reconciler.engine.kubernetes.cluster import Cluster, Unreachable

pytest.importorskip("kubernetes", reason="kubernetes is not installed")


def test_an_api_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "_SECONDS", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.getsockname()[1]}"}}],
            "users": [{"name": "it", "user": {"token": "x"}}],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        cluster = Cluster(tmp_path / "config", None)
        with pytest.raises(Unreachable, match="cannot be reached"):
            cluster.jobs("runs", "a=b")
        cluster.close()
        server.settimeout(0.5)
        server.accept()[0].close()
        with pytest.raises(TimeoutError):
            server.accept()
