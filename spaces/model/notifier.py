"""The Notifier: tells people and programs outside the service what happens to the stacks of its space's subtree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from spaces.model.base import MOST_LABELS, Flag, LabelKey, LabelValue, Line, Model, Path, Problem, SpecModel, not_empty
from spaces.model.explain import shown
from spaces.model.people import Email
from spaces.model.secrets import SecretRef, secret_problems

_URL = re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?", re.ASCII)


class NotifierType(StrEnum):
    """The forms in which something is told."""

    SLACK = "slack"
    WEBHOOK = "webhook"
    MAIL = "mail"
    APPRISE = "apprise"


class NotifierEvent(StrEnum):
    """What can be told."""

    RUN_WAITING = "run.waiting"
    RUN_FINISHED = "run.finished"
    RUN_FAILED = "run.failed"
    RUN_CANCELED = "run.canceled"
    RUN_DISCARDED = "run.discarded"
    RUN_SUPERSEDED = "run.superseded"
    DRIFTED = "drifted"
    HELD = "held"
    BROKEN = "broken"
    HALTED = "halted"


MOST_RECIPIENTS = 50

_BELONGS: Mapping[str, tuple[NotifierType, ...]] = {
    "url": (NotifierType.SLACK, NotifierType.WEBHOOK, NotifierType.APPRISE),
    "allowHttp": (NotifierType.SLACK, NotifierType.WEBHOOK),
    "secret": (NotifierType.WEBHOOK,),
    "to": (NotifierType.MAIL,),
}
"""Which settings are for which types."""


def _misplaced(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what a notifier of this type lacks, and what has no effect in it."""
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in set(NotifierType):
        return
    needed = "to" if kind == NotifierType.MAIL else "url"
    if needed not in raw:
        yield Problem((), "missing-key", f"spec.{needed} is missing: type {kind} needs it", at_key=True)
    for key, kinds in _BELONGS.items():
        if key in raw and kind not in kinds:
            summary = f"spec.{key} is for notifiers of type {' and '.join(kinds)}, and this one is of type {kind}"
            yield Problem((key,), "invalid-value", summary, "leave it out", at_key=True)


class SpaceSelector(Model):
    """Selects spaces by their labels."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        max_length=MOST_LABELS,
        description="Labels of the stack's space and of the spaces above it; all of these must be there.",
    )


def _url(text: str) -> str:
    # The messages do not repeat it: it may hold a secret.
    if re.match(r"(?i:https?://[^/?#]*@)", text):
        raise PydanticCustomError("invalid-value", "must not contain a user name or password")
    if not _URL.fullmatch(text):
        raise PydanticCustomError("invalid-value", "is not an address: write https://host/path")
    return text


def _is_written(value: object) -> str:
    # The brackets keep these words out of the paths that people see.
    return "[secret]" if isinstance(value, dict | SecretRef) else "[text]"


PlainUrl = Annotated[Line, AfterValidator(_url)]
NotifierUrl = Annotated[
    Annotated[PlainUrl, Tag("[text]")] | Annotated[SecretRef, Tag("[secret]")], Discriminator(_is_written)
]


class NotifierSpec(SpecModel):
    """Where to send what happens to the stacks of its space's subtree."""

    type: NotifierType = Field(
        description="slack: a message for Slack's incoming webhooks and whatever takes the same. "
        "webhook: JSON, signed. mail: text, by the mail server of the service's settings. apprise: text, to any of the "
        "services that Apprise knows."
    )
    url: NotifierUrl | None = Field(
        None, description="Where to send it, but for mail: a secret, or for webhooks also plain text."
    )
    to: Annotated[tuple[Email, ...], AfterValidator(not_empty)] | None = Field(
        None,
        max_length=MOST_RECIPIENTS,
        description="For mail: the addresses of the recipients, in the domains that the setting `mail_domains` allows.",
    )
    events: Annotated[tuple[NotifierEvent, ...], AfterValidator(not_empty)] = Field(
        description="What to tell.", json_schema_extra={"minItems": 1}
    )
    spaces: SpaceSelector | None = Field(
        None, description="Only stacks in spaces with these labels. Default: every stack of the subtree."
    )
    secret: SecretRef | None = Field(None, description="For webhooks: the key that signs them. Default: not signed.")
    allow_http: Flag = Field(False, description="Send over http, too, where everybody on the way can read it.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield what does not fit together: the type and the settings that others have."""
        url, events = raw.get("url"), raw.get("events")
        yield from _misplaced(raw)
        if isinstance(url, dict):
            yield from secret_problems(("url",), url, "spec.url", of_run=False)
        elif isinstance(url, str) and raw.get("type") in {NotifierType.SLACK, NotifierType.APPRISE}:
            what = "the address of a Slack webhook" if raw["type"] == NotifierType.SLACK else "a URL of Apprise"
            summary = f"spec.url: {what} is a secret"
            hint = "write {file: NAME}, {sealed: …}, {sops: …} or {env: NAME}"
            yield Problem(("url",), "invalid-value", summary, hint)
        elif isinstance(url, str) and url.lower().startswith("http:") and raw.get("allowHttp") is not True:
            summary = "spec.url uses http, which everybody on the way can read"
            yield Problem(("url",), "invalid-value", summary, "use https, or set spec.allowHttp: true")
        if events == []:
            summary = "spec.events is empty, so nothing would be told"
            yield Problem(("events",), "invalid-value", summary, f"one of {', '.join(NotifierEvent)}", at_key=True)
        listed = events if isinstance(events, list) else []
        for index, event in enumerate(listed):
            if isinstance(event, str) and event in listed[:index]:
                summary = f"spec.events[{index}]: {shown(event)} is there already"
                yield Problem(("events", index), "invalid-value", summary, "leave it out")
        if "secret" not in raw:
            return
        if isinstance(raw["secret"], dict):
            yield from secret_problems(("secret",), raw["secret"], "spec.secret", of_run=False)

    def secrets(self) -> Iterator[tuple[Path, str, SecretRef]]:
        """Yield the address, where it is a secret, and the key that signs."""
        if isinstance(self.url, SecretRef):
            yield ("url",), "url", self.url
        if self.secret is not None:
            yield ("secret",), "secret", self.secret
