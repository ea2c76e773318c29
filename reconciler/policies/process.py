"""Asks the process that evaluates Rego: one for all policies of a question, and another for the rest when one kills it.

The process has an empty environment, limits of its own (`child`), and is killed when it takes too long.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.policies import child

_LAST_WORDS = 1.0
"""Seconds that a process which says no more has to end by itself: how it ends is told. One that said all is killed."""

_LINE = 2 * child.MAX_ANSWER
"""Bytes that an answer takes at most as a line of ASCII, escapes and all, for what is not hostile."""


class Patience(NamedTuple):
    """Seconds that one policy may take, the start of the process included, and that all of a question may."""

    each: float
    whole: float


JUDGING = Patience(3.0, 12.0)
CHECKING = Patience(10.0, 20.0)
"""Being late here takes a policy out of force, so it must not be the machine's fault. All together are not waited for:
anybody can propose as many rules as they like, and admission stands still meanwhile."""

LATE = "late"
"""The key of an answer that says that the policy was not asked, since the time for all of them was up."""


def ask(
    mode: str, policies: Sequence[Mapping[str, Any]], given: object, patience: Patience = JUDGING
) -> list[dict[str, Any]]:
    """Give an answer for each policy, in order; `{"error": words}` where there is none, whatever the reason.

    What is left over when `patience` ends is not evaluated, and its answer says so (LATE).
    """
    answers: list[dict[str, Any]] = []
    until = time.monotonic() + patience.whole
    text = json.dumps(given)
    while len(answers) < len(policies):
        if time.monotonic() > until:
            answers.append({"error": f"the policies took longer than {patience.whole:g} s together", LATE: True})
            continue
        got, death = _one_process(mode, policies[len(answers) :], text, patience._replace(whole=until))
        answers += got
        if len(answers) < len(policies):
            answers.append({"error": death, LATE: time.monotonic() > until})
    return answers


def _one_process(
    mode: str, policies: Sequence[Mapping[str, Any]], given: str, patience: Patience
) -> tuple[list[dict[str, Any]], str]:
    """Give the answers that a process came to, and why it went no further. `patience.whole` is a moment here."""
    question = json.dumps({"mode": mode, "input": given, "policies": list(policies)}).encode()
    with tempfile.TemporaryFile() as asked:
        asked.write(question)
        asked.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _start(), str(patience.each * len(policies))],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    with process.stdout as pipe:
        try:
            lines, late = _read_lines(pipe.fileno(), len(policies), patience)
            if not late and len(lines) < len(policies):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LAST_WORDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    answers = []
    for line in lines:
        try:
            answers.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            return answers, "its answer cannot be read"
    return answers, late or _death(status)


def _read_lines(pipe: int, wanted: int, patience: Patience) -> tuple[list[bytes], str]:
    """Read up to so many lines: fewer where the process ends, takes too long, or says too much; then why."""
    lines: list[bytes] = []
    rest = b""
    deadline = min(patience.whole, time.monotonic() + patience.each)
    while len(lines) < wanted:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return lines, f"it took longer than {patience.each:g} s"
        piece = os.read(pipe, 65536)
        if not piece:
            return lines, ""
        *whole, rest = (rest + piece).split(b"\n")
        if whole:
            lines += whole
            deadline = min(patience.whole, time.monotonic() + patience.each)
        if len(rest) > _LINE:
            return lines, "it says too much"
    return lines[:wanted], ""


def _death(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "it used too much processor time"
    if status < 0:
        return f"the engine died of it ({signal.Signals(-status).name})"
    return "it needs more memory than it may have, or the engine cannot run it"


@cache
def _start() -> str:
    """Write what the process begins with. It imports what is compiled already, and nothing that only may be there."""
    found = importlib.util.find_spec("regorus")
    if found is None or found.origin is None:
        raise RuntimeError("the package gordon-to-regorus is not installed")
    paths = [str(Path(child.__file__).parent), str(Path(found.origin).parents[1])]
    return f"import sys; sys.path += {paths!r}; import child; child.main()"
