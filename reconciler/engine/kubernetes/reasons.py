"""What keeps a pod from beginning, and how it ended, in words: pure.

The objects are as the API of Kubernetes gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]

_LONGEST = 400
_EARLY = frozenset(("ContainerCreating", "PodInitializing"))


def why_not_begun(job: Json | None, pods: Iterable[Json], events: Iterable[Json]) -> str:
    """Return what keeps the pod of a leg from beginning; empty: nothing that is known.

    `events` are those about the Job, of which the newest counts where there is no pod.
    """
    for pod in pods:
        status = pod.get("status", {})
        if (why := _unscheduled(status) or _waiting(status) or _ended(status)) != "":
            return _line(why)
        return ""
    failed = failure_of(job) if job is not None else ""
    refused = [each for each in events if each.get("type") == "Warning"]
    if refused:
        newest = max(refused, key=_when)
        return _line(f"the cluster makes no pod: {newest.get('reason')}: {newest.get('message')}")
    return _line(failed)


def why_ended(pods: Iterable[Json]) -> str | None:
    """Return how the runner of a pod ended; None while it may be at work, as far as the cluster knows."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended is not None:
                return _line(f"its pod ended: {_exit(ended)}")
        return None
    return None


def failure_of(job: Json) -> str:
    """Return why a Job has failed; empty: it has not."""
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            return f"its Job failed: {condition.get('reason')}: {condition.get('message')}"
    return ""


def is_finished(job: Json) -> bool:
    """Whether a Job is over."""
    return any(
        condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True"
        for condition in job.get("status", {}).get("conditions") or ()
    )


def _unscheduled(status: Json) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"its pod is not scheduled: {condition.get('reason')}: {condition.get('message')}"
    return ""


def _waiting(status: Json) -> str:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            waiting = (container.get("state") or {}).get("waiting")
            if waiting is not None and waiting.get("reason") not in {None, *_EARLY}:
                said = f": {waiting['message']}" if waiting.get("message") else ""
                return f"its pod does not start: {waiting['reason']}{said}"
    return ""


def _ended(status: Json) -> str:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended is not None and ended.get("exitCode"):
                return f"its pod ended before it began: {_exit(ended)}"
    if status.get("phase") == "Failed":
        said = f": {status['message']}" if status.get("message") else ""
        return f"its pod ended before it began: {status.get('reason') or 'Failed'}{said}"
    return ""


def _exit(ended: Json) -> str:
    said = f": {ended['message']}" if ended.get("message") else ""
    return f"{ended.get('reason') or 'Error'} (exit code {ended.get('exitCode')}){said}"


def _when(event: Json) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _line(text: str) -> str:
    """Return the text as one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
