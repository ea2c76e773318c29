"""Stacks of manifests, kustomizations and charts, applied to a real API server by the real kubectl and helm."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.results import Action, Planned
from reconciler.tools.base import StepFailed
from tests.integration.tools.stand import Stand, stand
from tests.needs import needs
from tests.tools.cluster import PROGRAMS, Cluster

__all__ = ["stand"]

pytestmark = [pytest.mark.xdist_group("kubernetes"), needs(*PROGRAMS, "helm")]


def actions(planned: Planned) -> dict[str, Action]:
    return {change.address.split("/", 1)[1].split("/", 1)[-1]: change.action for change in planned.changes}


def config(name: str, text: str = "hello", **metadata: Any) -> str:
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"text": text}}
    )


def deployment(name: str, replicas: int | None = 0, image: str = "example.invalid/web:1") -> str:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


def test_from_nothing_to_nothing(stand: Stand) -> None:
    stand.write(one=config("one"), below__two=config("two"))
    planned = stand.plan()
    assert actions(planned) == {"one": Action.CREATE, "two": Action.CREATE}
    assert planned.changes[0].address == f"ConfigMap/{stand.namespace}/one"
    assert (planned.changes[0].type, planned.changes[0].provider) == ("ConfigMap", "kubernetes")
    assert stand.names() == []
    applied = stand.tool.apply(stand.job, stand.place.do)
    assert [resource.address for resource in applied.resources or ()] == [
        f"ConfigMap/{stand.namespace}/one",
        f"ConfigMap/{stand.namespace}/two",
    ]
    assert not stand.plan().has_changes
    stand.write(one=config("one", "other"))
    changed = stand.plan()
    assert actions(changed) == {"one": Action.UPDATE, "two": Action.DELETE}
    assert (changed.changes[0].before["data"], changed.changes[0].after["data"]) == (
        {"text": "hello"},
        {"text": "other"},
    )
    stand.tool.apply(stand.job, stand.place.do)
    assert (stand.names(), stand.inventory()) == (["one"], ["ConfigMap/one"])
    assert actions(stand.destroy()) == {"one": Action.DELETE}
    assert stand.config_maps() == {}
    assert not stand.plan().has_changes


def test_what_somebody_changed_with_kubectl_is_drift_and_is_put_back(stand: Stand) -> None:
    stand.write(one=config("one"), two=config("two"))
    stand.apply()
    stand.kubectl("patch", "configmap", "one", "--type=merge", '--patch={"data":{"text":"meddled"}}')
    stand.kubectl("delete", "configmap", "two")
    planned = stand.plan()
    assert actions(planned) == {"one": Action.UPDATE, "two": Action.CREATE}
    assert {(it.address.rsplit("/", 1)[1], it.action) for it in planned.drifted} == {
        ("one", Action.UPDATE),
        ("two", Action.DELETE),
    }
    assert planned.drifted[0].after["data"] == {"text": "meddled"}
    stand.tool.apply(stand.job, stand.place.do)
    assert stand.config_maps()["one"] == {"text": "hello"}
    assert not stand.plan().has_changes


def test_fields_that_nobody_put_into_the_source_are_left_alone(stand: Stand) -> None:
    stand.write(web=deployment("web", None))
    stand.apply()
    stand.kubectl("scale", "deployment/web", "--replicas=0")
    stand.kubectl("annotate", "deployment/web", "by=hand")
    assert not stand.plan().has_changes


def test_a_conflict_names_the_object_the_manager_and_the_field(stand: Stand) -> None:
    stand.write(web=deployment("web", 0))
    stand.apply()
    autoscaler = deployment("web", 3)
    stand.kubectl(
        "apply", "--server-side", "--field-manager=autoscaler", "--force-conflicts", "--filename=-", stdin=autoscaler
    )
    with pytest.raises(StepFailed) as failed:
        stand.plan()
    assert str(failed.value) == (
        f'Deployment {stand.namespace}/web: "autoscaler" manages .spec.replicas: '
        "leave these fields out of the source, or set kubernetes.forceConflicts"
    )
    planned = stand.plan(forceConflicts=True)
    assert (planned.changes[0].before["spec"]["replicas"], planned.changes[0].after["spec"]["replicas"]) == (3, 0)
    stand.tool.apply(stand.job, stand.place.do)
    assert stand.kubectl("get", "deployment", "web", "--output=jsonpath={.spec.replicas}") == "0"


def test_an_object_that_was_there_is_taken_over_and_shown_as_that(stand: Stand) -> None:
    stand.kubectl("apply", "--filename=-", stdin=config("one"))
    stand.write(one=config("one"))
    planned = stand.plan()
    assert actions(planned) == {"one": Action.IMPORT}
    assert planned.changes[0].imported_id
    stand.tool.apply(stand.job, stand.place.do)
    assert not stand.plan().has_changes


CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: KINDs.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: KIND, plural: KINDs, singular: KIND}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: "self.size < 10", message: out of luck}]
            properties: {size: {type: integer} MORE}
"""


