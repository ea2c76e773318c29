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


class Entry(NamedTuple):
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
    "demo": Entry("reconciler.cli.demo", "Show a complete example on this machine, in a scratch directory."),
    "init": Entry("reconciler.cli.init", "Create a new configuration repository to start from."),
    "validate": Entry("reconciler.cli.validate", "Report every error in a configuration repository."),
    "diff": Entry("reconciler.cli.diff", "Show what merging a branch would do, and why."),
    "serve": Entry("reconciler.cli.serve", "Run the service: watch, reconcile, serve the page and the API."),
    "reconcile": Entry("reconciler.cli.reconcile", "Reconcile once until nothing is left to do, then exit."),
    "worker": Entry("reconciler.cli.worker", "Do the runs of a worker pool on this machine, for a service elsewhere."),
    "render": Entry("reconciler.cli.render", "Show a stack's effective configuration and where it comes from."),
    "blueprint": Entry("reconciler.cli.blueprint", "List blueprints, their inputs and the documents they make."),
    "open": Entry("reconciler.cli.open", "Open the page in a browser."),
    "login": Entry("reconciler.cli.login", "Sign in to a service, and keep a token for it."),
    "logout": Entry("reconciler.cli.login", "Forget the token for a service.", "logout"),
    "status": Entry("reconciler.cli.status", "Show the state of the service and its configuration."),
    "stacks": Entry("reconciler.cli.stacks", "List stacks."),
    "stack": Entry("reconciler.cli.stack", "Show a stack, run it, suspend it, lock it, pin it and more."),
    "runs": Entry("reconciler.cli.runs", "List runs."),
    "run": Entry("reconciler.cli.run", "Show a run, confirm it, cancel it, review it and more."),
    "rollout": Entry("reconciler.cli.rollout", "List revisions on their way to many stacks; resume a paused one."),
    "queue": Entry("reconciler.cli.queue", "List what runs, what waits in the queue, and why."),
    "revisions": Entry("reconciler.cli.revisions", "List the last revisions and how far each got."),
    "pool": Entry("reconciler.cli.pool", "List the worker pools and how full they are; drain and resume one."),
    "resources": Entry("reconciler.cli.resources", "List the resources of all stacks."),
    "task": Entry("reconciler.cli.task", "Run a command in a stack's directory and environment."),
    "drift": Entry("reconciler.cli.drift", "List drift; check a stack for drift now."),
    "fetch": Entry("reconciler.cli.fetch", "Make the service fetch its repositories now."),
    "tfstate": Entry("reconciler.cli.tfstate", "List, download, upload and roll back a stack's tfstate."),
    "policy": Entry("reconciler.cli.policy", "Test policies on recorded inputs; record the input of a run."),
    "held": Entry("reconciler.cli.held", "List, show and approve held changes."),
    "explain": Entry("reconciler.cli.explain", "Show why a stack is what it is, from the commit to the apply."),
    "audit": Entry("reconciler.cli.audit", "List the audit log; verify that nobody altered it."),
    "access": Entry("reconciler.cli.access", "Ask who may do what, where, and why."),
    "token": Entry("reconciler.cli.token", "Create, list and revoke API tokens."),
    "seal": Entry("reconciler.cli.seal", "Encrypt a secret for one place in the configuration."),
    "backup": Entry("reconciler.cli.backup", "Write everything that the database holds into a file."),
    "restore": Entry("reconciler.cli.restore", "Bring a backup into an empty database; nothing runs at first."),
    "migrate": Entry("reconciler.cli.migrate", "Move from SQLite to PostgreSQL."),
    "oidc": Entry("reconciler.cli.oidc", "Print what clouds need to check run tokens; rotate the keys."),
    "doctor": Entry("reconciler.cli.doctor", "Check that everything the service needs is in place."),
    "api": Entry("reconciler.cli.api", "Send any request to the API."),
    "completion": Entry("reconciler.cli.completion", "Print what makes a shell complete commands, stacks and runs."),
    "schema": Entry("reconciler.cli.schema", "Print or write the JSON Schemas for editors."),
}
"""Every command, in the order of `station --help`."""


class LazyGroup(click.Group):
    """A group that takes its commands from `entries`."""

    def __init__(self, *arguments: Any, entries: Mapping[str, Entry], **options: Any) -> None:
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
