"""What a shell offers at TAB: the names of stacks and runs, from the service that the command line names.

Whatever goes wrong offers nothing: an error in the middle of typing helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.client import Api, connect

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST = 200


def stacks(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the stacks whose name or `space/name` begins with what is typed."""

    def offered(api: Api) -> list[tuple[str, str]]:
        found = api.every("/stacks", at_most=_MOST, q=incomplete or None)
        named = [(it["id"] if it["id"].startswith(incomplete) else it["name"], it) for it in found]
        return [(name, f"{it['sync']}, {it['reason']}") for name, it in named if name.startswith(incomplete)]

    return _ask(ctx, offered)


def runs(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the newest runs whose id begins with what is typed."""

    def offered(api: Api) -> list[tuple[str, str]]:
        found = api.every("/runs", at_most=50, prefix=incomplete or None)
        return [(it["id"], f"{it['stack']} {it['status']}") for it in found]

    return _ask(ctx, offered)


def _ask(ctx: click.Context, offered: Callable[[Api], list[tuple[str, str]]]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    try:
        with ctx.scope(cleanup=False), connect() as api:
            return [CompletionItem(name, help=about) for name, about in offered(api)]
    except Exception:  # noqa: BLE001 - see above
        return []


def stack_argument(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the argument STACK."""
    return click.argument("stack", shell_complete=stacks, **options)


def run_argument(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the argument RUN."""
    return click.argument("run", shell_complete=runs, **options)
