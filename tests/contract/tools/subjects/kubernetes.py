from __future__ import annotations

import itertools
import json
from functools import cached_property
from typing import Any, ClassVar

import pytest

from tests.contract.tools.subjects.base import SECRET, Subject
from tests.tools.cluster import PROGRAMS, Cluster

_numbers = itertools.count(1)


class TheSubject(Subject):
    tool = "kubernetes"
    needs = PROGRAMS
    marks: ClassVar = (pytest.mark.xdist_group("kubernetes"),)
    uses = ("cluster",)
    cluster: Cluster

    @cached_property
    def namespace(self) -> str:
        name = f"contract-{next(_numbers)}"
        self.cluster.kubectl("create", "namespace", name)
        return name

    def spec(self) -> dict[str, Any]:
        before, after = f"test ! -e hangs || touch {self.world}/hanging", "cp outputs $STATION_OUTPUTS"
        return {
            "kubernetes": {"namespace": self.namespace},
            "env": {"KUBECONFIG": str(self.cluster.kubeconfig)},
            "hooks": {"before": {"apply": [before]}, "after": {"apply": [after]}},
        }

    def files(self, text: str) -> dict[str, str]:
        outputs = {"greeting": f"hello {text}", "secret": {"value": SECRET, "sensitive": True}}
        return {"thing.yaml": self._thing(text), "outputs": json.dumps(outputs)}

    def failing(self) -> dict[str, str]:
        group = f"{self.namespace}.example.com"
        refused = {"type": "object", "x-kubernetes-validations": [{"rule": "false", "message": "out of luck"}]}
        kind = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"wishes.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": "Wish", "plural": "wishes"},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": refused}},
                ],
            },
        }
        wish = {"apiVersion": f"{group}/v1", "kind": "Wish", "metadata": {"name": "wish"}}
        return {"thing.yaml": "---\n".join([self._thing("half"), f"{json.dumps(kind)}\n", json.dumps(wish)])}

    def hanging(self) -> dict[str, str]:
        labels = {"app": "never"}
        pod = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "never", "image": "example.invalid/it"}]},
        }
        never = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "never"},
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        }
        return {"never.json": json.dumps(never), "hangs": "", "outputs": "{}"}

    def made(self) -> str | None:
        get = ("get", "configmap", "thing", f"--namespace={self.namespace}", "--ignore-not-found")
        return self.cluster.kubectl(*get, "--output=jsonpath={.data.text}") or None

    def meddle(self) -> None:
        patch = '--patch={"data":{"text":"meddled"}}'
        self.cluster.kubectl("patch", "configmap", "thing", f"--namespace={self.namespace}", "--type=merge", patch)

    def _thing(self, text: str) -> str:
        return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: thing}}\ndata: {{text: {text}}}\n"