def crd(kind: str, more: str = "") -> str:
    return (
        CRD.replace("KINDs", f"{kind.lower()}s")
        .replace("KIND", kind)
        .replace(" MORE", more)
        .replace(f"singular: {kind}", f"singular: {kind.lower()}")
    )


def custom(kind: str, size: int, **metadata: Any) -> str:
    manifest = {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "a", **metadata}}
    return json.dumps({**manifest, "spec": {"size": size}})


def test_kinds_and_namespaces_that_are_new_come_first(stand: Stand) -> None:
    new = f"{stand.namespace}-new"
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {new}}}\n"
    stand.write(a=custom("Widget", 1), b=config("in-new", namespace=new), crd=crd("Widget"), ns=namespace)
    planned = stand.plan()
    by_kind = {change.type.split(".")[0]: change for change in planned.changes}
    assert [change.type.split(".")[0] for change in planned.changes] == [
        "CustomResourceDefinition",
        "Namespace",
        "ConfigMap",
        "Widget",
    ]
    assert {change.action for change in planned.changes} == {Action.CREATE}
    assert by_kind["Widget"].after["not checked"] == "its kind is new"
    assert by_kind["ConfigMap"].after["not checked"] == "its namespace is new"
    assert "not checked" not in by_kind["CustomResourceDefinition"].after
    applied = stand.tool.apply(stand.job, stand.place.do)
    assert len(applied.resources or ()) == 4
    assert not stand.plan().has_changes
    # What the changed definition allows cannot be tried before it is there.
    stand.write(
        a=custom("Widget", 2),
        b=config("in-new", namespace=new),
        crd=crd("Widget", ", color: {type: string}"),
        ns=namespace,
    )
    assert stand.plan().changes[1].after["not checked"] == "the definition of its kind changes"
    stand.tool.apply(stand.job, stand.place.do)
    assert stand.kubectl("get", "widgets", "--output=jsonpath={.items[*].spec.size}") == "2"
    assert [change.type.split(".")[0] for change in stand.destroy().changes] == [
        "Widget",
        "ConfigMap",
        "Namespace",
        "CustomResourceDefinition",
    ]


EXAMPLE = Path(__file__).parents[3] / "examples" / "tools" / "kubernetes" / "manifests"


def test_the_example_makes_the_namespace_of_its_own_inventory(stand: Stand) -> None:
    stand.namespace = "shop"
    stand.write(**{file.stem: file.read_text() for file in EXAMPLE.iterdir()})
    made = {"Namespace/shop", "ConfigMap/shop/pages", "Service/shop/web", "Deployment.apps/shop/web"}
    planned = stand.apply_planned(namespace="shop")
    assert {change.address for change in planned.changes} == made
    assert "Namespace/shop" in stand.inventory()
    assert not stand.plan().has_changes
    assert {change.address for change in stand.destroy().changes} == made


def test_a_failure_in_the_middle_leaves_what_was_made_in_the_inventory(stand: Stand) -> None:
    stand.write(a=custom("Gadget", 99), b=config("one"), crd=crd("Gadget"))
    stand.plan()
    with pytest.raises(StepFailed) as failed:
        stand.tool.apply(stand.job, stand.place.do)
    assert "out of luck" in stand.place.do.printed
    left = failed.value.left
    assert left is not None
    assert {it.address.rsplit("/", 1)[1] for it in left.resources or ()} == {"one", "gadgets.example.com"}
    assert stand.names() == ["one"]
    assert "ConfigMap/one" in stand.inventory()
    stand.write(b=config("two"))
    assert actions(stand.plan()) == {
        "two": Action.CREATE,
        "one": Action.DELETE,
        "gadgets.example.com": Action.DELETE,
    }
    stand.tool.apply(stand.job, stand.place.do)
    assert (stand.names(), stand.inventory()) == (["two"], ["ConfigMap/two"])


