"""What policies said of a run, and what follows from it: pure, from the answers of Rego to one ruling.

`policies.evaluation` reads each answer as a `Verdict`. `loop.policies` makes a `Judgement` of all verdicts over a plan,
and `loop.runs.next_step` does what its `ruling` says; `heading` and `notices` are for pushes and notifications.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.core.runs import Run
from reconciler.core.state import Desired, Heading
from spaces.names import Digest

_MESSAGES = 20
"""How many sentences of one policy are kept."""
_LENGTH = 500
"""Characters of one sentence that are kept."""
_NAMED = 3
"""How many sentences a run's message repeats."""


class Result(StrEnum):
    """What one policy says."""

    ALLOW = "allow"
    WARN = "warn"
    CONFIRM = "confirm"
    """It wants a person to confirm the run."""
    DENY = "deny"
    APPROVE = "approve"
    WAIT = "wait"
    """It does not approve yet."""
    REJECT = "reject"
    TRACK = "track"
    PROPOSE = "propose"
    IGNORE = "ignore"
    NOTIFY = "notify"
    QUIET = "quiet"
    """It has nothing to tell."""


RESULTS: Mapping[str, tuple[Result, ...]] = {
    "plan": (Result.ALLOW, Result.WARN, Result.CONFIRM, Result.DENY),
    "approval": (Result.APPROVE, Result.WAIT, Result.REJECT),
    "push": (Result.TRACK, Result.PROPOSE, Result.IGNORE),
    "notification": (Result.NOTIFY, Result.QUIET),
    "config": (Result.ALLOW, Result.WARN, Result.DENY),
}
"""What each type of policy can say."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One policy's word. `policy` is written `space/name`; `error` where it could not be evaluated.

    That denies a plan, approves nothing, and holds back a change.
    """

    policy: str
    type: str
    mandatory: bool
    result: Result
    messages: tuple[str, ...] = ()
    """Why, where it says so; for a notification, what it tells."""
    warnings: tuple[str, ...] = ()
    error: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all policies over a run said, about one plan: `plan_digest` and `attempt` say which, `digest` the policies.

    A run's digest holds the hash of every policy that judges it, so one digest means one set of policies.
    """

    digest: Digest
    plan_digest: str | None
    attempt: int
    at: datetime
    verdicts: tuple[Verdict, ...] = ()

    @property
    def ruling(self) -> Ruling:
        """Return what follows."""
        return rule(self.verdicts)[0]

    @property
    def message(self) -> str:
        """Return why, in one line; empty where nothing stands against it."""
        return rule(self.verdicts)[1]

    @property
    def asks_for_person(self) -> bool:
        """Whether a policy wants a person to confirm the run, whatever the others say."""
        return any(verdict.mandatory and verdict.result is Result.CONFIRM for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody thinks of a run that waits. Each person has one; a later one takes its place."""

    person: str
    approves: bool
    note: str
    at: datetime


def authors_of(run: Run, desired: Desired | None) -> frozenset[str]:
    """Return who caused a run: their reviews of it count only for a policy that says so."""
    behind = (desired.person, *desired.authors) if desired is not None else ()
    return frozenset(person for person in (run.person, *behind) if person is not None)


@dataclass(frozen=True, slots=True)
class ReviewEffect:
    """Whether any approval policy takes a review into account, and what comes of it, in a sentence."""

    counts: bool
    because: str


def effect_of(person: str, deaf: Sequence[str], with_it: Sequence[Verdict], without: Sequence[Verdict]) -> ReviewEffect:
    """Return what a review does. `deaf` policies do not see it, as it is an author's; the others were asked twice."""
    if not deaf and not with_it:
        return ReviewEffect(
            counts=False, because="no approval policy covers the stack: the run waits only for its confirmation"
        )
    said = [f"policy {name} does not count it: {person} caused the run, or changed what it applies" for name in deaf]
    for now, before in zip(with_it, without, strict=True):
        match now.result:
            case Result.APPROVE:
                said.append(f"policy {now.policy} approves the run")
            case Result.REJECT:
                said.append(f"policy {now.policy} rejects the run")
            case _ if now.error:
                said.append(f"policy {now.policy} does not approve the run{_because(now)}")
            case _ if now.result is before.result:
                said.append(
                    f"policy {now.policy} does not approve the run yet, neither with nor without it: it needs more "
                    "reviews, or those of others"
                )
            case _:
                said.append(f"policy {now.policy} does not approve the run with it")
    return ReviewEffect(counts=bool(with_it), because="; ".join(said))


