"""Commits that the service makes for people who order an instance of a blueprint: each on a new branch, in their name.

The API asks `order`. The commit is signed by the service's own key, and noted in the store before it is pushed: both
together make it count as exactly that person's (`persons`). The service never touches a branch that is there, least of
all the one that it follows; a person opens the merge request.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from posixpath import splitext

from rbac.access.subjects import Subject, SubjectKind
from rbac.identity import KeyRing
from reconciler.core.orders import Order, Wanted
from reconciler.git.authoring import Pen
from reconciler.git.errors import GitError, GitReason
from reconciler.git.mirror import Mirror
from reconciler.git.mirrors import Remote
from reconciler.git.objects import EntryKind
from reconciler.git.pushing import Draft
from reconciler.git.remote import host_of
from reconciler.git.trees import Trees
from reconciler.loop.desired.repositories import CannotFollow, Places
from reconciler.refusals import OperationRefused, Refusal
from reconciler.runs.audit import Audited
from reconciler.store.protocol import Store
from reconciler.store.stored import AuditEvent
from spaces.model.signing_keys import parse_signing_key
from spaces.names import Revision
from spaces.reading.writing import with_document

_log = logging.getLogger(__name__)

NAME = "Stationkeeper"
_DEADLINE = 60.0
"""The most seconds that a person waits for a fetch."""
_URL = re.compile(r"https?://[!-~]{1,500}")
_WHY = {
    GitReason.AUTHENTICATION_FAILED: "the service's credentials may not push to the configuration repository",
    GitReason.PUSH_REFUSED: "the Git server refuses the branch",
    GitReason.BRANCH_EXISTS: "a branch of the order's name is there already, with something else on it",
}
"""The failures after which the commit is certainly not there, and what people are told."""


def own_keys(store: Store) -> KeyRing:
    """Return the public halves of the keys that the service signs orders with."""
    return KeyRing.of(parse_signing_key(Pen.of_seed("service", seed).public) for seed in store.signing_seeds())


def orderer(store: Store, commit: Revision) -> Subject | None:
    """Return who ordered a commit; None if the service has no record of it."""
    with store.reading() as reading:
        order = reading.order(commit)
    if order is None:
        return None
    kind, _, name = order.subject.partition(":")
    return Subject(SubjectKind(kind), name)


@dataclass(slots=True)
class Ordering:
    """Makes such commits. Several threads may ask."""

    store: Store
    places: Places
    _one: threading.Lock = field(default_factory=threading.Lock)

    def order(self, wanted: Wanted, now: datetime) -> Order:
        """Put an instance on a branch. The same order again gives the same commit, while its branch is there.

        Raise OperationRefused where it cannot be pushed; then nothing of it is left.
        """
        if not self.places.settings.order_branches:
            message = "the service makes no commits here, since its setting order_branches is empty"
            raise OperationRefused(Refusal.ORDERS_OFF, message)
        try:
            with self._one:
                return self._order(wanted, now)
        except (GitError, CannotFollow) as error:
            _log.warning("the order of %s/%s by %s failed: %s", wanted.space, wanted.name, wanted.subject, error)
            reason = error.reason if isinstance(error, GitError) else None
            why = _WHY.get(reason) if reason is not None else None
            # Who may order need not know the repository.
            why = why or "the configuration repository cannot be read or written now"
            raise OperationRefused(Refusal.NOT_PUSHED, f"{why}; the service's log has the details", reason) from None

    def _order(self, wanted: Wanted, now: datetime) -> Order:
        remote = self.places.configuration()
        mirror = self.places.mirrors.mirror(remote.url)
        tip = mirror.fetch(remote.ref, remote.credentials, _DEADLINE)
        file, text = _placed(mirror.trees, tip, wanted)
        branch = self._branch(wanted, file, text)
        there = self._there(mirror, remote, branch)
        while there is not None and mirror.trees.is_ancestor(there.commit, tip):
            # It was merged, and left the branch since: to merge it again would bring nothing back.
            branch = self._branch(wanted, file, text, there.commit)
            there = self._there(mirror, remote, branch)
        if there is not None:
            return there
        commit = mirror.draft(self._draft(tip, {file: text}, wanted))
        order = Order(
            commit=commit,
            subject=str(wanted.subject),
            space=wanted.space,
            name=wanted.name,
            blueprint=wanted.blueprint,
            version=wanted.version,
            inputs=wanted.document["spec"]["inputs"],
            branch=branch,
            file=file,
            at=now,
        )
        # Noted before it is pushed: no commit of the service lies anywhere without a record.
        with self.store.writing() as transaction:
            transaction.put_order(order)
            transaction.append_audit([_event(Audited.BLUEPRINT_ORDERED, order, now, because=wanted.because)])
        try:
            said = mirror.push(commit, branch, remote.credentials)
        except GitError as error:
            self._failed(order, error.reason, now)
            there = self._there(mirror, remote, branch) if error.reason is GitReason.BRANCH_EXISTS else None
            if there is not None:
                # Another service on the database was asked for the same at the same time.
                return there
            raise
        if (link := _link(said, remote.url)) is not None:
            with self.store.writing() as transaction:
                transaction.link_order(commit, link)
        with self.store.reading() as reading:
            return reading.order(commit) or order

    def _failed(self, order: Order, reason: GitReason, now: datetime) -> None:
        """Note that a push failed. The record stays where the server may have taken the commit all the same."""
        with self.store.writing() as transaction:
            if reason in _WHY:
                transaction.remove_order(order.commit)
            transaction.append_audit([_event(Audited.ORDER_FAILED, order, now, because=str(reason))])

    def _branch(self, wanted: Wanted, file: str, text: str, *merged: str) -> str:
        """Return the branch of an order: of what is in it and whose it is, so that it never meets another one.

        It is also of the last commit of the same order that was merged before.
        """
        mark = hashlib.sha256("\0".join((str(wanted.subject), file, text, *merged)).encode()).hexdigest()[:10]
        return f"{self.places.settings.order_branches}{wanted.space}-{wanted.name}-{mark}"

    def _there(self, mirror: Mirror, remote: Remote, branch: str) -> Order | None:
        """Return the order that lies on a branch already; None: the branch is not there any more, or never was."""
        with self.store.reading() as reading:
            known = reading.order_on(branch)
        if known is None:
            return None
        try:
            mirror.fetch(branch, remote.credentials, _DEADLINE)
        except GitError as error:
            if error.reason is GitReason.BRANCH_NOT_FOUND:
                return None
            raise
        return known

    def _draft(self, tip: Revision, files: Mapping[str, str], wanted: Wanted) -> Draft:
        settings = self.places.settings
        what = f"{wanted.space}/{wanted.name}"
        message = f"Order {what} from {wanted.blueprint} {wanted.version}\n\nOrdered-by: {wanted.subject}\n"
        name = wanted.subject.name if wanted.subject.kind is not SubjectKind.ADMIN else "operator"
        author = (name, wanted.address or f"{name}@stationkeeper.invalid")
        pen = Pen.of_seed(NAME, self.store.signing_seeds()[0])
        return Draft(tip, files, message, author, (NAME, settings.order_email), pen)


def _placed(trees: Trees, tip: Revision, wanted: Wanted) -> tuple[str, str]:
    """Return the file of the branch that the document stands in, and its text with the document.

    Others may have written files there that are not in force: a new instance takes none of theirs.
    """
    file, number = wanted.file, 1
    while wanted.is_new and trees.entry(tip, file) is not None:
        number += 1
        stem, end = splitext(wanted.file)
        file = f"{stem}-{number}{end}"
    if (problem := _in_the_way(trees, tip, file)) is not None:
        raise OperationRefused(Refusal.NOT_PUSHED, f"{problem} on the branch: mend it first")
    there = trees.read(tip, file).decode() if not wanted.is_new and trees.entry(tip, file) is not None else ""
    text = with_document(there, wanted.document)
    if text is None:
        message = f"{file} cannot be read as it is on the branch: mend it first"
        raise OperationRefused(Refusal.NOT_PUSHED, message)
    if text == there:
        message = f"{wanted.space}/{wanted.name} stands on the branch just so: there is nothing to order"
        raise OperationRefused(Refusal.NOTHING_TO_ORDER, message)
    return file, text


def _in_the_way(trees: Trees, tip: Revision, file: str) -> str | None:
    """Return what is wrong with the place of a file: a commit must take nothing away that stands there."""
    parts = file.split("/")
    for above in ("/".join(parts[:number]) for number in range(1, len(parts))):
        found = trees.entry(tip, above)
        if found is not None and found.kind is not EntryKind.TREE:
            return f"{above} is not a directory"
    found = trees.entry(tip, file)
    return f"{file} is not a file" if found is not None and not found.kind.is_file else None


def _link(said: str, url: str) -> str | None:
    """Return the address for a merge request, where the Git server itself says one of its own."""
    host = host_of(url).partition(":")[0]
    return next((each for each in _URL.findall(said) if host_of(each).partition(":")[0] == host), None)


def _event(event: Audited, order: Order, now: datetime, *, because: str) -> AuditEvent:
    details = {
        "revision": order.commit,
        "branch": order.branch,
        "file": order.file,
        "instance": f"{order.space}/{order.name}",
        "blueprint": f"{order.blueprint} {order.version}",
        "because": because,
    }
    return AuditEvent(event, now, order.subject, details)