def test_a_protected_object_that_was_there_before_is_let_go(stand: Stand) -> None:
    own = f"{stand.namespace}-own"
    both = [f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in (stand.namespace, own)]
    stand.write(one=config("one"), ns="---\n".join(both))
    stand.apply()
    stand.write(one=config("one"))
    assert actions(stand.plan()) == {own: Action.DELETE, stand.namespace: Action.FORGET}
    stand.tool.apply(stand.job, stand.place.do)
    assert stand.inventory() == ["ConfigMap/one"]


def test_an_object_that_is_to_be_kept_is_let_go(stand: Stand) -> None:
    ours, helms = {"stationkeeper/prune": "false"}, {"helm.sh/resource-policy": "keep"}
    stand.write(one=config("one"), two=config("two", annotations=ours), three=config("three", annotations=helms))
    stand.apply()
    stand.write(one=config("one"))
    assert actions(stand.apply_planned()) == {"two": Action.FORGET, "three": Action.FORGET}
    assert stand.names() == ["one", "three", "two"]
    assert stand.inventory() == ["ConfigMap/one"]


def test_what_two_stacks_share_is_not_deleted_by_one(stand: Stand) -> None:
    other = replace(stand.job, stack="root/other")
    stand.write(one=config("one"), two=config("shared"))
    stand.apply()
    stand.tool.plan(other, stand.place.do)
    stand.tool.apply(other, stand.place.do)
    stand.write(one=config("one"))
    assert actions(stand.apply_planned()) == {"shared": Action.FORGET}
    assert stand.names() == ["one", "shared"]


def test_a_namespace_that_holds_another_stacks_inventory_is_not_deleted(stand: Stand) -> None:
    own = f"{stand.namespace}-own"
    stand.write(one=config("one"), ns=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}}}\n")
    stand.apply()
    stand.write(two=config("two"))
    other = replace(stand.job, stack="shop/web", options={"namespace": own, "wait": 0})
    stand.tool.plan(other, stand.place.do)
    stand.tool.apply(other, stand.place.do)
    with pytest.raises(StepFailed, match=f"Namespace {own} would be deleted, and shop/web would lose what is in it"):
        stand.plan()


def test_without_pruning_objects_stay_until_the_stack_is_destroyed(stand: Stand) -> None:
    stand.write(one=config("one"), two=config("two"))
    stand.apply(prune=False)
    stand.write(one=config("one", "other"))
    assert actions(stand.apply_planned()) == {"one": Action.UPDATE}
    assert stand.names() == ["one", "two"]
    assert actions(stand.destroy()) == {"one": Action.DELETE, "two": Action.DELETE}
    assert stand.names() == []


def test_values_of_secrets_are_shown_nowhere(stand: Stand) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "key"},
        "stringData": {"password": "hunter2-first"},
    }
    stand.write(a=json.dumps(secret), b=config("copy", "it is hunter2-first"))
    planned = stand.plan()
    applied = stand.tool.apply(stand.job, stand.place.do)
    secret["stringData"] = {"password": "hunter2-second"}
    stand.write(a=json.dumps(secret), b=config("copy", "it is hunter2-first"))
    changed = stand.plan()
    assert {change.address.rsplit("/", 1)[1]: change.action for change in changed.changes} == {"key": Action.UPDATE}
    seen = repr((planned, applied, changed))
    assert "hunter2" not in seen
    assert "aHVudGVyMi" not in seen
    assert planned.changes[0].after["data"] == {"password": "(sensitive)"}
    assert stand.place.do.printed.count("hunter2") == 0
    stand.tool.apply(stand.job, stand.place.do)
    assert stand.kubectl("get", "secret", "key", "--output=jsonpath={.data.password}") == "aHVudGVyMi1zZWNvbmQ="


