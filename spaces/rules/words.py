"""The words for a broken rule: its diagnostic, at its place in the document, with a hint."""

from __future__ import annotations

from typing import assert_never

from spaces.diagnostics import Diagnostic, Position, error
from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import ExpansionProblem
from spaces.model.explain import did_you_mean
from spaces.model.role import BUILT_IN_ROLES
from spaces.names import ROOT, Kind, SpaceName
from spaces.rules.rules import KINDS, Rule, Violation


def tell(violation: Violation, placed: Placed, documents: PlacedDocuments, *, suggest: bool = True) -> Diagnostic:
    """Put a violation into words, at its place in the document; looking for a likely name to suggest costs time."""
    if violation.inner is not None:
        made, broken = violation.inner
        return tell_made(placed, tell(broken, made, documents, suggest=suggest))
    if violation.finding is not None:
        return _tell_finding(violation.finding, placed)
    summary, hint = _words(violation, placed, documents, suggest=suggest)
    if violation.rule is Rule.UNKNOWN_BLUEPRINT and _versions(violation.name, placed.ref.space, documents):
        return error("unknown-version", summary, placed.resource.position(("spec", "version")), hint)
    written = placed.resource.space is not None or violation.path != ("metadata", "space")
    path = violation.path if written else ("metadata", "name")
    return error(violation.rule.value, summary, placed.resource.position(path), hint)


def tell_made(instance: Placed, told: Diagnostic) -> Diagnostic:
    """Tell of a made document at the instance that somebody wrote; the template's place is in the hint."""
    at = told.position
    where = f"made at {at.file}:{at.line}:{at.column}" if at is not None else None
    hint = "; ".join(part for part in (told.hint, where) if part)
    return error(told.code, f"{instance.ref}: {told.summary}", instance.resource.position(("spec", "blueprint")), hint)


def _tell_finding(finding: ExpansionProblem, instance: Placed) -> Diagnostic:
    summary = finding.summary if str(instance.ref) in finding.summary else f"{instance.ref}: {finding.summary}"
    at = finding.place.position() if finding.place is not None else None
    where = f"in the template at {at.file}:{at.line}:{at.column}" if at is not None else None
    hint = "; ".join(part for part in (finding.hint, where) if part)
    return error(finding.code, summary, instance.resource.position(finding.path), hint or None)


def in_template(violation: Violation) -> Position | None:
    """Return the place in the template that an instance breaks a rule by; None if there is none."""
    if violation.inner is not None:
        made, broken = violation.inner
        return made.resource.position(broken.path)
    place = violation.finding.place if violation.finding is not None else None
    return place.position() if place is not None else None


def _versions(name: str, space: SpaceName, documents: PlacedDocuments) -> list[str]:
    """List the versions that a blueprint, named with one that it does not have, has in a space."""
    where, _, bare = name.rpartition("/")
    found = (ref for ref in documents.visible(Kind.BLUEPRINT, space) if where in ("", ref.space))
    return [ref.name.partition("@")[2] for ref in found if ref.name.partition("@")[0] == bare.partition("@")[0]]


def _words(  # noqa: C901, PLR0912 - a case for each rule
    violation: Violation, placed: Placed, documents: PlacedDocuments, *, suggest: bool
) -> tuple[str, str | None]:
    name, space = violation.name, placed.ref.space
    others = " and ".join(str(other) for other in violation.others)
    told: tuple[str, str | None]
    match violation.rule:
        case Rule.UNKNOWN_SPACE:
            hint = did_you_mean(name, list(documents.tree.spaces())) if suggest else None
            told = f"{placed.ref}: there is no space {name} in force", hint
        case Rule.SPACE_CYCLE:
            told = f"{placed.ref} is its own ancestor: {name}", "give one of them another parent"
        case (
            Rule.UNKNOWN_CONTEXT
            | Rule.UNKNOWN_REPOSITORY
            | Rule.UNKNOWN_INTEGRATION
            | Rule.UNKNOWN_POOL
            | Rule.UNKNOWN_STACK as rule
        ):
            known = names_in_reach(KINDS[rule], space, documents, qualified="/" in name) if suggest else []
            told = (
                f"there is no {KINDS[rule]} {name} for {placed.ref}",
                did_you_mean(name, known) or _reach(rule, space),
            )
        case Rule.UNKNOWN_BLUEPRINT:
            told = _blueprint_words(name, placed, documents, suggest=suggest)
        case Rule.MADE_ALREADY:
            told = f"{placed.ref} is already made by {others}", "rename it, or change the inputs of the instance"
        case Rule.MAKES:
            told = f"{placed.ref} makes documents with errors", None
        case Rule.UNKNOWN_ROLE:
            known = [*BUILT_IN_ROLES, *(each.ref.name for each in documents.of_kind(Kind.ROLE))]
            hint = did_you_mean(name, known) if suggest else None
            told = (
                f"there is no Role {name} for {placed.ref}",
                hint or f"the built-in roles are {', '.join(BUILT_IN_ROLES)}",
            )
        case Rule.NOT_IN_ROOT:
            hint = "write metadata.space: root, or move the file to a directory of the root space"
            told = f"{placed.ref} must be in the space root", hint
        case Rule.CONTEXT_TWICE | Rule.CONTEXT_TIE | Rule.FILE_BELOW_FILE:
            told = _clash_words(violation, placed)
        case (
            Rule.INTEGRATION_TWICE
            | Rule.INTEGRATION_CLASH
            | Rule.INTEGRATION_REFUSED
            | Rule.SUBJECT_TOO_LONG
            | Rule.NO_VAULT as rule
        ):
            told = _integration_words(rule, placed, name, others)
        case Rule.DEPENDS_ON_ITSELF | Rule.DEPENDENCY_TWICE | Rule.DEPENDENCY_CYCLE as rule:
            told = _dependency_words(rule, placed, name, others)
        case Rule.POOL_LACKS_TOOL:
            told = (
                f"{placed.ref} uses {name}, which the machines of {others} do not have",
                f"name another pool, or add {name} to spec.tools of this one",
            )
        case Rule.MOVED_FROM_EXISTS:
            told = (
                f"{placed.ref} cannot move from {name}: that stack still exists",
                "remove the old document in the same commit",
            )
        case Rule.MOVED_FROM_TWICE:
            told = f"{placed.ref} and {others} all have movedFrom {name}", "keep movedFrom in one of them"
        case Rule.SEALED_ELSEWHERE:
            moved = " (if the space is new or moves, write its whole path)" if space != ROOT else ""
            where = f"--space {space} --kind {placed.ref.kind} --name {placed.ref.name} --key {name}"
            told = f"{name} of {placed.ref} was sealed for another place", f"seal it again: station seal {where}{moved}"
        case _:
            assert_never(violation.rule)
    return told


