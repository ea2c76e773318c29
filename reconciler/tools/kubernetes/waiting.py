"""Waits until objects are ready, and says in the log what it waits for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.tools.base import StepFailed
from reconciler.tools.kubernetes.health import MISSING, Health, HealthStatus, health
from reconciler.tools.kubernetes.kubectl import Kubectl
from reconciler.tools.kubernetes.objects import Key, Manifest, key_of

_FIRST, _LONGEST_PAUSE = 0.25, 5.0
_SHOWN = 5


def wait_until_ready(kubectl: Kubectl, manifests: Sequence[Manifest], seconds: float) -> dict[Key, dict[str, Any]]:
    """Return the live objects once all are ready; StepFailed when one has failed, or when time is up.

    An API that does not answer is asked again until then: a cluster that is being changed goes away at times.
    """
    end, pause = time.monotonic() + seconds, _FIRST
    said = ""
    while True:
        live = kubectl.get(manifests, ok=(0, 1))
        late = time.monotonic() >= end
        if live is not None:
            states = {key_of(manifest): _state(live.get(key_of(manifest))) for manifest in manifests}
            failed = [f"{key.words}: {it.message}" for key, it in states.items() if it.status is HealthStatus.FAILED]
            if failed:
                raise StepFailed(f"not ready: {_several(failed)}")
            unready = [f"{key.words}: {it.message}" for key, it in states.items() if not it.is_ready]
            if not unready:
                return live
            waiting = _several(unready)
        else:
            waiting = "the API does not answer"
        if late:
            raise StepFailed(f"not ready within {_duration(seconds)}: {waiting}")
        if waiting != said:
            kubectl.say(f"waiting for {waiting}")
            said = waiting
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE)


def health_of(live: Mapping[Key, Manifest]) -> dict[Key, Health]:
    """Return the health of each live object."""
    return {key: health(manifest) for key, manifest in live.items()}


def _state(manifest: Manifest | None) -> Health:
    return MISSING if manifest is None else health(manifest)


def _several(sentences: Sequence[str]) -> str:
    more = len(sentences) - _SHOWN
    return "; ".join([*sentences[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m" if minutes and not rest else f"{int(seconds)}s"