def test_a_plan_that_is_not_true_any_more_is_not_applied(stand: Stand) -> None:
    stand.write(one=config("one"), web=deployment("web", 0))
    stand.apply()
    stand.write(one=config("one", "other"), web=deployment("web", 0), new=config("new"))
    stand.plan()
    stand.kubectl("label", "configmap", "one", "unrelated=yes")
    stand.kubectl("patch", "configmap", "one", "--type=merge", '--patch={"data":{"text":"meddled"}}')
    stand.kubectl("create", "configmap", "new")
    with pytest.raises(StepFailed) as failed:
        stand.tool.apply(stand.job, stand.place.do)
    assert f"ConfigMap {stand.namespace}/new is there by now; ConfigMap {stand.namespace}/one has changed" in str(
        failed.value
    )
    stand.plan()
    stand.kubectl("label", "--overwrite", "configmap", "one", "unrelated=no")
    stand.tool.apply(stand.job, stand.place.do)


def test_a_rollout_is_waited_for_until_the_deadline(stand: Stand) -> None:
    stand.write(web=deployment("web", 0))
    stand.apply(wait=20)
    stand.write(web=deployment("web", 1))
    stand.plan(wait=2)
    began = time.monotonic()
    with pytest.raises(StepFailed) as failed:
        stand.tool.apply(stand.job, stand.place.do)
    assert 2 <= time.monotonic() - began < 15
    assert f"not ready within 2 s: Deployment {stand.namespace}/web: " in str(failed.value)
    assert "0 of 1 replicas are available" in str(failed.value)
    assert f"waiting for Deployment {stand.namespace}/web: " in stand.place.do.printed
    # It does not pass for complete only because nothing is left to apply.
    with pytest.raises(StepFailed, match="not ready within 1 s"):
        stand.plan(wait=1)
    there = stand.plan(wait=0).there or ()
    assert [it.address for it in there] == [f"Deployment.apps/{stand.namespace}/web"]


def test_a_kustomization(stand: Stand) -> None:
    base = stand.place.work / "base"
    stand.write(
        kustomization="resources: [base]\nnamePrefix: my-\nconfigMapGenerator: [{name: made, literals: [text=one]}]\n",
        base__kustomization="resources: [one.yaml]\n",
        base__one=config("one"),
    )
    assert base.is_dir()
    names = [name.split("-h")[0].split("-6")[0] for name in actions(stand.apply_planned())]
    assert sorted(name[:7] for name in names) == ["my-made", "my-one"]


