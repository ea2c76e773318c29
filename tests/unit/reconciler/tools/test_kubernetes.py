"""What the adapter of Kubernetes makes of objects, without a cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from posixpath import basename, dirname, normpath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.results import Action
from reconciler.tools.base import StepFailed, ToolJob
from reconciler.tools.kubernetes import inventory, saved
from reconciler.tools.kubernetes.conflicts import losses
from reconciler.tools.kubernetes.health import HealthStatus, ObjectHealth, health
from reconciler.tools.kubernetes.kubectl import Kinds
from reconciler.tools.kubernetes.manifests import prepared
from reconciler.tools.kubernetes.objects import in_order, items_of, key_of
from reconciler.tools.kubernetes.plan import PlanInput, decide
from reconciler.tools.registry import tool

KINDS = Kinds(
    {
        "ConfigMap": ("v1", True),
        "Secret": ("v1", True),
        "Namespace": ("v1", False),
        "Deployment.apps": ("apps/v1", True),
        "CustomResourceDefinition.apiextensions.k8s.io": ("apiextensions.k8s.io/v1", False),
    }
)


def live(version: str, kind: str, status: Any = None, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "it", "namespace": "shop", "uid": "1", **metadata},
        **({} if spec is None else {"spec": spec}),
        **({} if status is None else {"status": status}),
    }


def condition(kind: str, status: str, message: str = "because") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "message": message}]}


READY, PROGRESSING, FAILED = HealthStatus.READY, HealthStatus.PROGRESSING, HealthStatus.FAILED
SEEN = {"observedGeneration": 1}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(live("v1", "ConfigMap"), ObjectHealth(READY), id="says nothing"),
        pytest.param(
            live("v1", "ConfigMap", deletionTimestamp="now"),
            ObjectHealth(PROGRESSING, "it is being deleted"),
            id="going",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {"observedGeneration": 1, "availableReplicas": 1}, generation=2),
            ObjectHealth(PROGRESSING, "its controller has not seen it yet"),
            id="not seen",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {}),
            ObjectHealth(PROGRESSING, "its controller has not seen it yet"),
            id="no status",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {**SEEN, "replicas": 3, "updatedReplicas": 1}, {"replicas": 3}),
            ObjectHealth(PROGRESSING, "1 of 3 replicas are updated"),
            id="rolls out",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {**SEEN, "replicas": 4, "updatedReplicas": 3}, {"replicas": 3}),
            ObjectHealth(PROGRESSING, "1 old replicas are still there"),
            id="old ones",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {**SEEN, **condition("Progressing", "False")}, {"replicas": 1}),
            ObjectHealth(FAILED, "because"),
            id="deadline of its own",
        ),
        pytest.param(
            live("apps/v1", "Deployment", {**SEEN, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}),
            ObjectHealth(READY),
            id="rolled out",
        ),
        pytest.param(
            live("apps/v1", "StatefulSet", {**SEEN, "readyReplicas": 2, "updatedReplicas": 1}, {"replicas": 2}),
            ObjectHealth(PROGRESSING, "1 of 2 replicas are updated"),
            id="a set is updated",
        ),
        pytest.param(
            live(
                "apps/v1",
                "StatefulSet",
                {**SEEN, "readyReplicas": 2, "updatedReplicas": 1},
                {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
            ),
            ObjectHealth(READY),
            id="a set with a partition",
        ),
        pytest.param(
            live("apps/v1", "DaemonSet", {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}),
            ObjectHealth(PROGRESSING, "0 of 2 Pods are available"),
            id="a daemon",
        ),
        pytest.param(
            live("batch/v1", "Job", condition("Failed", "True")), ObjectHealth(FAILED, "because"), id="failed job"
        ),
        pytest.param(live("batch/v1", "Job", condition("Complete", "True")), ObjectHealth(READY), id="complete job"),
        pytest.param(
            live("batch/v1", "Job", {"succeeded": 1}, {"completions": 2}),
            ObjectHealth(PROGRESSING, "1 of 2 Pods have succeeded"),
            id="running job",
        ),
        pytest.param(
            live("v1", "PersistentVolumeClaim", {"phase": "Pending"}),
            ObjectHealth(PROGRESSING, "no volume is bound to it"),
            id="claim",
        ),
        pytest.param(live("v1", "Pod", {"phase": "Succeeded"}), ObjectHealth(READY), id="pod that is done"),
        pytest.param(live("v1", "Pod", {"phase": "Failed"}), ObjectHealth(FAILED, "it has failed"), id="failed pod"),
        pytest.param(live("example.com/v1", "It", condition("Ready", "True")), ObjectHealth(READY), id="custom"),
        pytest.param(
            live("example.com/v1", "It", condition("Ready", "False")),
            ObjectHealth(PROGRESSING, "because"),
            id="custom, soon",
        ),
        pytest.param(
            live("example.com/v1", "It", condition("Stalled", "True")),
            ObjectHealth(FAILED, "because"),
            id="custom, stalled",
        ),
        pytest.param(
            live("example.com/v1", "It", {"conditions": {"Ready": False}}), ObjectHealth(READY), id="own shape"
        ),
        pytest.param(live("example.com/v1", "It", {"conditions": 5}), ObjectHealth(READY), id="no list"),
    ],
)
def test_health(manifest: dict[str, Any], expected: ObjectHealth) -> None:
    assert health(manifest) == expected


def managed(*entries: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    fields = [{"manager": name, "operation": "Update", "fieldsV1": it, **more} for name, it in entries]
    return live("apps/v1", "Deployment", managedFields=fields)


CONTAINER = {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:args": {}}}}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(managed(("helm", CONTAINER)), managed(("helm", CONTAINER)), [], id="keeps all"),
        pytest.param(managed(("us", CONTAINER)), managed(), [], id="our own"),
        pytest.param(
            managed(("helm", CONTAINER)),
            managed(),
            ['"helm" manages .spec.containers[name="web"].args, .spec.containers[name="web"].image'],
            id="loses all",
        ),
        pytest.param(
            managed(("helm", {"f:data": {"f:a": {}, "f:b": {}}}), ("kubectl", {"f:data": {"f:c": {}}})),
            managed(("helm", {"f:data": {"f:b": {}}})),
            ['"helm" manages .data.a', '"kubectl" manages .data.c'],
            id="some of two",
        ),
        pytest.param(managed(("x", {"f:status": {}}), subresource="status"), managed(), [], id="a status"),
        pytest.param(
            managed(("x", {"f:metadata": {"f:finalizers": {'v:"a"': {}}}})),
            managed(),
            ['"x" manages .metadata.finalizers[="a"]'],
            id="a value",
        ),
    ],
)
def test_what_others_would_lose(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    assert [loss.words for loss in losses(before, after, "us")] == expected


def test_objects_come_after_what_they_refer_to() -> None:
    kinds = [
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("example.com/v1", "Custom"),
        ("apps/v1", "Deployment"),
        ("v1", "ConfigMap"),
        ("v1", "ServiceAccount"),
        ("v1", "Namespace"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ]
    ordered = sorted((live(*each) for each in kinds), key=in_order)
    assert [manifest["kind"] for manifest in ordered] == [kind for _, kind in reversed(kinds)]


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        pytest.param("shop/web", "stationkeeper.shop.web", id="short"),
        pytest.param(f"{'a' * 63}/{'b' * 63}", None, id="as long as can be"),
    ],
)
def test_the_inventory_has_the_stacks_name(stack: str, expected: str | None) -> None:
    name = inventory.name_of(stack)
    assert len(name) <= 128
    assert name == expected or (expected is None and name != inventory.name_of(f"{stack[:-1]}c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(None, "the inventory it has a shape that is not known", id="nothing"),
        pytest.param("[", "the inventory it is not JSON", id="no JSON"),
        pytest.param('[{"kind": "ConfigMap"}]', "the inventory has a shape that is not known", id="other JSON"),
    ],
)
def test_an_inventory_that_somebody_broke(text: str | None, message: str) -> None:
    with pytest.raises(StepFailed, match=message):
        inventory.read({**live("v1", "ConfigMap"), "data": {} if text is None else {"objects.json": text}})


class Files:
    """A repository without links."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def read(self, path: str) -> bytes | None:
        found = self._files.get(normpath(path))
        return None if found is None else found.encode()

    def listing(self, path: str) -> Sequence[tuple[str, str]] | None:
        here = normpath(path or ".")
        if here != "." and not any(file.startswith(f"{here}/") for file in self._files):
            return None
        return [(basename(file), text) for file, text in self._files.items() if (dirname(file) or ".") == here]

    def directories(self, path: str) -> Sequence[str]:
        return []

    def real(self, path: str) -> str:
        return normpath(path)


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        pytest.param({"apps/web/a.yaml": "kind: ConfigMap\n"}, set(), id="no kustomization"),
        pytest.param({"apps/web/kustomization.yaml": "resources: [a.yaml, below]\n"}, set(), id="nothing outside"),
        pytest.param(
            {
                "apps/web/kustomization.yaml": "resources: [../../base]\ncomponents: [../extra]\n",
                "base/Kustomization": "resources: [../common, one.yaml]\n",
                "common/kustomization.yml": "resources: [../base]\n",
            },
            {"base", "apps/extra", "common", "base/one.yaml"},
            id="bases of bases, in a circle",
        ),
        pytest.param(
            {
                "apps/web/kustomization.yaml": (
                    "patches: [{path: ../p.yaml}, {patch: '- op: add'}]\nopenapi: {path: ../o.json}\n"
                    "configMapGenerator: [{files: [a=../a.txt, ../b.txt], envs: [../c.env]}]\n"
                    "secretGenerator: [{env: ../d.env}]\nreplacements: [{path: ../r.yaml}]\n"
                )
            },
            {f"apps/{name}" for name in ("p.yaml", "o.json", "a.txt", "b.txt", "c.env", "d.env", "r.yaml")},
            id="files",
        ),
        pytest.param(
            {"apps/web/kustomization.yaml": "resources: [https://example.org/x, github.com/a/b, git@host:x]\n"},
            set(),
            id="elsewhere",
        ),
        pytest.param({"apps/web/kustomization.yaml": "resources: [\n"}, set(), id="broken"),
        pytest.param({"apps/web/kustomization.yaml": "resources: {a: b}\npatches: 3\n"}, set(), id="another shape"),
    ],
)
def test_what_kustomizations_use_elsewhere(files: dict[str, str], paths: set[str]) -> None:
    found = tool("kubernetes").references(Files(files), "apps/web")
    assert (set(found.paths), found.problems) == (paths, ())


