"""Sends one message by Apprise, which knows the services that people are told by, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from reconciler.notifying import confined
from reconciler.notifying.addresses import Network
from reconciler.notifying.sending import FORBIDDEN_ADDRESS, Failed

DEADLINE = 30.0
"""The seconds that everything may take, the start of the process included."""

_FAILURES: Mapping[str, Failed] = {
    confined.ADDRESS: FORBIDDEN_ADDRESS,
    confined.ELSE: Failed("the url wants a file or a program of this machine", final=True),
    confined.UNKNOWN: Failed("Apprise does not know this url", final=True),
    confined.REFUSED: Failed("the receiver did not take it"),
}


@dataclass(frozen=True, slots=True)
class AppriseCall:
    """What is to be sent, and where, as a URL of Apprise."""

    url: str = field(repr=False)
    title: str
    text: str


def call(it: AppriseCall, networks: Sequence[Network], deadline: float = DEADLINE) -> Failed | None:
    """Send it; return why that failed, None if the receiver took it."""
    if find_spec("apprise") is None:
        return Failed("Apprise is not installed: pip install 'stationkeeper[apprise]'", final=True)
    order = {"url": it.url.strip(), "title": it.title, "text": it.text, "networks": list(map(str, networks))}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-m", confined.__name__],
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            # Its words may repeat the address.
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            cwd="/",
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Failed("the receiver does not answer in time")
    answer = done.stdout.decode(errors="replace").strip().rpartition("\n")[2]
    return None if answer == confined.TAKEN else _FAILURES.get(answer, Failed("Apprise ended without an answer"))
