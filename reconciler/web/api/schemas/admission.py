"""What waits for somebody with the right, and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconciler.web.api.schemas.shapes import Shape


class MissingJson(Shape):
    """The right that somebody lacks, and where."""

    action: str
    space: str


class HeldJson(Shape):
    """A change that waits for somebody who has the right. `files`: it is about files that a stack refers to.

    With `file`, it is about what that file says alone, which does not count; what others say of the document does.
    `approvedBy` has given their word, and admission has not judged it yet.
    """

    id: str
    kind: str
    space: str
    name: str
    verb: str
    person: str
    missing: MissingJson
    revision: str
    message: str
    files: bool
    file: str | None = None
    approved_by: str | None


class AuditJson(Shape):
    """One row of the audit. `hash` is over `previous`, the hash of the row before, and the rest."""

    number: int
    event: str
    at: datetime
    person: str | None
    details: dict[str, Any]
    previous: str
    hash: str


class AuditCheckJson(Shape):
    """Whether the audit is whole; `fault` says what is wrong with the first row that is not."""

    whole: bool
    fault: str | None
