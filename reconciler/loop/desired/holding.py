"""What admission holds back, and what it keeps in force instead, as the store remembers it."""

from __future__ import annotations

from datetime import datetime

from rbac.admission.admit import Admission
from reconciler.store.protocol import Transaction
from reconciler.store.stored import KeptDocument
from spaces.composition.holds import Because


def put_held(transaction: Transaction, before: Admission | None, admission: Admission, now: datetime) -> None:
    """Write what is held, as far as it is not what was held before."""
    files = admission.held.files
    old = before.held.files if before is not None else {}
    new = admission.held.to_records([path for path, file in files.items() if old.get(path) is not file])
    gone = (old.keys() if before is not None else transaction.held_files().keys()) - files.keys()
    transaction.put_held_changes(admission.held_changes, now)
    transaction.put_held_files({**new, **dict.fromkeys(gone)})
    writes = before.writes if before is not None else transaction.unearned_writes()
    differ = {path for path in {*writes, *admission.writes} if writes.get(path) != admission.writes.get(path)}
    transaction.put_unearned_writes({path: admission.writes.get(path) for path in differ})


def kept(admission: Admission) -> tuple[KeptDocument, ...]:
    """Return the documents that do not work as proposed, and stay in force as they were."""
    found = []
    for entry in admission.held:
        if entry.hold.because is Because.NO_RIGHT or entry.at is None:
            continue
        for placed in admission.in_force.tree.placed.get(entry.unit.path, ()):
            if (placed.resource.kind, placed.resource.name) == entry.unit.key[:2]:
                ref, because = placed.ref, entry.hold.because.value
                found.append(KeptDocument(str(ref.kind), ref.space, ref.name, entry.unit.path, entry.at, because))
    return tuple(sorted(found, key=lambda each: (each.kind, each.space, each.name)))
