"""`station completion`: what makes a shell complete commands, options, stacks and runs."""

from __future__ import annotations

import click

from reconciler.cli import options

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", context_settings=options.CONTEXT)
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the code that makes SHELL complete commands, options, stacks and runs. SHELL is bash, zsh or fish.

    For bash, put `eval "$(station completion bash)"` into ~/.bashrc; for zsh the same with zsh into ~/.zshrc; for fish
    `station completion fish | source` into ~/.config/fish/config.fish.
    At TAB that code calls station with the variable _STATION_COMPLETE; nobody has to set it.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows these three
    click.echo(made(ctx.find_root().command, {}, "station", "_STATION_COMPLETE").source())