CHART = {
    "chart__Chart": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
    "chart__values": "text: from the chart\nother: kept\n",
    "chart__templates__all": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-web", namespace: "{{ .Release.Namespace }}"}
data: {text: "{{ .Values.text }}", other: "{{ .Values.other }}", kinds: '{{ .Capabilities.APIVersions.Has "apps/v1" }}'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hook, annotations: {helm.sh/hook: pre-install}}
""",
}


def test_a_chart(stand: Stand) -> None:
    stand.write(**CHART, values="text: from the file\nother: file\n")
    helm = {"chart": "chart", "release": "shop", "valueFiles": ["values.yaml"], "values": {"text": "from the document"}}
    planned = stand.apply_planned(helm=helm)
    assert actions(planned) == {"shop-web": Action.CREATE}
    assert stand.config_maps()["shop-web"] == {"text": "from the document", "other": "file", "kinds": "true"}
    assert not stand.plan().has_changes


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        pytest.param({"a": "# nothing\n"}, {}, "the source holds no object", id="comments"),
        pytest.param({"a": "kind: [\n"}, {}, "error: error parsing a.yaml", id="broken YAML"),
        pytest.param({"a": config("one", namespace="nowhere")}, {}, '"nowhere" not found', id="no namespace"),
        pytest.param({"a": config("one").replace('"data"', '"date"')}, {}, 'unknown field "date"', id="field"),
        pytest.param(
            {"a": deployment("web").replace("v1", "v9")}, {}, 'no matches for kind "Deployment"', id="version"
        ),
        pytest.param({"kustomization": "resources: [missing]\n"}, {}, "accumulating resources", id="kustomize"),
        pytest.param({}, {"helm": {"chart": "chart"}}, "the source has no chart chart", id="no chart"),
        pytest.param(
            {"chart__Chart": CHART["chart__Chart"], "chart__templates__a": "{{ .Values.x.y }}"},
            {"helm": {"chart": "chart"}},
            "nil pointer evaluating",
            id="a chart that does not render",
        ),
    ],
)
def test_sources_that_cannot_be_applied(
    stand: Stand, files: dict[str, str], options: dict[str, Any], said: str
) -> None:
    stand.write(**files)
    with pytest.raises(StepFailed) as failed:
        stand.plan(**options)
    assert said in f"{stand.place.do.printed}{failed.value}"


class Road:
    """Leads to the API server, except while it is closed."""

    def __init__(self, cluster: Cluster) -> None:
        self._target = int(cluster.url.rpartition(":")[2])
        self._server: socket.socket | None = None
        self._port = 0
        self.open()
        self.url = f"https://127.0.0.1:{self._port}"

    def open(self) -> None:
        if self._server is None:
            self._server = socket.create_server(("127.0.0.1", self._port))
            self._port = self._server.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError), one, other:
            while data := one.recv(65536):
                other.sendall(data)


@pytest.fixture
def road(stand: Stand) -> Iterator[Road]:
    it = Road(stand.cluster)
    text = stand.cluster.kubeconfig.read_text().replace(stand.cluster.url, it.url)
    (stand.place.home / "kubeconfig").write_text(text)
    stand.place.do.environment["KUBECONFIG"] = str(stand.place.home / "kubeconfig")
    yield it
    it.close()


def test_an_api_that_goes_away_while_something_is_applied(stand: Stand, road: Road) -> None:
    stand.write(one=config("one"), two=config("two"))
    stand.plan()

    def cut(command: Sequence[str]) -> None:
        if "apply" in command:
            road.close()

    stand.place.do.before = cut
    with pytest.raises(StepFailed):
        stand.tool.apply(stand.job, stand.place.do)
    assert "connection refused" in stand.place.do.printed
    assert stand.names() == []
    stand.place.do.before = None
    road.open()
    stand.apply()
    assert stand.names() == ["one", "two"]


def test_an_api_that_is_away_for_a_while_is_waited_for(stand: Stand, road: Road) -> None:
    stand.write(web=deployment("web", 0))
    stand.plan(wait=20)
    looks = itertools.count()

    def cut(command: Sequence[str]) -> None:
        # After the first look, which checks the plan, two fail.
        if "get" in command and next(looks) in {1, 2}:
            road.close()
        else:
            road.open()

    stand.place.do.before = cut
    assert len(stand.tool.apply(stand.job, stand.place.do).resources or ()) == 1
    assert "waiting for an answer of the API" in stand.place.do.printed


def test_without_a_namespace_the_kubeconfig_says_which(stand: Stand) -> None:
    text = stand.cluster.kubeconfig.read_text().replace("context: {", f"context: {{namespace: {stand.namespace}, ")
    (stand.place.home / "kubeconfig").write_text(text)
    stand.place.do.environment["KUBECONFIG"] = str(stand.place.home / "kubeconfig")
    stand.job = replace(stand.job, options={"wait": 0, "context": "tests"})
    stand.write(one=config("one"))
    stand.apply()
    assert (stand.names(), stand.inventory()) == (["one"], ["ConfigMap/one"])


def test_an_inventory_that_was_lost_is_made_again(stand: Stand) -> None:
    stand.write(one=config("one"), two=config("two"))
    stand.apply()
    stand.kubectl("delete", "configmap", f"stationkeeper.root.{stand.namespace}")
    assert actions(stand.apply_planned()) == {"one": Action.IMPORT, "two": Action.IMPORT}
    assert stand.inventory() == ["ConfigMap/one", "ConfigMap/two"]


def test_a_stack_that_was_moved_keeps_its_inventory(stand: Stand) -> None:
    stand.write(one=config("one"), two=config("two"))
    stand.apply()
    stand.job = replace(stand.job, stack="shop/web")
    stand.write(one=config("one"))
    assert actions(stand.apply_planned(inventory=f"root/{stand.namespace}")) == {"two": Action.DELETE}


def test_an_api_that_is_not_there(stand: Stand) -> None:
    stand.write(one=config("one"))
    stand.job = replace(stand.job, env={})
    stand.place.do.environment.pop("KUBECONFIG")
    with pytest.raises(StepFailed, match="no document sets KUBECONFIG"):
        stand.plan()
