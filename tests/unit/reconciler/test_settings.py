from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"parallelism": "many"}, "parallelism (from the command line): must be a whole number"),
        ({"parallelism": 0}, "parallelism (from the command line): must be at least 1"),
        ({"poll_interval": 0}, "poll_interval (from the command line): must be more than 0"),
        ({"destroy_budget": "1%"}, "destroy_budget (from the command line): must be a number"),
        ({"config_url": 7}, "config_url (from the command line): must be text"),
        ({"identity": "me"}, "identity (from the command line): must be 'signed' or 'committer'"),
        ({"require_sandbox": "perhaps"}, "require_sandbox (from the command line): must be true or false"),
        ({"data_dir": []}, "data_dir (from the command line): must be a path"),
        ({"admins": 7}, "admins (from the command line): must be a list"),
        ({"tool_path": [7]}, "tool_path (from the command line): must be a path"),
        (
            {"mail_server": "smtp://ada:hunter2@mail:587"},
            "mail_server (from the command line): write smtps://host:465 or smtp://host:587; "  # noqa: ISC004 - one text
            "the user name and password have settings of their own",
        ),
        (
            {"mail_server": "smtp://mail:587"},
            "settings (from defaults): set mail_from, too: mail needs an address that it is from",
        ),
        ({"paralelism": 1}, "paralelism (from the command line): unknown setting: did you mean parallelism?"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_told_in_plain_words(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.load(values, {}, tmp_path)
    assert str(wrong.value) == message


@pytest.mark.parametrize("text", ["/opt/a:/opt/b", "/opt/a,/opt/b", ["/opt/a", "/opt/b"]], ids=str)
def test_the_search_path_for_tools_is_a_list_like_its_siblings_or_a_text_as_in_path(text: object) -> None:
    settings = Settings.model_validate({"tool_path": text})
    assert settings.tool_path == (Path("/opt/a"), Path("/opt/b"))
    assert settings.search_path.startswith("/opt/a:/opt/b:")
