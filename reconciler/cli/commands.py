"""The commands of `station`: the table that `--help` prints, and the group that imports a command when it runs.

`main` builds the top group from this table. Listing the commands imports none of them, which keeps `station --help`
quick.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Listed(NamedTuple):
    """One command: the module that holds it, its line in the list, and its name in the module."""

    module: str
    help: str
    name: str = "command"

    def load(self) -> click.Command:
        """Import the command."""
        command = getattr(importlib.import_module(self.module), self.name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}.{self.name} is not a command")
        return command


COMMANDS = {
    "demo": Listed("reconciler.cli.demo", "Show a complete example on this machine, in a scratch directory."),
    "init": Listed("reconciler.cli.init", "Create a new configuration repository to start from."),
    "validate": Listed("reconciler.cli.validate", "Report every error in a configuration repository."),
    "diff": Listed("reconciler.cli.diff", "Show what merging a branch would do, and why."),
    "serve": Listed("reconciler.cli.serve", "Run the service: watch, reconcile, serve the page and the API."),
    "reconcile": Listed("reconciler.cli.reconcile", "Reconcile once until nothing is left to do, then exit."),
    "worker": Listed("reconciler.cli.worker", "Do the runs of a worker pool on this machine, for a service elsewhere."),
    "render": Listed("reconciler.cli.render", "Show a stack's effective configuration and where it comes from."),
    "blueprint": Listed("reconciler.cli.blueprint", "List blueprints, show what they make, and order an instance."),
    "open": Listed("reconciler.cli.open", "Open the page in a browser."),
    "login": Listed("reconciler.cli.login", "Sign in to a service, and keep a token for it."),
    "logout": Listed("reconciler.cli.login", "Forget the token for a service.", "logout"),
    "status": Listed("reconciler.cli.status", "Show the state of the service and its configuration."),
    "stacks": Listed("reconciler.cli.stacks", "List stacks."),
    "stack": Listed("reconciler.cli.stack", "Show a stack, run it, suspend it, lock it, pin it and more."),
    "runs": Listed("reconciler.cli.runs", "List runs."),
    "run": Listed("reconciler.cli.run", "Show a run, confirm it, cancel it, review it and more."),
    "rollout": Listed("reconciler.cli.rollout", "List revisions on their way to many stacks; resume a paused one."),
    "queue": Listed("reconciler.cli.queue", "List what runs, what waits in the queue, and why."),
    "revisions": Listed("reconciler.cli.revisions", "List the last revisions and how far each got."),
    "pool": Listed("reconciler.cli.pool", "List worker pools and their workers; drain and resume one."),
    "resources": Listed("reconciler.cli.resources", "List the resources of all stacks."),
    "task": Listed("reconciler.cli.task", "Run a command in a stack's directory and environment."),
    "drift": Listed("reconciler.cli.drift", "List drift; check a stack for drift now."),
    "fetch": Listed("reconciler.cli.fetch", "Make the service fetch its repositories now."),
    "tfstate": Listed("reconciler.cli.tfstate", "List, download, upload and roll back a stack's tfstate."),
    "policy": Listed("reconciler.cli.policy", "Test policies on recorded inputs; record the input of a run."),
    "held": Listed("reconciler.cli.held", "List, show and approve held changes."),
    "explain": Listed("reconciler.cli.explain", "Show why a stack is what it is, from the commit to the apply."),
    "notification": Listed("reconciler.cli.notification", "List the notices sent to notifiers; send one again."),
    "audit": Listed("reconciler.cli.audit", "List the audit log; verify that nobody altered it."),
    "access": Listed("reconciler.cli.access", "Ask who may do what, where, and why."),
    "token": Listed("reconciler.cli.token", "Create, list and revoke API tokens."),
    "seal": Listed("reconciler.cli.seal", "Encrypt a secret for one place in the configuration."),
    "backup": Listed("reconciler.cli.backup", "Write everything that the database holds into a file."),
    "restore": Listed("reconciler.cli.restore", "Bring a backup into an empty database; nothing runs at first."),
    "migrate": Listed("reconciler.cli.migrate", "Move from SQLite to PostgreSQL."),
    "oidc": Listed("reconciler.cli.oidc", "Print what clouds need to check run tokens; rotate the keys."),
    "doctor": Listed("reconciler.cli.doctor", "Check that everything the service needs is in place."),
    "api": Listed("reconciler.cli.api", "Send any request to the API."),
    "completion": Listed("reconciler.cli.completion", "Print what makes a shell complete commands, stacks and runs."),
    "schema": Listed("reconciler.cli.schema", "Print or write the JSON Schemas for editors."),
}
"""Every command, in the order of `station --help`."""


class LazyGroup(click.Group):
    """A group that takes its commands from `entries`."""

    def __init__(self, *arguments: Any, entries: Mapping[str, Listed], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the table."""
        return [*self._entries, *super().list_commands(ctx)]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with what is typed, without importing any command."""
        from click.shell_completion import CompletionItem

        begun = [
            CompletionItem(name, help=it.help) for name, it in self._entries.items() if name.startswith(incomplete)
        ]
        # Not those of the group, which imports every command.
        return [*begun, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it; None where there is no such command."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        return entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        _ = ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])
