"""Waits until objects are ready, and says in the log what it waits for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.kubernetes.health import MISSING, HealthStatus, ObjectHealth, health
from reconciler.tools.kubernetes.kubectl import Kubectl
from reconciler.tools.kubernetes.objects import Key, Manifest, key_of

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_NAMED = 5
"""How many objects a message names."""


def wait_until_ready(kubectl: Kubectl, manifests: Sequence[Manifest], seconds: int) -> dict[Key, dict[str, Any]]:
    """Return the live objects once all are ready; StepFailed when one has failed, or when time is up.

    An API that does not answer is asked again until then: a cluster that is being changed goes away at times.
    """
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    waiting: dict[Key, Manifest] = {key_of(manifest): manifest for manifest in manifests}
    states: dict[Key, ObjectHealth] = {}
    ready: dict[Key, dict[str, Any]] = {}
    said = ""
    while True:
        unanswered = ""
        try:
            live = kubectl.get(list(waiting.values()))
        except StepFailed as failure:
            unanswered = str(failure)
        else:
            states = {key: health(live[key]) if key in live else MISSING for key in waiting}
            ready |= {key: live[key] for key, state in states.items() if state.is_ready}
            waiting = {key: manifest for key, manifest in waiting.items() if key not in ready}
        if not waiting:
            return ready
        failed = {key: state for key, state in states.items() if state.status is HealthStatus.FAILED}
        for_what = _named(failed or {key: state for key, state in states.items() if key in waiting})
        if unanswered:
            for_what = f"an answer of the API: {unanswered}"
        late = time.monotonic() >= end
        if failed or late:
            _show_warnings(kubectl, failed or waiting)
            raise StepFailed(f"not ready: {for_what}" if failed else f"not ready within {seconds} s: {for_what}")
        if for_what != said:
            kubectl.say(f"waiting for {for_what}")
            said = for_what
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _named(states: Mapping[Key, ObjectHealth]) -> str:
    sentences = [f"{key.words}: {state.message}" for key, state in states.items()]
    more = len(sentences) - _NAMED
    return "; ".join([*sentences[:_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _show_warnings(kubectl: Kubectl, about: Mapping[Key, Any]) -> None:
    for namespace in sorted({key.namespace for key in about if key.namespace}):
        kubectl.show_warnings(namespace)
