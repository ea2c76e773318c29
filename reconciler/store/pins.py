"""The pins that people asked for, until the loop or somebody ends them, and how a pin is written.

Which of them are in force, the configuration's state says: the loop takes them in with the next generation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from reconciler.core.keeping import StackPin
from reconciler.core.state import SourceCommit
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.selecting import among_stacks, bind_stacks
from reconciler.store.tables import pins, stacks
from reconciler.store.texts import dump, load, moment, moment_text
from spaces.names import Revision, SpaceName, StackId

_ALL = select(stacks.c.space, stacks.c.name, pins.c.body).join(stacks, stacks.c.id == pins.c.stack_id)


class PinReading(ReadingBase):
    """The question about pins, for a `Reading`."""

    def pins(self) -> dict[StackId, StackPin]:
        """Return the pins that somebody asked for and nobody ended."""
        found = self._connection.execute(_ALL)
        return {StackId(SpaceName(row.space), row.name): pin_from_json(load(row.body)) for row in found}


class PinWriting(PinReading, WritingBase):
    """The changes of pins, for a `Transaction`."""

    def put_pin(self, stack: StackId, pin: StackPin) -> None:
        """Set the pin of a stack, in place of the one that it has."""
        body = dump(pin_to_json(pin))
        statement = self._insert(pins).values(stack_id=self._keys_of({stack})[stack], body=body)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["stack_id"], set_={"body": body}))

    def remove_pin(self, stack: StackId, pin: StackPin) -> bool:
        """Remove exactly this pin of a stack; False where it has another one by now, or none."""
        theirs = among_stacks(self._dialect, pins.c.stack_id)
        mine = delete(pins).where(theirs, pins.c.body == dump(pin_to_json(pin)))
        return bool(self._connection.execute(mine, bind_stacks(self._dialect, [stack])).rowcount)


def pin_to_json(pin: StackPin) -> list[Any]:
    """Return a pin as JSON."""
    source = pin.source
    return [
        *(pin.revision, pin.mark, [source.repository, source.revision, source.author] if source else None, pin.author),
        *(pin.person, pin.note, moment_text(pin.since), moment_text(pin.until), pin.instead),
    ]


def pin_from_json(body: list[Any]) -> StackPin:
    """Return a pin from its JSON."""
    revision, mark, source, author, person, note, since, until, instead = body
    found = SourceCommit(source[0], Revision(source[1]), source[2]) if source else None
    start = datetime.fromisoformat(since)
    return StackPin(Revision(revision), mark, found, author, person, note, start, moment(until), instead)
