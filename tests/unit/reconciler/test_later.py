"""Commands that are still to come say so, and are not advertised."""

from __future__ import annotations

import click
import pytest

from reconciler.cli.main import main, station

LATER = ["backup", "drift", "resources", "restore", "stack destroy", "stack unlock", "task", "worker"]


@pytest.mark.parametrize("rest", [[], ["root/a"], ["--help"], ["root/a", "--", "true"]], ids=str)
@pytest.mark.parametrize("command", LATER)
def test_a_command_that_is_still_to_come_says_so(
    command: str, rest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), *rest]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"error: this version does not support station {command} yet\n")


@pytest.mark.parametrize("call", [["stak"], ["stack", "destory"], ["run", "drift", "x"]], ids=" ".join)
def test_any_other_word_is_no_command(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 1
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize("command", LATER)
def test_no_list_of_commands_names_it(command: str) -> None:
    *groups, name = command.split()
    group: click.Command | None = station
    for each in groups:
        assert isinstance(group, click.Group)
        group = group.get_command(click.Context(group), each)
    assert isinstance(group, click.Group)
    assert name not in group.list_commands(click.Context(group))
