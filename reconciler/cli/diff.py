"""`station diff`: what a merge would do, shown before anybody merges."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect, service_url
from reconciler.cli.errors import CliError
from reconciler.cli.output import print_data

if TYPE_CHECKING:
    from reconciler.git.trees import Trees
    from reconciler.loop.desired.merging import Judging
    from reconciler.loop.preview import Preview
    from reconciler.settings import Settings
    from spaces.names import Revision

_SIGNS = {"create": "+", "update": "~", "move": ">", "follow": "?", "retain": "-", "destroy": "-", "delete": "-"}
_WORDS = {
    "move": "moves; nothing runs",
    "retain": "leaves Git; what it applied is retained",
    "destroy": "leaves Git; what it applied is destroyed",
}


_PIN_ENDS = "this merge changes it, and ends the pin"
_PIN_STAYS = "the pin goes on, and nothing of this reaches it before that ends"


@click.command("diff", context_settings=options.CONTEXT)
@click.option("--ref", metavar="REF", default="HEAD", show_default=True, help="The branch or commit to merge.")
@click.option("--base", metavar="REF", help="The branch or commit it is merged into. Default: origin/main, else main.")
@click.option("--config-branch", metavar="NAME", help="The branch that the service watches, if not main.")
@click.option("--config-path", metavar="DIR", help="The directory in the repository that holds the configuration.")
@click.option(
    "--repository",
    type=click.Path(path_type=Path, exists=True),
    default=".",
    help="The clone. Default: this directory.",
)
@click.option(
    "--as",
    "person",
    metavar="USER",
    help="Judge the merge as if this user made it. Default: the signers of the commits.",
)
@click.option(
    "--admins",
    metavar="ADMINS",
    help="The first admins, as in the service's setting. Default: the service says; without one, the setting here. "
    "[STATION_ADMINS]",
)
@options.output
@options.common
@click.pass_context
def command(ctx: click.Context, /, *, form: str, repository: Path, ref: str, base: str | None, **flags: Any) -> None:
    """Show what merging REF would do: documents, affected stacks and why, access gained or lost, changes held.

    Reads a clone and needs no service or credentials. Everything on the base branch is taken to be in force.
    If --url or STATION_URL names a service, it is asked for its first admins, how it knows the authors of commits, and
    which stacks are pinned.
    Exit codes: 0 no differences; 2 differences; 1 an error in REF.
    """
    from reconciler.git.trees import Trees
    from reconciler.loop.preview import preview

    person = flags.pop("person")
    flags, assumed, pins = _as_the_service(flags)
    settings = ctx.ensure_object(options.Common).settings(**flags)
    trees = Trees.of_clone(repository)
    branch = settings.config_branch
    into = _resolve(trees, [base] if base else [f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"])
    with _judging(settings, person) as judging:
        found = preview(trees, into, _resolve(trees, [ref]), settings.config_path, judging)
    if form in {"json", "yaml"}:
        print_data(_to_json(found, pins) | {"assumed": assumed}, form)
    else:
        _print(found, pins)
        if found.held and assumed is not None:
            click.echo(f"\nassumed: {assumed}")
    if any(diagnostic.severity == "error" for diagnostic in found.diagnostics):
        ctx.exit(1)
    ctx.exit(0 if found.is_empty else 2)


_Pins = Mapping[str, dict[str, Any]]
"""The pinned stacks that the service tells of, by name."""


def _as_the_service(flags: dict[str, Any]) -> tuple[dict[str, Any], str | None, _Pins]:
    """Add what the service's settings say about admission to the flags; also return what is assumed, and the pins."""
    given = flags["admins"] is not None
    if service_url() is None:
        if given or os.environ.get("STATION_ADMINS"):
            return flags, None, {}
        hint = "name others with --admins, or the service with --url"
        return (
            flags,
            f"the service has no first admins beside those of the repository and the settings here; {hint}",
            {},
        )
    try:
        with connect() as api:
            said = api.get("/access/settings")
            pins = {pin["stack"]: pin for pin in api.get("/status").get("pins", ())}
    except CliError as error:
        return flags, f"the service has the settings that are here, since it could not be asked: {error}", {}
    flags = {
        **flags,
        "identity": said["identity"],
        "identity_forges": tuple(said["identityForges"]),
        "destroy_budget": said["destroyBudget"],
    }
    if given:
        return flags, None, pins
    flags["admins"] = tuple(said["admins"])
    if said["adminsComplete"]:
        return flags, None, pins
    but = f" but {', '.join(said['admins'])}" if said["admins"] else ""
    return (
        flags,
        f"the service has no first admins{but}: it names others only to who may read the root's bindings",
        pins,
    )


