"""Answers to requests that clients gave a key: whoever sends such a request again gets the same answer.

They are encrypted, since some hold a secret that is shown once, and forgotten after a day.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from reconciler.store import rows
from reconciler.store.bases import WritingBase
from reconciler.store.stored import CannotUnseal, KeptAnswer
from reconciler.store.tables import answers

_TABLE = "answers"
_KEPT = timedelta(days=1)
_LONGEST = timedelta(minutes=5)
"""After this time whoever began to answer a request has died."""


class AnswerWriting(WritingBase):
    """Answers to requests with a key, for a `Transaction`."""

    def begin_answer(self, key: str, request: str, now: datetime) -> KeptAnswer | None:
        """Note that a request is being answered, and forget what is too old.

        Return what is known of an earlier request with this key; None if the caller is the one to answer. `key` and
        `request` are digests: of who asks and the key, and of what is asked.
        """
        old = answers.c.begun_at < rows.micros(now - _KEPT)
        dead = (answers.c.begun_at < rows.micros(now - _LONGEST)) & answers.c.status.is_(None)
        self._connection.execute(delete(answers).where(old | dead))
        values = {"key": key, "request": request, "begun_at": rows.micros(now)}
        made = self._insert(answers).values(values).on_conflict_do_nothing().returning(answers.c.key)
        if self._connection.execute(made).first() is not None:
            return None
        row = self._connection.execute(select(answers).where(answers.c.key == key)).one()
        if row.status is None:
            return KeptAnswer(row.request)
        try:
            return KeptAnswer(row.request, row.status, self._keys.open(row.sealed, _TABLE, 0, key))
        except CannotUnseal:
            return KeptAnswer(row.request)

    def end_answer(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer to a request."""
        values = {"status": status, "sealed": self._seal(body, _TABLE, 0, key)}
        self._connection.execute(update(answers).where(answers.c.key == key).values(values))

    def forget_answer(self, key: str) -> None:
        """Forget a request that was not answered: it may be sent again."""
        self._connection.execute(delete(answers).where(answers.c.key == key))