def _clash_words(violation: Violation, placed: Placed) -> tuple[str, str]:
    """Word what contexts do to each other, or to the stack."""
    name, others = violation.name, " and ".join(map(str, violation.others))
    if violation.rule is Rule.CONTEXT_TWICE:
        return f"{others} is named twice by {placed.ref}", "name it once"
    if violation.rule is Rule.CONTEXT_TIE:
        return f"{others} both set {name} for {placed.ref}", "give one of them a higher priority"
    below, _, above = name.partition(" below ")
    of, by = violation.others
    summary = f"{placed.ref} gets {below} from {of} inside {above}, which is a file from {by}"
    return summary, "change one of the paths, or use only one of the two"


def _integration_words(rule: Rule, placed: Placed, name: str, others: str) -> tuple[str, str]:
    if rule is Rule.INTEGRATION_TWICE:
        return f"{others} is named twice by {placed.ref}", "name it once"
    if rule is Rule.NO_VAULT:
        where = f" through {others}" if others else ""
        summary = f"{placed.ref} has the secret {name} in Vault{where}, and no vault integration to read it with"
        return summary, "name a CloudIntegration with provider vault in spec.integrations"
    if rule is Rule.INTEGRATION_REFUSED:
        return f"{others} is only for stacks with the labels {name}, which {placed.ref} lacks", "give it the labels"
    if rule is Rule.SUBJECT_TOO_LONG:
        hint = "shorten the name of the stack or space, or leave :kind:{kind} or :stack:{stack} out of its spec.subject"
        summary = f"the subject of tokens from {others} would have {name} bytes for {placed.ref}: the most are 127"
        return summary, hint
    return f"{placed.ref} uses {others}, both for {name}", "use one of them"


def _reach(rule: Rule, space: SpaceName) -> str:
    reach = f"it must be in {space}, or in a space that {space} inherits from"
    return f"{reach}, or name {space} in its spec.shareOutputs" if rule is Rule.UNKNOWN_STACK else reach


def _dependency_words(rule: Rule, placed: Placed, name: str, others: str) -> tuple[str, str]:
    if rule is Rule.DEPENDENCY_TWICE:
        return f"{placed.ref} names {others} twice", "name it once"
    if rule is Rule.DEPENDS_ON_ITSELF:
        return f"{placed.ref} depends on itself", "remove this dependency"
    return f"{placed.ref} depends on itself: {name}", "remove one of these dependencies"


def _blueprint_words(name: str, placed: Placed, documents: PlacedDocuments, *, suggest: bool) -> tuple[str, str | None]:
    blueprint, _, version = name.partition("@")
    space = placed.ref.space
    if versions := _versions(name, space, documents):
        summary = f"there is no version {version} of Blueprint {blueprint} for {placed.ref}"
        return summary, did_you_mean(version, versions) or f"it has {', '.join(versions[:10])}"
    known = names_in_reach(Kind.BLUEPRINT, space, documents, qualified="/" in name) if suggest else []
    hint = did_you_mean(blueprint, [each.partition("@")[0] for each in known])
    return f"there is no Blueprint {blueprint} for {placed.ref}", hint or _reach(Rule.UNKNOWN_BLUEPRINT, space)


def names_in_reach(kind: Kind, space: SpaceName, documents: PlacedDocuments, *, qualified: bool) -> list[str]:
    """Name the documents of a kind that can be used in a space, bare or as space/name, for suggestions."""
    return [f"{ref.space}/{ref.name}" if qualified else ref.name for ref in documents.visible(kind, space)]
