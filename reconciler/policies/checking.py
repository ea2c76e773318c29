"""Says what is wrong with the rules of policies, before they come into force."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from reconciler.policies.process import CHECKING, ask
from spaces.rego import RegoFinding, RegoText

_KEPT = 4096
"""How many rules are remembered: the same ones are met at every revision."""

_SMALLER = "make it smaller: what does not depend on the input is worked out already when it is read"

_known: dict[RegoText, tuple[RegoFinding, ...]] = {}
_lock = threading.Lock()


def check_rego(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
    """Say what is wrong with each of these rules; what the engine cannot even read is wrong too."""
    with _lock:
        unknown = [text for text in texts if text not in _known]
        if len(_known) + len(unknown) > _KEPT:
            _known.clear()
            unknown = list(texts)
        policies = [{"text": text.text, "type": text.type.value} for text in unknown]
        for text, answer in zip(unknown, ask("check", policies, {}, CHECKING) if policies else (), strict=True):
            _known[text] = _findings(answer)
        return {text: _known[text] for text in texts}


def _findings(answer: Mapping[str, object]) -> tuple[RegoFinding, ...]:
    told = answer.get("findings")
    if not isinstance(told, list):
        return (RegoFinding("rego-refused", f"the rule cannot be checked: {answer.get('error')}", 1, 1, _SMALLER),)
    return tuple(RegoFinding(**each) for each in told)
