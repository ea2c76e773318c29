"""The shapes of what notifiers were told."""

from __future__ import annotations

from datetime import datetime

from reconciler.web.api.schemas.shapes import Shape


class DeliveryJson(Shape):
    """A notice for one notifier. `number` is its row of the audit; null: it is still to be sent, after `attempts`.

    `error`: why it was given up; null: the receiver took it. `run` and `stack`: null if it is about the configuration.
    """

    number: int | None
    notifier: str
    event: str
    run: str | None
    stack: str | None
    at: datetime
    attempts: int | None
    error: str | None


class ResentJson(Shape):
    """A notice that will be sent again."""

    notifier: str
    run: str
    event: str
