"""What of the service lies elsewhere on the machine, and no run may see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.bootstrap import open_service
from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings
from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine
from tests.needs import needs


@needs("bwrap")
def test_settings_a_database_elsewhere_and_the_configuration_repository_are_out_of_reach(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Path
) -> None:
    database, settings = tmp_path / "database" / "station.db", tmp_path / "station.toml"
    database.parent.mkdir()
    settings.write_text("# a password may be in here")
    monkeypatch.setenv("STATION_CONFIG", str(settings))
    look = f"cat {settings}; ls -A {database.parent} {tmp_path / 'repo'}; echo x > {tmp_path / 'repo'}/.git/HEAD"
    repo.commit({"a.yaml": a_script("a", apply=f"({look}) > {ran} 2>&1 || true")})
    machine = new_machine(repo.url, database_url=f"sqlite:///{database}")
    assert machine.reconcile().ran == {"root/a": "finished"}
    said = ran.read_text()
    assert "password" not in said
    assert "station.db" not in said
    assert "a.yaml" not in said
    assert (tmp_path / "repo" / ".git" / "HEAD").read_text().startswith("ref:")


def test_a_database_among_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    settings = Settings(
        config_url="https://example.org/x", data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path}/station.db"
    )
    with (
        pytest.raises(SettingsError, match=f"^database_url: .*{tmp_path} also contains tools: move"),
        open_service(settings),
    ):
        pass