def test_a_kustomization_that_leaves_the_repository_is_refused() -> None:
    found = tool("kubernetes").references(Files({"web/kustomization.yaml": "resources: [../../other]\n"}), "web")
    assert found.problems == ('"../../other" in the kustomization of web leaves the repository',)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            [live("example.org/v1", "Unknown")],
            r'the cluster knows no kind Unknown in example\.org/v1, which "it" is of',
            id="unknown kind",
        ),
        pytest.param([live("v1", "ConfigMap")] * 2, "ConfigMap shop/it is in the source twice", id="twice"),
        pytest.param([live("v1", "ConfigMap", name="")], r"kind ConfigMap has no metadata\.name", id="no name"),
        pytest.param([live("", "ConfigMap")], "of the kind ConfigMap has no apiVersion", id="no version"),
        pytest.param([live("v1", "ConfigMap", namespace=5)], r"metadata\.namespace that is no text", id="namespace"),
    ],
)
def test_sources_that_cannot_be_applied(found: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(StepFailed, match=message):
        prepared(found, KINDS, "shop", "root/it")


def test_what_is_no_object_of_the_cluster_is_left_out() -> None:
    others = [live("stationkeeper/v1", "Stack"), live("v1", "Config"), live("v1", "ConfigMap")]
    assert [manifest["kind"] for manifest in prepared(others, KINDS, "shop", "root/it")] == ["ConfigMap"]


WORDS = st.sampled_from(
    ["v1", "apps/v1", "apiextensions.k8s.io/v1", "ConfigMap", "Secret", "Namespace", "it", "served"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
SPEC = st.fixed_dictionaries({}, optional=dict.fromkeys(("group", "scope", "names", "versions", "replicas"), ANYTHING))
METADATA = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"])},
    optional=dict.fromkeys(("namespace", "annotations", "labels", "managedFields", "generation", "uid"), ANYTHING),
)
MANIFEST = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(["v1", "apps/v1", "apiextensions.k8s.io/v1", "x.io/v1", ""]) | ANYTHING,
        "kind": st.sampled_from(["ConfigMap", "Secret", "Namespace", "Deployment", "CustomResourceDefinition"])
        | ANYTHING,
        "metadata": METADATA | ANYTHING,
    },
    optional={"spec": SPEC | ANYTHING, "status": ANYTHING, "data": ANYTHING, "stringData": ANYTHING},
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MANIFEST, max_size=3))
def test_any_source_is_read_or_refused(found: list[Any]) -> None:
    with contextlib.suppress(StepFailed):
        wanted = prepared(items_of({"kind": "List", "items": found}), KINDS, "shop", "root/it")
        unchecked = {key_of(manifest): "new" for manifest in wanted}
        answer = decide(PlanInput("us", wanted, unchecked, {}, {}, {}, {}))
        assert [change.action for change in answer.changes] == [Action.CREATE] * len(wanted)
        json.dumps([change.after for change in answer.changes])


