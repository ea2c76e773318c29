"""A stack of Kubernetes through the whole service, in a sandbox that shows nothing of the test's own directory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.runs import RunStatus
from tests.e2e.station import Repo, document
from tests.integration.loop.machine import Machine
from tests.needs import needs
from tests.tools.cluster import PROGRAMS, TOKEN, Cluster

pytestmark = [pytest.mark.xdist_group("kubernetes"), needs(*PROGRAMS, "helm", "bwrap")]

CHART = """
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: "{{ .Values.password }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pages}
data: {index: "{{ .Values.title }}"}
"""

NEVER_READY = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: "example.invalid/web:1"}]}
"""


def test_a_chart_with_a_kubeconfig_and_a_password_from_the_secrets(
    repo: Repo, new_machine: Callable[..., Machine], cluster: Cluster, tmp_path: Path
) -> None:
    cluster.kubectl("create", "namespace", "whole")
    secrets = tmp_path / "secrets" / "root"
    secrets.mkdir(parents=True)
    authority = base64.b64encode(cluster.authority.read_bytes()).decode()
    kubeconfig = cluster.kubeconfig.read_text().replace(
        f'certificate-authority: "{cluster.authority}"', f"certificate-authority-data: {authority}"
    )
    for name, text in {"cluster": kubeconfig, "values": "password: hunter2-of-the-shop\n"}.items():
        (secrets / name).write_text(text)
        (secrets / name).chmod(0o600)
    spec = {
        "tool": "kubernetes",
        "toolVersion": ">=1.30",
        "source": {"path": "./web", "include": ["charts/web/**"]},
        "env": {"KUBECONFIG": "kubeconfig"},
        "hooks": {"after": {"apply": ['echo \'{"address": "here"}\' > $STATION_OUTPUTS']}},
        "files": {"kubeconfig": {"file": "cluster"}, "secret.yaml": {"file": "values"}},
        "kubernetes": {
            "namespace": "whole",
            "wait": "1s",
            "helm": {"chart": "../charts/web", "values": {"title": "The shop"}, "valueFiles": ["secret.yaml"]},
        },
    }
    repo.commit(
        {
            "web.yaml": document("Stack", "web", spec),
            "web/README": "The values are elsewhere.\n",
            "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
            "charts/web/templates/all.yaml": CHART,
        }
    )
    machine = new_machine(repo.url, secrets_dir=tmp_path / "secrets", writable_paths=())
    (run,) = machine.reconcile().runs
    assert run.status is RunStatus.FINISHED, machine.log(run)
    key = json.loads(cluster.kubectl("get", "secret", "key", "--namespace=whole", "--output=json"))
    assert base64.b64decode(key["data"]["password"]) == b"hunter2-of-the-shop"
    assert (
        cluster.kubectl("get", "configmap", "pages", "--namespace=whole", "--output=jsonpath={.data.index}")
        == "The shop"
    )
    with machine.service.store.reading() as reading:
        resources = reading.resources(run.stack)
    assert [resource.address for resource in resources] == ["ConfigMap/whole/pages", "Secret/whole/key"]

    repo.commit({"charts/web/templates/more.yaml": NEVER_READY})
    (run,) = machine.reconcile().runs
    assert (run.status, "not ready" in run.message) == (RunStatus.FAILED, True)
    with machine.service.store.reading() as reading:
        left, outputs = reading.resources(run.stack), reading.outputs(run.stack)
    assert [resource.address for resource in left] == [
        "ConfigMap/whole/pages",
        "Secret/whole/key",
        "Deployment.apps/whole/shop",
    ]
    assert [(output.name, output.value) for output in outputs] == [("address", "here")]
    machine.close()
    kept = [path for path in machine.settings.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    secret = [b"hunter2-of-the-shop", base64.b64encode(b"hunter2-of-the-shop"), TOKEN.encode()]
    assert [path for path in kept if any(each in path.read_bytes() for each in secret)] == []
