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
def test_settings_keys_a_database_elsewhere_and_the_configuration_repository_are_out_of_reach(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: Path
) -> None:
    database, settings = tmp_path / "database" / "station.db", tmp_path / "station.toml"
    database.parent.mkdir()
    settings.write_text("# a password may be in here")
    monkeypatch.setenv("STATION_CONFIG", str(settings))
    look = f"cat {settings}; ls -A {database.parent} {tmp_path / 'repo'}; echo x > {tmp_path / 'repo'}/.git/HEAD"
    keys = tmp_path / "age" / "root"
    keys.mkdir(parents=True)
    (keys / "keys.txt").write_text("AGE-SECRET-KEY")
    secret = tmp_path / "client-secret"
    secret.write_text("hunter2")
    look += f"; cat {keys}/keys.txt {secret}"
    repo.commit({"a.yaml": a_script("a", apply=f"({look}) > {ran} 2>&1 || true")})
    machine = new_machine(
        repo.url,
        database_url=f"sqlite:///{database}",
        sops_keys_dir=keys.parent,
        public_url="https://station.example.com",
        oidc_issuer="https://login.example.com",
        oidc_client_id="station",
        oidc_client_secret_file=secret,
    )
    assert machine.reconcile().ran == {"root/a": "finished"}
    said = ran.read_text()
    assert not [it for it in ("password", "AGE-SECRET-KEY", "hunter2") if it in said]
    assert "station.db" not in said
    assert "a.yaml" not in said
    assert (tmp_path / "repo" / ".git" / "HEAD").read_text().startswith("ref:")


@needs("bwrap")
def test_no_run_reaches_the_socket_of_the_tfstate_or_takes_its_place(
    repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, ran: Path
) -> None:
    """Who could answer there, while the service restarts, would be given other stacks' tfstate."""
    data = tmp_path / "one" / "data"
    socket = data / "tfstate.sock"
    look = f"ls -A {data}; test -e {socket} && echo REACHED; rm -f {socket}; mkdir -p {data} && touch {socket}"
    repo.commit({"a.yaml": a_script("a", apply=f"({look}) > {ran} 2>&1 || true; echo done >> {ran}")})
    machine = new_machine(repo.url)
    machine.service.server.url()  # it listens from now on
    assert socket.is_socket()
    assert machine.reconcile().ran == {"root/a": "finished"}
    said = ran.read_text()
    assert said.endswith("done\n")
    assert "REACHED" not in said
    assert "station.db" not in said
    assert socket.is_socket()


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