@settings(max_examples=200, deadline=None)
@given(ANYTHING, ANYTHING)
def test_any_status_has_a_health(status: Any, spec: Any) -> None:
    for version, kind in (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("x.io/v1", "X")):
        assert health(live(version, kind, status, spec)).status in HealthStatus


def test_an_object_of_a_kind_that_the_cluster_does_not_know_stays_listed() -> None:
    entry, gone = (inventory.AppliedObject(key_of(live(version, "It")), version) for version in ("x.io/v1", "v1"))
    question = PlanInput("us", [], {}, {gone.key: gone.reference}, {}, {}, {it.key: it for it in (entry, gone)})
    answer = decide(question)
    assert (answer.changes, answer.entries) == ((), (entry,))


def test_a_saved_plan_says_what_has_changed_since(tmp_path: Path) -> None:
    before = {**live("v1", "ConfigMap"), "data": {"a": "1", "b": "1"}}
    after = {**before, "data": {"a": "2", "b": "1"}}
    wanted = {**before, "data": {"a": "2"}}
    key = key_of(before)
    job = ToolJob("", tmp_path, tmp_path, {})
    question = PlanInput("us", [wanted], {}, {key: before}, {key: before}, {key: after}, {})
    saved.save(job, decide(question), {}, "us", "shop")
    plan = saved.load(job)
    assert list(saved.outdated(plan, {key: {**before, "data": {"a": "1", "b": "other"}}})) == []
    assert list(saved.outdated(plan, {key: after})) == ["ConfigMap shop/it has changed"]
    assert list(saved.outdated(plan, {})) == ["ConfigMap shop/it is not there any more"]
    ours = {**before, "metadata": {**before["metadata"], "managedFields": [{"manager": "us", "operation": "Apply"}]}}
    entries = {key: inventory.AppliedObject(key, "v1")}
    saved.save(
        job, decide(replace(question, wanted=[], live={key: ours}, tried={}, inventory=entries)), entries, "us", "shop"
    )
    plan = saved.load(job)
    assert list(saved.outdated(plan, {key: ours})) == list(saved.outdated(plan, {})) == []
    another = {key: live("v1", "ConfigMap", uid="2")}
    assert list(saved.outdated(plan, another)) == ["ConfigMap shop/it is another one by now"]
