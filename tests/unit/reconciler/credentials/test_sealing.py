from __future__ import annotations

import base64
import json
import stat
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.sealing import MAX_BYTES, CannotSeal, KeyFileError, SealingKeys, seal
from spaces.model.sealed import SealedPlace, flaw, sealed_for, write
from spaces.names import Kind, SpaceName

VALUE = "hunter2-hunter2\n"
TOKEN = SealedPlace.of(Kind.STACK, SpaceName("production"), "network", "TOKEN")


@pytest.fixture
def keys(tmp_path: Path) -> SealingKeys:
    return SealingKeys.load_or_create(tmp_path / "keys")


def test_what_is_sealed_opens_at_its_place(keys: SealingKeys) -> None:
    sealed = seal(VALUE, TOKEN, keys.recipient)
    assert VALUE.strip() not in sealed
    assert flaw(sealed) is None
    assert sealed_for(sealed, TOKEN)
    assert keys.open(sealed, TOKEN) == VALUE


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(replace(TOKEN, key="OTHER"), id="another key"),
        pytest.param(SealedPlace.of(Kind.STACK, SpaceName("production"), "other", "TOKEN"), id="another name"),
        pytest.param(SealedPlace.of(Kind.STACK, SpaceName("staging"), "network", "TOKEN"), id="another space"),
        pytest.param(SealedPlace.of(Kind.STACK, "team/production", "other", "TOKEN"), id="another space's path"),
        pytest.param(SealedPlace.of(Kind.CONTEXT, SpaceName("production"), "network", "TOKEN"), id="another kind"),
    ],
)
def test_a_copy_elsewhere_does_not_open_and_says_where_it_belongs(keys: SealingKeys, place: SealedPlace) -> None:
    sealed = seal(VALUE, TOKEN, keys.recipient)
    assert not sealed_for(sealed, place)
    with pytest.raises(SecretUnreadable) as caught:
        keys.open(sealed, place)
    assert str(caught.value) == f"the value is sealed for {TOKEN}, but used as {place}: seal the value again"
    # Whoever writes new sums over it does not get further.
    forged = write(base64.b64decode(sealed.split(".")[1]), place)
    assert sealed_for(forged, place)
    with pytest.raises(SecretUnreadable, match="is sealed for TOKEN of Stack production/network"):
        keys.open(forged, place)


@pytest.mark.parametrize("left", [0, 3, 12, 40, 150, 250, -1, -17, -40])
def test_one_that_was_cut_short_is_told_offline(keys: SealingKeys, left: int) -> None:
    sealed = seal(VALUE, TOKEN, keys.recipient)[:left]
    assert flaw(sealed) is not None
    with pytest.raises(SecretUnreadable, match=r"cut short|is not what station seal prints"):
        keys.open(sealed, TOKEN)


def test_any_changed_character_is_told(keys: SealingKeys) -> None:
    sealed = seal(VALUE, TOKEN, keys.recipient)
    for at in range(0, len(sealed) - 17, 7):
        other = "B" if sealed[at] == "A" else "A"
        assert flaw(sealed[:at] + other + sealed[at + 1 :]) is not None, at


def test_one_for_another_key_is_named_as_such(keys: SealingKeys, tmp_path: Path) -> None:
    other = SealingKeys.load_or_create(tmp_path / "other")
    with pytest.raises(SecretUnreadable, match="for a key that this installation does not have"):
        keys.open(seal(VALUE, TOKEN, other.recipient), TOKEN)


@pytest.mark.parametrize(
    "content",
    [b"junk", b"{}", b"[]", b'{"for": 1, "value": 2}', json.dumps({"for": TOKEN.key, "value": VALUE}).encode()],
)
def test_what_was_sealed_by_another_program_is_refused(keys: SealingKeys, content: bytes) -> None:
    data = pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(keys.recipient)])
    with pytest.raises(SecretUnreadable, match="seal the value again"):
        keys.open(write(data, TOKEN), TOKEN)


def test_the_first_key_seals_and_old_ones_still_open(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old = SealingKeys.load_or_create(path)
    sealed = seal(VALUE, TOKEN, old.recipient)
    fresh = pyrage.x25519.Identity.generate()
    path.write_text(f"# the new one\n{fresh}\n\n{path.read_text()}")
    both = SealingKeys.load_or_create(path)
    assert both.recipient == str(fresh.to_public()) != old.recipient
    assert both.open(sealed, TOKEN) == VALUE
    with pytest.raises(SecretUnreadable, match="for a key that this installation does not have"):
        old.open(seal(VALUE, TOKEN, both.recipient), TOKEN)


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = SealingKeys.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SealingKeys.load_or_create(path).recipient == made.recipient
    assert "SECRET" not in repr(made)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        pytest.param("", 0o600, "holds no key", id="empty"),
        pytest.param("AGE-SECRET-KEY-1JUNK\n", 0o600, "a line is not an age key", id="junk"),
        pytest.param(None, 0o640, "others may read it", id="open to others"),
    ],
)
def test_a_bad_key_file_is_named(tmp_path: Path, text: str | None, mode: int, words: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text if text is not None else str(pyrage.x25519.Identity.generate()))
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=words) as caught:
        SealingKeys.load_or_create(path)
    assert "AGE-SECRET" not in str(caught.value).replace("AGE-SECRET-KEY-1…", "")


def test_what_cannot_be_sealed_is_told(keys: SealingKeys) -> None:
    with pytest.raises(CannotSeal, match="is not an age recipient"):
        seal(VALUE, TOKEN, "age1nobody")
    with pytest.raises(CannotSeal, match="longer than 64 KiB"):
        seal("x" * (MAX_BYTES + 1), TOKEN, keys.recipient)
