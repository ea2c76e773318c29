"""A word that is no command is refused as one."""

from __future__ import annotations

import pytest

from reconciler.cli.main import main


@pytest.mark.parametrize("call", [["stak"], ["stack", "destory"], ["run", "drift", "x"]], ids=" ".join)
def test_any_other_word_is_no_command(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(call) == 1
    assert "No such command" in capsys.readouterr().err
