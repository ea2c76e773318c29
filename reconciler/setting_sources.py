"""Where settings come from: flags over `STATION_*` variables over `station.toml`.

`Settings.load` checks the values that `gather` returns, and names the source of a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE_NAME = "station.toml"
PREFIX = "STATION_"
DATA_DIR = "./station-data"
"""The data directory where none is set."""


class SettingsError(Exception):
    """A setting cannot be used. The message names it, where it comes from, and a value that would work."""


def settings_file(environ: Mapping[str, str], directory: Path) -> Path:
    """Return where the settings' file is, or would be, for a command that is started in the directory."""
    return directory / environ.get(PREFIX + "CONFIG", FILE_NAME)


def gather(
    names: Iterable[str], flags: Mapping[str, Any], environ: Mapping[str, str], directory: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that are set, and for each the source it is from; raise SettingsError for an unreadable file.

    `names` are the settings that variables can set. A flag with the value None was not given. Unknown `STATION_*`
    variables belong to other programs and are ignored.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}

    def take(new: Mapping[str, Any], place: str) -> None:
        values.update(new)
        places.update(dict.fromkeys(new, place))

    file = settings_file(environ, directory)
    if file.is_file():
        import tomllib  # noqa: PLC0415 - most commands find no such file

        try:
            take(tomllib.loads(file.read_text(encoding="utf-8")), str(file))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
            raise SettingsError(f"{file}: {wrong}") from None
    known = {PREFIX + name.upper(): name for name in names}
    take({known[key]: value for key, value in environ.items() if key in known}, "the environment")
    take({name: value for name, value in flags.items() if value is not None}, "the command line")
    return values, places
