"""Checks the rules of policies before they come into force, and identifies the engine that does it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files

from reconciler.policies.process import CHECKING, LATE, ask
from spaces.reading.rego import RegoFinding, RegoText

_log = logging.getLogger(__name__)

_LIBRARY = "gordon-to-regorus"
_MODULES = ("checking.py", "child.py")

_KEPT = 4096
"""The most rules whose findings are remembered: each revision contains mostly the same ones."""

_SMALLER = "make it smaller: the engine evaluates everything that does not depend on the input when it reads the rule"

_known: dict[RegoText, tuple[RegoFinding, ...]] = {}
_lock = threading.Lock()


def engine_key() -> bytes:
    """Return a key over everything that decides which rules are valid, for findings that are remembered with it."""
    total = blake2b(version(_LIBRARY).encode(), digest_size=16)
    for module in _MODULES:
        total.update((files("reconciler.policies") / module).read_bytes())
    return total.digest()


def check_rego(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
    """Return the problems of each of these rules; a rule that the engine cannot even read has a problem too.

    If slow rules use up the time, the rest has no answer, counts as valid and is checked next time: other people's
    rules must not take a policy out of force, and a broken policy denies what it is asked about.
    """
    with _lock:
        unknown = [text for text in texts if text not in _known]
        if len(_known) + len(unknown) > _KEPT:
            _known.clear()
            unknown = list(texts)
        policies = [{"text": text.text, "type": text.type.value} for text in unknown]
        for text, answer in zip(unknown, ask("check", policies, {}, CHECKING) if policies else (), strict=True):
            if answer.get(LATE):
                _log.warning("a policy's rule was not checked: %s", answer.get("error"))
            else:
                _known[text] = _findings(answer)
        return {text: _known[text] for text in texts if text in _known}


def _findings(answer: Mapping[str, object]) -> tuple[RegoFinding, ...]:
    listed = answer.get("findings")
    if not isinstance(listed, list):
        return (RegoFinding("rego-refused", f"the rule cannot be checked: {answer.get('error')}", 1, 1, _SMALLER),)
    return tuple(RegoFinding(**finding) for finding in listed)
