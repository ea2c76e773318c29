"""Documents that do not work: those that cannot be read, and those that break a rule among the others.

`step` asks before the first trial and after each. What is told of a fault names its place in the proposed files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from posixpath import dirname
from typing import TYPE_CHECKING

from spaces.catalog import YAML
from spaces.composition.carriers import carriers
from spaces.composition.changed_file import ChangedFile, Unit
from spaces.composition.holds import Because, Hold, name_of
from spaces.composition.trial import Trial
from spaces.diagnostics import Diagnostic, Position, Severity, error
from spaces.documents.changes import Verb
from spaces.documents.references import mentions
from spaces.names import Kind, SpaceName
from spaces.reading.resources import ParsedFile
from spaces.reading.texts import UNKNOWN
from spaces.rules.blame import Declared, Wording, blames
from spaces.rules.messages import name_position

if TYPE_CHECKING:
    from spaces.composition.step import Step

_NAMED = 5
"""How many documents a message names."""


def broken(step: Step) -> frozenset[Unit]:
    """Hold the documents that cannot be read; return those that may be any document."""
    hiding: set[Unit] = set()
    for path, parsed in step.tips.items():
        file = step.files[path]
        errors = [told for told in parsed.diagnostics if told.severity is Severity.ERROR]
        if errors or parsed.unreadable is not None:
            hiding |= _hold_file(step, path, file, parsed, errors)
    return frozenset(hiding)


def _hold_file(
    step: Step, path: str, file: ChangedFile, parsed: ParsedFile, errors: Collection[Diagnostic]
) -> set[Unit]:
    hiding: set[Unit] = set()
    for key, told in file.broken(parsed, errors):
        step.hold([Unit(path, key)], Hold(Because.BROKEN, tuple(told)))
        if key.kind in ("", UNKNOWN):
            hiding.add(Unit(path, key))
    missing = [Unit(path, key) for key in file.lost]
    if missing and file.hides:
        why: tuple[Diagnostic, ...] = ()
        if parsed.unreadable is not None:
            stay = "its document stays as it was", f"its {len(missing)} documents stay as they were"
            documents = stay[len(missing) > 1]
            summary = f"{path} cannot be read as YAML any more ({parsed.unreadable.summary}); {documents}"
            why = (error("unreadable-file", summary, parsed.unreadable.position, "repair it, or delete the file"),)
        step.hold(missing, Hold(Because.BROKEN, why))
    return hiding


def lost(step: Step, trial: Trial) -> bool:
    """Hold documents that cannot be read without a file that is held, and files that others cannot do without."""
    again = False
    for path in step.files:
        if not path.endswith(YAML):
            continue
        parsed = trial.after.files.get(path)
        errors = [d for d in parsed.diagnostics if d.severity is Severity.ERROR] if parsed is not None else []
        if parsed is None or not errors:
            continue
        needed = [each for each in parsed.attached if each in step.files]
        files = frozenset(unit for each in needed for unit in step.open_units(each))
        waits = frozenset(unit for each in needed for unit in step.held_in(each))
        own = step.open_units(path)
        again |= step.hold(own or files, Hold(Because.WAITS if waits else Because.BROKEN, tuple(errors), waits))
    return again


def invalid(step: Step, trial: Trial) -> bool:
    """Hold what does not work among the other documents."""
    again = False
    found = {change.ref: change for change in trial.changes}
    found |= {
        change.origin: change for change in trial.changes if change.origin is not None and change.origin not in found
    }
    words = Wording(trial.after.documents, *_declared(step, trial))
    for blame in blames(trial.before.documents, trial.after.documents, found, words=words):
        units: set[Unit] = set()
        for ref in blame.culprits:
            if ref in found:
                units |= carriers(step, trial, found[ref])
        wakes = {f"{kind} {name}" for kind, name in blame.names} | {name_of(ref) for ref in blame.users}
        for ref in blame.culprits:
            placed = trial.after.documents.placed(ref)
            if placed is not None:
                wakes |= {f"{kind} {name}" for kind, name in mentions(placed.resource)}
            wakes |= {f"Space {ref.space}"}
        again |= step.hold(units or step.everything(), Hold(Because.BROKEN, tuple(blame.told), wakes=frozenset(wakes)))
    return again


def _declared(step: Step, trial: Trial) -> tuple[Declared, list[str]]:
    """Return the documents that are held and no secret, each with its space and place; and unreadable files."""
    found = {named: [*places] for named, places in step.declared.items()}
    unread = [*step.unread]
    for unit, hold in step.held.items():
        if hold.because is Because.NO_RIGHT:
            continue
        if unit.key.kind in ("", UNKNOWN):
            unread.append(unit.path)
            continue
        if step.files[unit.path].was_there(unit.key) or not unit.path.endswith(YAML):
            continue
        written = step.files[unit.path].space(unit.key)
        space = SpaceName(written) if written else trial.after.space_of(dirname(unit.path))
        found.setdefault((Kind(unit.key.kind), unit.key.name), []).append((space, _position(step, unit)))
    return found, sorted({*unread})


def tell_flawed(step: Step, trial: Trial) -> None:
    """Add what broken documents name besides, and is declared nowhere: everything wrong is told at once."""
    words = Wording(trial.after.documents, *_declared(step, trial))
    for path in step.files:
        parsed = step.tips.get(path)
        for flawed in parsed.flawed if parsed is not None else ():
            space = flawed.space or trial.after.space_of(dirname(path))
            told = tuple(words.tell_flawed(flawed, space))
            named = (unit for unit in step.held_in(path) if unit.key[:2] == (flawed.kind, flawed.name))
            unit = next(named, None)
            if told and unit is not None:
                step.held[unit] = replace(step.held[unit], told=(*step.held[unit].told, *told))


def _position(step: Step, unit: Unit) -> Position:
    """Return where a proposed document says its name."""
    parsed = step.tips[unit.path]
    for flawed in parsed.flawed:
        if (flawed.kind, flawed.name) == unit.key[:2]:
            return flawed.position
    named = (each for each in parsed.resources if (each.kind, each.name) == unit.key[:2])
    resource = next(named, None)
    if resource is not None:
        return name_position(resource)
    return Position(unit.path, step.files[unit.path].line(unit.key))


def tell_left(step: Step, trial: Trial) -> Iterator[Diagnostic]:
    """Warn about documents that leave because their file, which is still there, holds nothing of ours any more."""
    gone = {change.ref for change in trial.changes if change.verb is Verb.DELETE}
    for path in sorted(step.files) if gone else ():
        file = step.files[path]
        if not path.endswith(YAML) or file.tip is None or any(text.key for text in file.texts):
            continue
        leaving = sorted(placed.ref for placed in step.before.placed.get(path, ()) if placed.ref in gone)
        if leaving:
            more = f" and {len(leaving) - _NAMED} more" if len(leaving) > _NAMED else ""
            named = ", ".join(str(ref) for ref in leaving[:_NAMED])
            summary = f"{path} holds no document any more, so these leave: {named}{more}"
            hint = "delete the file if that is meant; else see that each document begins with its apiVersion"
            yield Diagnostic(Severity.WARNING, "documents-left", summary, hint, Position(path))