def _resolve(trees: Trees, names: list[str]) -> Revision:
    for name in names:
        revision = trees.resolve(name)
        if revision is not None:
            return revision
    raise CliError(f"there is no {' and no '.join(names)} in this clone: name another branch or commit, or fetch it")


@contextmanager
def _judging(settings: Settings, person: str | None) -> Iterator[Judging]:
    from rbac.access.subjects import Subject, SubjectKind
    from rbac.admission.settings import Rules
    from rbac.identity import Person
    from reconciler.git.signatures import Signatures
    from reconciler.loop.desired.merging import Judging
    from reconciler.loop.desired.persons import Persons

    who = None
    if person is not None:
        try:
            subject = Subject.parse(person)
        except ValueError as wrong:
            raise CliError(f"--as: {wrong}") from None
        if subject.kind is not SubjectKind.USER:
            raise CliError(f"--as {person}: name a user, because only users make commits")
        who = Person(subject, "named by --as")
    with TemporaryDirectory(prefix="station-") as directory, Signatures(Path(directory)) as signatures:
        rules = Rules(settings.first_admins, settings.destroy_budget)
        persons = Persons(signatures, settings.identity, settings.first_admins, settings.forges)
        yield Judging(rules, datetime.now(UTC), persons, who)


def _to_json(found: Preview, pins: _Pins) -> dict[str, Any]:
    return {
        "base": found.base,
        "revision": found.revision,
        "documents": [
            {"kind": str(change.ref.kind), "space": change.ref.space, "name": change.ref.name, "verb": str(change.verb)}
            for change in found.documents
        ],
        "stacks": [
            {
                "id": str(stack.id),
                "action": str(stack.action),
                "why": [{"component": str(why.component), "summary": why.summary} for why in stack.why],
                "pin": pins[str(stack.id)] | {"ends": stack.ends_pin} if str(stack.id) in pins else None,
            }
            for stack in found.stacks
        ],
        "access": [
            {
                "subject": str(each.subject),
                "action": str(action),
                "space": each.space,
                "verb": str(each.verb),
                "because": each.because,
                "below": each.below,
            }
            for each in found.access
            for action in sorted(each.actions)
        ],
        "held": [held.to_json() for held in found.held],
        "destroys": [{"id": str(stack.id)} for stack in found.stacks if str(stack.action) == "destroy"],
        "diagnostics": [diagnostic.to_json() for diagnostic in found.diagnostics],
    }


def _print(found: Preview, pins: _Pins) -> None:
    click.echo(f"merging {found.revision[:12]} into {found.base[:12]}")
    if found.is_empty:
        click.echo("nothing would change")
    if found.documents:
        click.echo("\ndocuments")
        for change in found.documents:
            moved = f" (was {change.origin.space}/{change.origin.name})" if change.origin else ""
            click.echo(f"  {_SIGNS.get(str(change.verb), '~')} {change.ref}{moved}")
    if found.stacks:
        click.echo("\nstacks")
        for stack in found.stacks:
            reasons = "; ".join(f"{why.component}: {why.summary}" for why in stack.why)
            words = reasons or _WORDS.get(str(stack.action), "")
            click.echo(f"  {_SIGNS[str(stack.action)]} {stack.id}: {words}")
            if (pin := pins.get(str(stack.id))) is not None:
                by = f"pinned to {pin['revision'][:12]} by {pin['person']} ({pin['note']})"
                click.echo(f"      it is {by}: {_PIN_ENDS if stack.ends_pin else _PIN_STAYS}")
    _print_access(found)
    if found.diagnostics:
        click.echo("")
        for diagnostic in found.diagnostics:
            click.echo(str(diagnostic))


def _print_access(found: Preview) -> None:
    from rbac.access.actions import summarize

    if found.access:
        click.echo("\naccess")
        for each in found.access:
            below = f" and {each.below} below" if each.below else ""
            words = f"{each.verb} {summarize(each.actions)} on {each.space}{below}"
            click.echo(f"  {each.subject} {words}: {each.because}")
    if found.held:
        from spaces.diagnostics import printable

        click.echo("\nheld")
        for held in found.held:
            lacks = f", without {held.missing[0]} in {held.missing[1]}" if held.missing else ""
            click.echo(f"  ! {held.verb} {printable(held.what)} by {held.person}{lacks}: {held.message}")