class Ruling(StrEnum):
    """What the policies together mean for a run."""

    PASSES = "passes"
    DENIED = "denied"
    REJECTED = "rejected"
    WAITS = "waits"
    """For somebody's approval."""
    ASKS = "asks"
    """For a person's confirmation."""


def rule(verdicts: Iterable[Verdict]) -> tuple[Ruling, str]:
    """Sum up: a denial wins, then a rejection, then what is still to be approved, then what somebody has to confirm.

    Advisory policies never stop anything.
    """
    binding = [verdict for verdict in verdicts if verdict.mandatory]
    for result, ruling, verb in (
        (Result.DENY, Ruling.DENIED, "denies it"),
        (Result.REJECT, Ruling.REJECTED, "rejects it"),
        (Result.WAIT, Ruling.WAITS, "does not approve it yet"),
        (Result.CONFIRM, Ruling.ASKS, "wants a person to confirm it"),
    ):
        against = [verdict for verdict in binding if verdict.result is result]
        if against:
            return ruling, "; ".join(f"policy {verdict.policy} {verb}{_because(verdict)}" for verdict in against)
    return Ruling.PASSES, ""


def _because(verdict: Verdict) -> str:
    if not verdict.messages:
        return ""
    more = len(verdict.messages) - _NAMED
    return ": " + "; ".join(verdict.messages[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def plan_verdict(policy: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    """Read what a plan policy answered. An error, or an answer of another shape, denies."""
    return _verdict(policy, "plan", mandatory=mandatory, answer=answer)


def config_verdict(policy: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    """Read what a policy over documents answered, likewise."""
    return _verdict(policy, "config", mandatory=mandatory, answer=answer)


def _verdict(policy: str, kind: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    rules = answer.get("answers")
    if not isinstance(rules, Mapping):
        return _failed(policy, kind, answer, mandatory=mandatory)
    said = {}
    for name in ("deny", "confirm", "warn"):
        sentences = _sentences(rules.get(name))
        if sentences is None:
            shape = {"error": f"{name} must be a set of sentences, or of objects with a msg"}
            return _failed(policy, kind, shape, mandatory=mandatory)
        said[name] = sentences
    results = (Result.DENY, Result.CONFIRM, Result.WARN)
    result = next((each for each in results if said[each.value]), Result.ALLOW)
    return Verdict(policy, kind, mandatory, result, _short(said["deny"] or said["confirm"]), _short(said["warn"]))


def approval_verdict(policy: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    """Read what an approval policy answered. An error, or an answer of another shape, approves nothing."""
    rules = answer.get("answers")
    if not isinstance(rules, Mapping):
        return _failed(policy, "approval", answer, mandatory=mandatory)
    for name in ("approve", "reject"):
        if not isinstance(rules.get(name), bool | None):
            return _failed(policy, "approval", {"error": f"{name} must be true or false"}, mandatory=mandatory)
    if rules.get("reject"):
        return Verdict(policy, "approval", mandatory, Result.REJECT)
    return Verdict(policy, "approval", mandatory, Result.APPROVE if rules.get("approve") else Result.WAIT)


_HEADINGS = {Result.IGNORE: Heading.IGNORE, Result.PROPOSE: Heading.PROPOSE, Result.TRACK: Heading.TRACK}


def push_verdict(policy: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    """Read what a push policy answered. One that says nothing lets the change come; an error holds it back."""
    rules = answer.get("answers")
    if not isinstance(rules, Mapping):
        return _failed(policy, "push", answer, mandatory=mandatory)
    said: dict[Result, list[str] | None] = {}
    for result in _HEADINGS:
        value = rules.get(result.value)
        sentences = [] if isinstance(value, bool) else _sentences(value)
        if sentences is None:
            shape = {"error": f"{result} must be true, false, or a set of sentences"}
            return _failed(policy, "push", shape, mandatory=mandatory)
        if value is True or sentences:
            said[result] = sentences
    result = next(iter(said), Result.TRACK)
    return Verdict(policy, "push", mandatory, result, _short(said.get(result) or ()))


def heading(verdicts: Iterable[Verdict]) -> tuple[Heading, str]:
    """Sum up: one that ignores wins, then one that could not be evaluated, then one that proposes; all mandatory."""
    binding = [verdict for verdict in verdicts if verdict.mandatory]
    for verb, head, against in (
        ("ignores it", Heading.IGNORE, [it for it in binding if it.result is Result.IGNORE and not it.error]),
        ("could not be evaluated", Heading.FAILED, [it for it in binding if it.error]),
        ("only proposes it", Heading.PROPOSE, [it for it in binding if it.result is Result.PROPOSE]),
    ):
        if against:
            return head, "; ".join(f"policy {it.policy} {verb}{_because(it)}" for it in against)
    return Heading.TRACK, ""


class NoticeSeverity(StrEnum):
    """How much a notification matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a policy has to tell."""

    message: str
    severity: NoticeSeverity = NoticeSeverity.INFO


def notices(answer: Mapping[str, Any]) -> tuple[Notice, ...] | str:
    """Read what a notification policy answered, the sentences in order; words where that cannot be read."""
    rules = answer.get("answers")
    if not isinstance(rules, Mapping):
        return str(answer.get("error") or "there is no answer")
    found = rules.get("notify") or []
    if _sentences(found) is None:
        return "notify must be a set of sentences, or of objects with a msg"
    told = []
    for each in found:
        severity = each.get("severity", NoticeSeverity.INFO) if isinstance(each, dict) else NoticeSeverity.INFO
        if not isinstance(severity, str) or severity not in set(NoticeSeverity):
            return "the severity of a notification must be info, warning or error"
        told.append(((each["msg"] if isinstance(each, dict) else each), NoticeSeverity(severity)))
    kept = [Notice(_short([message])[0], severity) for message, severity in sorted(told)[:_MESSAGES]]
    if len(told) > _MESSAGES:
        kept.append(Notice(f"and {len(told) - _MESSAGES} more"))
    return tuple(kept)


def notification_verdict(policy: str, *, mandatory: bool, answer: Mapping[str, Any]) -> Verdict:
    """Read what a notification policy answered as a verdict, which stops nothing."""
    told = notices(answer)
    if isinstance(told, str):
        return _failed(policy, "notification", {"error": told}, mandatory=mandatory)
    result = Result.NOTIFY if told else Result.QUIET
    return Verdict(policy, "notification", mandatory, result, tuple(notice.message for notice in told))


_FAILED = {
    "plan": Result.DENY,
    "config": Result.DENY,
    "approval": Result.WAIT,
    "push": Result.IGNORE,
    "notification": Result.QUIET,
}


def _failed(policy: str, kind: str, answer: Mapping[str, Any], *, mandatory: bool) -> Verdict:
    result = _FAILED[kind]
    message = f"it could not be evaluated: {answer.get('error') or 'there is no answer'}"
    return Verdict(policy, kind, mandatory, result, _short([message]), error=True)


def _sentences(value: Any) -> list[str] | None:
    if value is None:
        return []
    if not isinstance(value, list):
        return None
    found = []
    for each in value:
        sentence = each.get("msg") if isinstance(each, dict) else each
        if not isinstance(sentence, str):
            return None
        found.append(sentence)
    return sorted(found)


def _short(messages: Iterable[str]) -> tuple[str, ...]:
    clean = (" ".join(message.split()) for message in messages)
    kept = [message if len(message) <= _LENGTH else message[: _LENGTH - 1] + "…" for message in clean]
    return tuple(kept[:_MESSAGES]) + ((f"and {len(kept) - _MESSAGES} more",) if len(kept) > _MESSAGES else ())
