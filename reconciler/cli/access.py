"""`station access …`: who may do what, where, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.at_ref import at_ref, read_clone
from reconciler.cli.client import connect
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, print_data, print_rows

if TYPE_CHECKING:
    from rbac.access.access import Access
    from rbac.access.actions import Action
    from rbac.access.subjects import Subject


@options.group("access")
def command() -> None:
    """Ask who may do what, where. SUBJECT is user:NAME, group:NAME, apiKey:NAME, stack:SPACE/NAME, or a user's name.

    The answers come from the rules in force. With --merging, the service answers as after a merge of a branch or
    commit. With --ref, the answers come from the documents of a branch or commit in a clone, without a service.
    """


_merging = click.option(
    "--merging",
    metavar="REF",
    help="Ask the service how it would answer after a merge of this branch or commit. Held changes do not count.",
)


@command.command()
@click.argument("subject")
@click.argument("action")
@click.argument("space")
@_merging
@at_ref
@click.pass_context
def can(
    ctx: click.Context, /, *, subject: str, action: str, space: str, form: str, merging: str | None, **where: Any
) -> None:
    """Ask whether SUBJECT may do ACTION (such as stack:update) in SPACE. Exit codes: 0 allowed; 2 not allowed."""
    from rbac.access.access import ended
    from spaces.names import SpaceName

    if _asks_service(merging, where["ref"]):
        with connect() as api:
            answer = api.get("/access/can", subject=subject, action=action, space=space, ref=merging)
    else:
        access, asked = _access(ctx, **where), (_subject(subject), _action(action), SpaceName(space))
        decision = access.decide(*asked)
        over = access.ended(*asked) if not decision.allowed else None
        because = decision.because + (ended(over, asked[0]) if over is not None else "")
        answer = {"allowed": decision.allowed, "because": because}
    if form in {"json", "yaml"}:
        print_data(answer, form)
    else:
        click.echo(f"{'allowed' if answer['allowed'] else 'not allowed'}: {answer['because']}")
    ctx.exit(0 if answer["allowed"] else 2)


@command.command()
@click.argument("action")
@click.argument("space")
@_merging
@at_ref
@click.pass_context
def who(ctx: click.Context, /, *, action: str, space: str, form: str, merging: str | None, **where: Any) -> None:
    """List who may do ACTION in SPACE: groups, their members, and others with a role."""
    from spaces.names import SpaceName

    if _asks_service(merging, where["ref"]):
        with connect() as api:
            found = api.every("/access/who", action=action, space=space, ref=merging)
    else:
        holders = _access(ctx, **where).who_may(_action(action), SpaceName(space))
        found = [{"subject": str(each.subject), "because": each.because} for each in holders]
    print_rows(found, (Column("SUBJECT", key("subject")), Column("BECAUSE", key("because"))), form)


@command.command("of")
@click.argument("subject")
@_merging
@at_ref
@click.pass_context
def roles_of(ctx: click.Context, /, *, subject: str, form: str, merging: str | None, **where: Any) -> None:
    """List the roles that SUBJECT holds directly or through groups."""
    from rbac.access.actions import summarize

    if _asks_service(merging, where["ref"]):
        with connect() as api:
            found = api.every("/access/of", subject=subject, ref=merging)
    else:
        found = [
            {
                "role": held.grant.role,
                "space": held.grant.space,
                "actions": summarize(held.actions),
                "because": held.because,
                "expires": held.grant.expires.isoformat().replace("+00:00", "Z") if held.grant.expires else None,
            }
            for held in _access(ctx, **where).roles_of(_subject(subject))
        ]
    columns = (
        Column("SPACE", key("space")),
        Column("ROLE", key("role")),
        Column("BECAUSE", key("because")),
        Column("ACTIONS", key("actions"), wide=True),
    )
    print_rows(found, columns, form)


@options.add_command(command, click.argument("ref"), options.output)
def changes(ref: str, form: str) -> None:
    """List who would gain or lose which access by a merge of REF, a branch or commit that the service can fetch."""
    with connect() as api:
        found = api.every("/access/changes", ref=ref)
    columns = (
        Column("SUBJECT", key("subject")),
        Column("CHANGE", key("verb")),
        Column("ACTIONS", key("actions")),
        Column("SPACE", key("space")),
        Column("BELOW", key("below"), wide=True),
        Column("BECAUSE", key("because")),
    )
    print_rows(found, columns, form)


def _asks_service(merging: str | None, ref: str | None) -> bool:
    if merging is not None and ref is not None:
        raise CliError("--merging asks the service, and --ref reads a clone: give one of them")
    return ref is None


def _access(ctx: click.Context, **where: Any) -> Access:
    from reconciler.loop.preview import access_of

    settings = ctx.ensure_object(options.Common).settings(config_path=where["config_path"])
    return access_of(read_clone(ctx, **where), settings.first_admins.subjects, datetime.now(UTC))


def _subject(text: str) -> Subject:
    from rbac.access.subjects import Subject

    try:
        return Subject.parse(text)
    except ValueError as wrong:
        raise CliError(str(wrong)) from None


def _action(text: str) -> Action:
    from rbac.access.actions import Action

    try:
        return Action.parse(text)
    except ValueError as wrong:
        raise CliError(str(wrong)) from None
