"""Commands that are still to come say so, and are not advertised."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from reconciler.cli.main import main, station

LATER = ["drift adopt", "worker"]


@pytest.mark.parametrize("command", LATER)
def test_a_command_that_is_still_to_come_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for rest in ([], ["root/a"], ["--help"], ["root/a", "--", "true"]):
        assert main([*command.split(), *rest]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", f"error: this version does not support station {command} yet\n"), rest


@pytest.mark.parametrize("call", [["stak"], ["stack", "destory"], ["run", "drift", "x"]], ids=" ".join)
def test_any_other_word_is_no_command(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 1
    assert "No such command" in capsys.readouterr().err


def _listed(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        yield " ".join((*path, name))
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _listed(command, (*path, name))


def test_no_list_of_commands_names_it() -> None:
    listed = set(_listed(station))
    assert {"stack get", "reconcile"} <= listed
    assert not listed & set(LATER)
