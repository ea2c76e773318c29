"""`station notification …`: what notifiers were told, and sending it again."""

from __future__ import annotations

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.output import Column, Row, key, moment, print_data, print_rows


@options.group("notification")
def command() -> None:
    """List the notices sent to notifiers, or send one again."""


@options.add_command(
    command,
    options.space,
    click.option("--notifier", metavar="SPACE/NAME", help="Only notices to this notifier."),
    click.option("--failed", is_flag=True, help="Only notices that the service has stopped trying to send."),
    click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most N notices."),
    options.output,
)
def list(  # noqa: A001 - its name
    *, space: str | None, notifier: str | None, failed: bool, limit: int | None, form: str
) -> None:
    """List notices: first those that still wait, then those that were taken or given up, newest first."""
    asked = {"space": space, "subtree": True if space else None, "notifier": notifier}
    with connect() as api:
        # What waits is not given up.
        waiting = [] if failed else api.get("/notifications/waiting", limit=limit or 1000, **asked)["items"]
        rest = None if limit is None else max(limit - len(waiting), 0)
        told = api.every("/notifications", at_most=rest, failed=failed or None, **asked)
    print_rows(waiting + told, _COLUMNS, form)


@options.add_command(command, click.argument("number", type=click.IntRange(1)), options.output)
def resend(number: int, form: str) -> None:
    """Send the notice NUMBER about a run again, to the same notifier. You need notifier:update in its space."""
    with connect() as api:
        sent = api.post(f"/notifications/{number}/resend")
    if form in {"json", "yaml"}:
        print_data(sent, form)
        return
    click.echo(f"{sent['event']} of run {sent['run']} is sent again to {sent['notifier']}")


def _result(row: Row) -> str:
    if row["number"] is None:
        return f"waiting after {row['attempts']} attempts" if row["attempts"] else "waiting"
    return f"given up: {row['error']}" if row["error"] else "taken"


_COLUMNS = (
    Column("NUMBER", key("number")),
    Column("NOTIFIER", key("notifier")),
    Column("EVENT", key("event")),
    Column("STACK", key("stack")),
    Column("RUN", key("run")),
    Column("AT", moment("at")),
    Column("RESULT", _result),
)
