"""Keys of the issuer take turns: listed before they sign, and as long as a token of theirs lives."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.issuer_keys import (
    KEPT_AFTER,
    PUBLISHED_BEFORE,
    SIGNS_FOR,
    TOKEN_LIFE,
    IssuerKey,
    dead,
    next_beginning,
    signing_key,
)
from tests.factories import NOW


def _turn(keys: list[IssuerKey], now: datetime) -> list[IssuerKey]:
    begins_at = next_beginning(keys, now)
    if begins_at is not None:
        keys = [*keys, IssuerKey(f"made {now.isoformat()}", begins_at, {})]
    return [key for key in keys if key not in dead(keys, now)]


@given(st.lists(st.floats(min_value=0.01, max_value=24 * 100), min_size=1, max_size=60))
def test_what_signs_was_listed_for_days_and_stays_while_its_tokens_live(pauses: list[float]) -> None:
    """However long the service is away between two looks, in hours."""
    now, keys = NOW, _turn([], NOW)
    listed = {keys[0].id: NOW - PUBLISHED_BEFORE}
    last_signed: dict[str, datetime] = {}
    for pause in pauses:
        now += timedelta(hours=pause)
        keys = _turn(keys, now)
        for key in keys:
            listed.setdefault(key.id, now)
        signing = signing_key(keys, now)
        assert now - listed[signing.id] >= PUBLISHED_BEFORE
        last_signed[signing.id] = now
        for key, at in last_signed.items():
            assert key in {each.id for each in keys} or now - at > TOKEN_LIFE


def test_the_first_key_signs_at_once_and_the_next_is_listed_early() -> None:
    keys = _turn([], NOW)
    assert [key.begins_at for key in keys] == [NOW]
    assert _turn(keys, NOW + SIGNS_FOR - PUBLISHED_BEFORE - timedelta(minutes=1)) == keys
    keys = _turn(keys, NOW + SIGNS_FOR - PUBLISHED_BEFORE)
    assert [key.begins_at for key in keys] == [NOW, NOW + SIGNS_FOR]
    assert signing_key(keys, NOW + SIGNS_FOR - timedelta(seconds=1)) == keys[0]
    assert signing_key(keys, NOW + SIGNS_FOR) == keys[1]
    assert _turn(keys, NOW + SIGNS_FOR + KEPT_AFTER) == keys[1:]


def test_a_clock_that_went_back_still_finds_a_key() -> None:
    keys = _turn([], NOW)
    assert signing_key(keys, NOW - timedelta(days=400)) == keys[0]
