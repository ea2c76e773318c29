"""The data directory: who has it for themselves, its keys, and what of the service no run may see.

`bootstrap` opens it, and so do the commands that need a key without a service.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.credentials.sealing import KeyFileError, SealingKeys
from reconciler.credentials.secrets import SecretSources
from reconciler.credentials.sops import SopsFiles
from reconciler.git.remote import local_path
from reconciler.setting_sources import SettingsError, settings_file
from reconciler.settings import Settings
from reconciler.store.connections import parse_url
from reconciler.store.encryption import Keys

_log = logging.getLogger(__name__)


class DataDirectoryBusy(Exception):
    """Another service uses the data directory. The message names it."""


def make_data_dir(settings: Settings) -> Path:
    """Create the data directory, for its owner alone."""
    directory = settings.data_dir.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def open_keys(settings: Settings) -> Keys:
    """Return the keys for encryption at rest, created at the first start."""
    _check_key_file("encryption_key_file", settings.encryption_key_file)
    return Keys.at(settings.key_files[0])


def open_secrets(settings: Settings) -> SecretSources:
    """Return the sources of secrets. The key for sealed values is created at the first start."""
    _check_key_file("sealing_key_file", settings.sealing_key_file)
    try:
        sealing_keys = SealingKeys.load_or_create(settings.key_files[1])
    except KeyFileError as error:
        raise SettingsError(str(error)) from None
    sops = SopsFiles(settings.sops_keys_dir, settings.search_path)
    return SecretSources(sealing_keys, settings.secrets_dir, settings.env_allowed, sops)


def _check_key_file(setting: str, path: Path | None) -> None:
    """Report a named key file that is missing, because the name may be misspelt."""
    if path is None or path.exists():
        return
    if not path.parent.is_dir():
        raise SettingsError(f"{setting}: {path} cannot be created: there is no directory {path.parent}")
    _log.warning(
        "%s: %s does not exist; a new key is created there, unless the database already uses one", setting, path
    )


def hidden_from_runs(settings: Settings) -> list[Path]:
    """Return what no run may see besides the data directory; raise SettingsError for a database among other files."""
    data_dir = settings.data_dir.absolute()
    elsewhere = (settings.notes[-1], settings_file(os.environ, Path.cwd()), local_path(settings.config_url or ""))
    paths = {*settings.own_paths, *(path.absolute() for path in elsewhere if path is not None)}
    hidden = sorted(paths - {data_dir})
    database = parse_url(settings.database)
    if database.drivername == "sqlite":
        own = (data_dir, *hidden)
        hidden.append(_directory_of_its_own(Path(database.database or "").absolute(), own))
    return hidden


def _directory_of_its_own(database: Path, hidden: Collection[Path]) -> Path:
    """Return the directory to hide for a SQLite file: SQLite puts more files beside it, and takes them away again."""
    directory = database.parent
    if directory.is_dir() and directory not in hidden:
        for other in directory.iterdir():
            if not other.name.startswith(database.name) and other not in hidden:
                raise SettingsError(
                    f"database_url: the directory of a SQLite file is hidden from runs, and {directory} also contains "
                    f"{other.name}: move the database into a directory of its own"
                )
    return directory


def holder_of(data_dir: Path) -> str:
    """Return the name of this data directory's services, which is created once and never changes."""
    path = data_dir / "instance"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.write_text(secrets.token_hex(8) + "\n", encoding="ascii")
        return path.read_text(encoding="ascii").strip()


@contextmanager
def alone_on(directory: Path) -> Iterator[None]:
    """Have the data directory alone; raise DataDirectoryBusy while another process does."""
    with (directory / "lock").open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"another station process uses {directory}. A service there reconciles by itself: station fetch makes "
                "it look now, and station status shows how far it is. To start another one here, stop it first"
            )
            raise DataDirectoryBusy(message) from None
        yield
