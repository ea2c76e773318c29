"""`station oidc` prints what clouds need, before a service runs too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Station


def test_the_documents_are_printed_and_stay(station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    flags = ("--data-dir", tmp_path / "data")
    result = station("oidc", "jwks", *flags)
    assert result.code == 1
    assert result.err == "error: there is no issuer: the setting issuer_url is not set\n"
    monkeypatch.setenv("STATION_ISSUER_URL", "https://station.example.com/")
    first, again = (json.loads(station("oidc", "jwks", *flags).out) for _ in range(2))
    assert first == again
    assert [key["alg"] for key in first["keys"]] == ["RS256"]
    discovery = json.loads(station("oidc", "discovery", *flags).out)
    assert discovery["issuer"] == "https://station.example.com"
    assert discovery["jwks_uri"] == "https://station.example.com/.well-known/jwks"
