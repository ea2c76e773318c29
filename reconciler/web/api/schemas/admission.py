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
    """A change that is not in force. `files`: it is about files that a stack refers to.

    `because` is `no-right` (somebody with the right can approve it), `denied` (a policy denies it, and who may change
    that policy can approve it), `broken` (it does not work among the others) or `waits` (for another held change); the
    first two have `missing`. With `file`, it is about a document in that file.
    `approvedBy` has given their word, and admission has not judged it yet.
    """

    id: str
    kind: str
    space: str
    name: str
    verb: str
    person: str
    missing: MissingJson | None
    because: str
    revision: str
    message: str
    files: bool
    file: str | None = None
    approved_by: str | None


class ApprovedJson(HeldJson):
    """A held change that the caller has approved. `inForce`: admission agreed; null if it has not judged that yet."""

    in_force: bool | None


class HeldDiffJson(HeldJson):
    """A held change with its `diff`: the document in force against the branch's, in the format of `diff -u`.

    null for files that a stack refers to, and for a move between spaces that the caller cannot read both of.
    """

    diff: str | None


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
    """Whether the audit is whole; `fault` says what is wrong with the first row that is not.

    `head` is the newest row, as NUMBER:HASH: kept elsewhere, it shows later whether the chain was written anew.
    """

    whole: bool
    fault: str | None
    head: str
