from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.store.encryption import Keys
from reconciler.store.stored import StoreError

ONE, TWO = b"1" * 32, b"2" * 32


def key_file(path: Path, *lines: str, mode: int = 0o600) -> Path:
    path.write_text("\n".join(lines))
    path.chmod(mode)
    return path


def test_what_is_sealed_opens_at_its_place_only() -> None:
    keys = Keys([ONE])
    sealed = keys.seal(b"secret", "outputs", 1, "name")
    assert b"secret" not in sealed
    assert keys.open(sealed, "outputs", 1, "name") == b"secret"
    for place in (("tfstates", 1, "name"), ("outputs", 2, "name"), ("outputs", 1, "other")):
        with pytest.raises(StoreError, match="does not open"):
            keys.open(sealed, *place)


def test_an_empty_value_and_two_equal_ones() -> None:
    keys = Keys([ONE])
    assert keys.open(keys.seal(b"", "t", 1, ""), "t", 1, "") == b""
    assert keys.seal(b"same", "t", 1, "") != keys.seal(b"same", "t", 1, "")


def test_the_first_key_seals_and_old_ones_still_open() -> None:
    old = Keys([ONE]).seal(b"secret", "t", 1, "n")
    both = Keys([TWO, ONE])
    assert both.open(old, "t", 1, "n") == b"secret"
    new = both.seal(b"secret", "t", 1, "n")
    assert Keys([TWO]).open(new, "t", 1, "n") == b"secret"
    with pytest.raises(StoreError, match="encryption_key_file does not hold"):
        Keys([ONE]).open(new, "t", 1, "n")


@pytest.mark.parametrize("change", [lambda s: b"", lambda s: s[:20], lambda s: b"\x02" + s[1:], lambda s: s[:-1]])
def test_damaged_values_do_not_open(change: Callable[[bytes], bytes]) -> None:
    sealed = Keys([ONE]).seal(b"secret", "t", 1, "n")
    with pytest.raises(StoreError):
        Keys([ONE]).open(change(sealed), "t", 1, "n")


def test_a_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = Keys.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Keys.load_or_create(path).open(made.seal(b"x", "t", 1, "n"), "t", 1, "n") == b"x"
    assert [it.name for it in tmp_path.iterdir()] == ["keys"]
    assert path.read_text().strip() not in repr(made)


def test_services_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: repr(Keys.load_or_create(tmp_path / "keys")), range(8)))
    assert len(made) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "keys", base64.b64encode(ONE).decode(), mode=mode)
    with pytest.raises(StoreError, match="chmod 600"):
        Keys.load_or_create(path)


def test_comments_and_several_keys(tmp_path: Path) -> None:
    one, two = (base64.b64encode(key).decode() for key in (ONE, TWO))
    keys = Keys.load_or_create(key_file(tmp_path / "keys", "# new", f"  {two} ", "", "# old", one, mode=0o400))
    assert repr(keys) == repr(Keys([TWO, ONE]))


@pytest.mark.parametrize(
    "lines", [(), ("# nothing",), ("hunter2!",), (base64.b64encode(b"short").decode(),), ("ünï",), ("A" * 43,)]
)
def test_files_without_a_key_are_refused_without_showing_them(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(StoreError, match="encryption_key_file") as caught:
        Keys.load_or_create(key_file(tmp_path / "keys", *lines))
    assert "hunter2" not in str(caught.value)


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        Keys.load_or_create(tmp_path / "none" / "keys")
    with pytest.raises(StoreError, match="encryption_key_file"):
        Keys.load_or_create(tmp_path)
