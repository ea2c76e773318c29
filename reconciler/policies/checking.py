"""Says what is wrong with the rules of policies, before they come into force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence

from reconciler.policies.process import CHECKING, LATE, ask
from spaces.reading.rego import RegoFinding, RegoText

_log = logging.getLogger(__name__)

_KEPT = 4096
"""How many rules are remembered: the same ones are met at every revision."""

_SMALLER = "make it smaller: what does not depend on the input is worked out already when it is read"

_known: dict[RegoText, tuple[RegoFinding, ...]] = {}
_lock = threading.Lock()


def check_rego(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
    """Say what is wrong with each of these rules; what the engine cannot even read is wrong too.

    Where there are so many slow ones that the time is up, nothing is said of the others, which count as in order, and
    are looked at next time: others' rules must take no policy out of force, and one that is wrong denies what it is
    asked about.
    """
    with _lock:
        unknown = [text for text in texts if text not in _known]
        if len(_known) + len(unknown) > _KEPT:
            _known.clear()
            unknown = list(texts)
        policies = [{"text": text.text, "type": text.type.value} for text in unknown]
        for text, answer in zip(unknown, ask("check", policies, {}, CHECKING) if policies else (), strict=True):
            if answer.get(LATE):
                _log.warning("a policy's rule was not looked at: %s", answer.get("error"))
            else:
                _known[text] = _findings(answer)
        return {text: _known[text] for text in texts if text in _known}


def _findings(answer: Mapping[str, object]) -> tuple[RegoFinding, ...]:
    told = answer.get("findings")
    if not isinstance(told, list):
        return (RegoFinding("rego-refused", f"the rule cannot be checked: {answer.get('error')}", 1, 1, _SMALLER),)
    return tuple(RegoFinding(**each) for each in told)
