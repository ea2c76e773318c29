"""Evaluates Rego in a process of its own: one for all policies of a question, and another for the rest if one kills it.

`evaluation` and `checking` call `ask` with the texts of policies and an input. The result has one answer for each
policy, in order; a policy that fails, takes too long or kills the engine has an error as its answer, and the others are
still asked. The process has an empty environment and limits of its own (`child`), it is killed when it takes too long,
and no rule is ever evaluated inside the service itself.
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
"""The seconds that a process without further output has to end by itself, so that its exit status is known.

A process that has answered everything is killed.
"""

_LINE = 2 * child.MAX_ANSWER
"""The most bytes of an answer as a line of ASCII, with escapes; only hostile answers are longer."""


class Patience(NamedTuple):
    """The seconds that one policy may take, including the start of the process, and those for a whole question."""

    each: float
    whole: float


JUDGING = Patience(3.0, 12.0)
CHECKING = Patience(10.0, 20.0)
"""A late answer here takes a policy out of force, so it must not be the machine's fault.

Their sum is limited nevertheless: anybody can propose any number of rules, and admission waits for the answers.
"""

LATE = "late"
"""The key of an answer which says that the policy was not asked because the time for all was up."""


def ask(
    mode: str, policies: Sequence[Mapping[str, Any]], given: object, patience: Patience = JUDGING
) -> list[dict[str, Any]]:
    """Return an answer for each policy, in order; `{"error": words}` for a policy that failed for any reason.

    Policies that are left when `patience` ends are not evaluated, and their answer says so (LATE).
    """
    answers: list[dict[str, Any]] = []
    until = time.monotonic() + patience.whole
    text = json.dumps(given)
    while len(answers) < len(policies):
        if time.monotonic() > until:
            answers.append({"error": f"the policies took longer than {patience.whole:g} s together", LATE: True})
            continue
        answered, death = _one_process(mode, policies[len(answers) :], text, patience._replace(whole=until))
        answers += answered
        if len(answers) < len(policies):
            answers.append({"error": death, LATE: time.monotonic() > until})
    return answers


def _one_process(
    mode: str, policies: Sequence[Mapping[str, Any]], given: str, patience: Patience
) -> tuple[list[dict[str, Any]], str]:
    """Return the answers of one process, and why it stopped. `patience.whole` is a point in time here."""
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
    """Return up to `wanted` lines, and why there are fewer: the process ended, took too long or wrote too much."""
    lines: list[bytes] = []
    rest = b""
    deadline = min(patience.whole, time.monotonic() + patience.each)
    while len(lines) < wanted:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([pipe], [], [], remaining)[0]:
            return lines, f"it took longer than {patience.each:g} s"
        piece = os.read(pipe, 65536)
        if not piece:
            return lines, ""
        *whole, rest = (rest + piece).split(b"\n")
        if whole:
            lines += whole
            deadline = min(patience.whole, time.monotonic() + patience.each)
        if len(rest) > _LINE:
            return lines, "its answer is too long"
    return lines[:wanted], ""


def _death(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "it used too much processor time"
    if status < 0:
        return f"the engine crashed on it ({signal.Signals(-status).name})"
    return "it needs more memory than it may have, or the engine cannot run it"


@cache
def _start() -> str:
    """Return the code that the process starts with. It imports only compiled modules that are certainly there."""
    spec = importlib.util.find_spec("regorus")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package gordon-to-regorus is not installed")
    paths = [str(Path(child.__file__).parent), str(Path(spec.origin).parents[1])]
    return f"import sys; sys.path += {paths!r}; import child; child.main()"
