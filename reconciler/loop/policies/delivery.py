"""One thing that one notifier is to tell: whom it is for, what it says, and the attempt to send it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.secrets import SecretSources
from reconciler.loop.desired.world import World
from reconciler.notifying.addresses import Network
from reconciler.notifying.apprise import AppriseCall, call
from reconciler.notifying.mail import Letter, MailServer, post
from reconciler.notifying.messages import (
    as_json,
    as_slack,
    as_text,
    delivery_id,
    event_of,
    of_configuration,
    of_configuration_as_text,
    of_configuration_for_slack,
)
from reconciler.notifying.sending import Failed, Parcel, send, signed
from reconciler.store.stored import Announcement, OutboxEntry
from spaces.documents.documents import Placed
from spaces.documents.secrets import secret_of
from spaces.effective.notifiers import notifiers
from spaces.model.notifier import NotifierEvent, NotifierSpec, NotifierType
from spaces.model.sealed import SealedPlace
from spaces.model.secrets import SecretRef
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, SpacePath

Errand: TypeAlias = OutboxEntry | Announcement
"""A row that says what is still to be told, and by which notifier."""


def hearing(world: World, entry: OutboxEntry) -> dict[str, Placed]:
    """Return the notifiers that hear of a notice, by `space/name`."""
    event, admission = event_of(entry.run), world.admission
    if admission is None or event is None:
        return {}
    documents, space = admission.in_force.documents, entry.run.stack.space
    if not documents.tree.exists(space):
        # It left with the stack, and those above it hear how that ends.
        space = admission.former.keeper(space, documents.tree) or ROOT
    found = notifiers(documents, space, event)
    return {f"{placed.ref.space}/{placed.ref.name}": placed for placed in found}


def receiver_of(world: World, errand: Errand) -> tuple[Placed, NotifierSpec, NotifierEvent] | None:
    """Return the notifier that is to tell something; None if it is gone, or does not want to hear of this any more."""
    if world.in_force is None:
        return None
    if isinstance(errand, OutboxEntry):
        placed, event = hearing(world, errand).get(errand.receiver or ""), event_of(errand.run)
    else:
        space, _, name = errand.receiver.partition("/")
        placed = world.in_force.documents.placed(ResourceRef(Kind.NOTIFIER, SpaceName(space), name))
        event = NotifierEvent(errand.body["event"])
    spec = placed.resource.spec if placed is not None else None
    if placed is None or event is None or not isinstance(spec, NotifierSpec) or event not in spec.events:
        return None
    return placed, spec, event


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What became of a delivery: why it failed, or None if the receiver took it."""

    failed: Failed | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice for one notifier, gathered whole, so that any thread may send it."""

    placed: Placed
    path: SpacePath
    """Where its space is, for its secrets."""
    spec: NotifierSpec
    event: NotifierEvent
    entry: Errand
    address: str | None
    """Where people find the page."""
    secrets: SecretSources
    networks: Sequence[Network]
    mail: Callable[[], MailServer | None]
    """Reads the settings of the mail server, with its password."""
    now: datetime

    def ask(self) -> DeliveryOutcome:
        """Send it."""
        try:
            match self.spec.type:
                case NotifierType.MAIL:
                    return DeliveryOutcome(self._post())
                case NotifierType.APPRISE:
                    return DeliveryOutcome(call(AppriseCall(self._url(), *self._words()), self.networks))
                case _:
                    return DeliveryOutcome(send(self._parcel(), self.networks))
        except SecretUnreadable as error:
            return DeliveryOutcome(Failed(str(error)))

    def _post(self) -> Failed | None:
        server, entry = self.mail(), self.entry
        if server is None:
            return Failed("the setting mail_server is not set", final=True)
        return post(Letter(self.spec.to or (), *self._words(), delivery_id(entry.id), entry.at), server)

    def _parcel(self) -> Parcel:
        spec, entry = self.spec, self.entry
        url = self._url()
        if spec.type is NotifierType.SLACK:
            return Parcel(url, self._text(), {}, spec.allow_http)
        delivery = delivery_id(entry.id)
        if isinstance(entry, OutboxEntry):
            body = as_json(self.event, entry.run, entry.at, delivery, self._page(entry))
        else:
            body = of_configuration(entry.body, entry.at, delivery, self.address)
        headers = {"X-Station-Event": self.event.value, "X-Station-Delivery": delivery}
        if spec.secret is not None:
            headers |= signed(body, self._opened(spec.secret, "secret"), int(self.now.timestamp()))
        return Parcel(url, body, headers, spec.allow_http)

    def _url(self) -> str:
        url = self.spec.url
        return self._opened(url, "url") if isinstance(url, SecretRef) else url or ""

    def _words(self) -> tuple[str, str]:
        entry = self.entry
        if isinstance(entry, OutboxEntry):
            return as_text(self.event, entry.run, self._page(entry))
        return of_configuration_as_text(entry.body, self.address)

    def _text(self) -> bytes:
        entry = self.entry
        if isinstance(entry, OutboxEntry):
            return as_slack(self.event, entry.run, self._page(entry))
        return of_configuration_for_slack(entry.body, self.address)

    def _page(self, entry: OutboxEntry) -> str | None:
        return f"{self.address.rstrip('/')}/runs/{entry.run.id}" if self.address is not None else None

    def _opened(self, secret: SecretRef, key: str) -> str:
        whole = secret_of(self.placed.resource, secret)
        return self.secrets.for_run(whole, SealedPlace(self.placed.ref, key, self.path)).strip()
