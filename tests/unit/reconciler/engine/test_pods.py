"""The Job of a leg: what a pool says of it, what no pool can change, and that nothing in it is secret."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.phases import Leg
from reconciler.engine.ends import LegId
from reconciler.engine.kubernetes.pods import LegPod, job_of, name_of, secret_of
from reconciler.engine.kubernetes.reasons import why_ended, why_not_begun
from spaces.model.kubernetes_pool import KubernetesPool, overlay_problems

WHICH = LegId("01kjmma2g0000000000000000g", 2, Leg.APPLY)
POD = LegPod(WHICH, "shop/orders", "opentofu", "https://station.example.com", "me", timeout=100, grace=30)
POOL = {"namespace": "runs", "image": "station:1", "images": {"opentofu": "tofu:1"}}


def pod_of(**pool: Any) -> dict[str, Any]:
    spec = job_of(POD, KubernetesPool.model_validate(POOL | pool))["spec"]["template"]["spec"]
    return spec | {"runner": spec["containers"][0]}


def test_a_pod_is_as_its_pool_says() -> None:
    pod = pod_of(
        serviceAccount="deployer",
        resources={"requests": {"cpu": "1"}},
        nodeSelector={"pool": "runs"},
        tolerations=[{"key": "runs", "operator": "Exists"}],
        overlay={
            "spec": {
                "priorityClassName": "low",
                "containers": [{"name": "runner", "env": [{"name": "HTTPS_PROXY", "value": "p"}]}],
                "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
                "securityContext": {"runAsUser": 1000},
            }
        },
    )
    runner = pod["runner"]
    assert (runner["image"], runner["resources"]["requests"], pod["nodeSelector"]) == (
        "tofu:1",
        {"cpu": "1"},
        {"pool": "runs"},
    )
    assert (pod["serviceAccountName"], pod["priorityClassName"], pod["tolerations"][0]["key"]) == (
        "deployer",
        "low",
        "runs",
    )
    assert {"name": "HTTPS_PROXY", "value": "p"} in runner["env"]
    assert {volume["name"] for volume in pod["volumes"]} == {"ca", "station-work", "station-tmp", "station-leg"}
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


EVIL = {
    "spec": {
        "restartPolicy": "Always",
        "automountServiceAccountToken": True,
        "containers": [
            {"name": "runner", "args": ["x"], "command": ["sh"], "securityContext": {"privileged": True}},
        ],
        "initContainers": [{"name": "a", "image": "b", "securityContext": {"allowPrivilegeEscalation": True}}],
        "securityContext": {"runAsNonRoot": False},
    }
}


def test_what_no_overlay_can_change_is_as_it_was_even_where_nobody_checked_it() -> None:
    job = job_of(POD, KubernetesPool.model_validate(POOL | {"overlay": EVIL}))
    pod = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], pod["restartPolicy"], pod["automountServiceAccountToken"]) == (
        0,
        "Never",
        False,
    )
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["containers"], *pod["initContainers"]):
        security = container["securityContext"]
        assert not security["allowPrivilegeEscalation"]
        assert security["readOnlyRootFilesystem"]
        assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod["containers"][0]["command"][:2] == ["station", "worker"]
    assert "args" not in pod["containers"][0]


def test_the_token_is_in_the_secret_alone_which_goes_with_the_job() -> None:
    job, secret = job_of(POD, KubernetesPool.model_validate(POOL)), secret_of(POD, "hush.token", "u-1")
    assert "hush" not in str(job)
    assert (job["metadata"]["name"], secret["metadata"]["name"]) == (name_of(WHICH), name_of(WHICH))
    assert list(secret["data"]) == ["token"]
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert job["spec"]["activeDeadlineSeconds"] >= 600 + 100 + 30


@pytest.mark.parametrize(
    ("overlay", "at"),
    [
        ({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
        ({"spec": {"restartPolicy": "Always"}}, "spec.restartPolicy"),
        ({"spec": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}}, "spec.volumes.0.hostPath"),
        ({"spec": {"volumes": [{"name": "station-leg", "emptyDir": {}}]}}, "spec.volumes.0.name"),
        (
            {"spec": {"volumes": [{"name": "a", "secret": {"secretName": "station-x"}}]}},
            "spec.volumes.0.secret.secretName",
        ),
        ({"spec": {"securityContext": None}}, "spec.securityContext"),
        (
            {"spec": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}},
            "spec.securityContext.seccompProfile",
        ),
        ({"spec": {"containers": [{"name": "other", "image": "x"}]}}, "spec.containers.0"),
        ({"spec": {"containers": [{"name": "runner", "command": ["sh"]}]}}, "spec.containers.0.command"),
        ({"spec": {"containers": "x"}}, "spec.containers"),
        (
            {"spec": {"initContainers": [{"name": "a", "volumeMounts": [{"name": "b", "mountPath": "/station/leg"}]}]}},
            "spec.initContainers.0.volumeMounts.0.mountPath",
        ),
        ({"metadata": {"labels": {"stationkeeper.io/run": "x"}}}, "metadata.labels.stationkeeper.io/run"),
    ],
)
def test_an_overlay_that_asks_for_more_than_it_may_is_refused(overlay: dict[str, Any], at: str) -> None:
    assert at in {".".join(map(str, problem.path)) for problem in overlay_problems(overlay, ())}


def pod_status(**status: Any) -> list[dict[str, Any]]:
    return [{"status": status}]


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"state": state}]


REFUSED = {"type": "Warning", "reason": "FailedCreate", "message": "exceeded quota", "lastTimestamp": "2"}


@pytest.mark.parametrize(
    ("pods", "events", "expected"),
    [
        ([], [], ""),
        ([], [REFUSED], "the cluster makes no pod: FailedCreate: exceeded quota"),
        (
            pod_status(
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]
            ),
            [],
            "its pod is not scheduled: Unschedulable: 0/3",
        ),
        (
            pod_status(containerStatuses=container(waiting={"reason": "ImagePullBackOff", "message": "no\nsuch"})),
            [],
            "its pod does not start: ImagePullBackOff: no such",
        ),
        (pod_status(containerStatuses=container(waiting={"reason": "ContainerCreating"})), [REFUSED], ""),
        (
            pod_status(containerStatuses=container(terminated={"exitCode": 127, "reason": "StartError"})),
            [],
            "its pod ended before it began: StartError (exit code 127)",
        ),
        (pod_status(phase="Failed", reason="Evicted"), [], "its pod ended before it began: Evicted"),
    ],
)
def test_what_keeps_a_pod_from_beginning_is_said_in_words(pods: list, events: list, expected: str) -> None:
    assert why_not_begun(None, pods, events) == expected


def test_a_pod_that_is_gone_says_how_it_ended() -> None:
    assert why_ended(pod_status(containerStatuses=container(running={}))) is None
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    assert (
        why_ended(pod_status(containerStatuses=container(terminated=ended)))
        == "its pod ended: OOMKilled (exit code 137)"
    )
