"""Masking a log with 100 secrets, in the pieces that a pipe delivers."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Limit, alternate, timed
from reconciler.masking.masker import Masker

ROUNDS = 7
_MEGABYTES = 16
_PIECE = 64 * 1024
_EVERY = 200
"""One line in this many contains a secret."""


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure `Masker.feed` on lines as terraform prints them, and the time to prepare the masker."""
    _ = scratch
    dice = random.Random(7)
    secrets = [base64.b64encode(dice.randbytes(dice.randrange(9, 48))).decode() for _ in range(95)]
    secrets += [_key(dice) for _ in range(5)]
    quiet, talking = _log(dice, []), _log(dice, secrets)

    def masks(log: bytes) -> float:
        masker = Masker(secrets)
        # Processor time, without the pipe and other work on the machine.
        started = time.process_time()
        for at in range(0, len(log), _PIECE):
            masker.feed(log[at : at + _PIECE])
        return time.process_time() - started

    plain, found, ready = alternate(
        ROUNDS, lambda: masks(quiet), lambda: masks(talking), lambda: timed(lambda: Masker(secrets))
    )
    yield Figure("masking 100 secrets, none in the log", _MEGABYTES / plain, "MB/s", limit=50, kind=Limit.AT_LEAST)
    yield Figure("  one in each 200 lines", _MEGABYTES / found, "MB/s", limit=50, kind=Limit.AT_LEAST)
    yield Figure("  getting ready", ready * 1e3, "ms")


def _key(dice: random.Random) -> str:
    lines = [base64.b64encode(dice.randbytes(48)).decode() for _ in range(25)]
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""])


def _log(dice: random.Random, secrets: list[str]) -> bytes:
    lines, size = [], 0
    while size < _MEGABYTES * 1_000_000:
        count = len(lines)
        detail = f"id=i-{dice.getrandbits(32):08x}, {dice.randrange(999)} s elapsed"
        if secrets and count % _EVERY == 0:
            detail = f"token={secrets[count // _EVERY % len(secrets)]}"
        lines.append(f"module.network[{count % 40}].aws_instance.web: Still creating... [{detail}]\n")
        size += len(lines[-1])
    return "".join(lines).encode()
