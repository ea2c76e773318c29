"""Settings that a service refuses to begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.bootstrap import open_service
from reconciler.core.runs import RunStatus
from reconciler.data_directory import DataDirectoryBusy
from reconciler.engine.local import SandboxUnavailable
from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings
from reconciler.store.stored import StoreError
from tests.e2e.station import Repo, a_script, document
from tests.integration.loop.machine import Machine


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        pytest.param({"config_url": None}, "config_url", id="no url"),
        pytest.param({"config_url": "--upload-pack=touch HACKED"}, "config_url", id="an option as the url"),
        pytest.param({"config_url": "-u"}, "config_url", id="a short option"),
        pytest.param({"config_url": "ext::sh -c touch% HACKED"}, "config_url", id="a transport that runs commands"),
        pytest.param({"config_url": "ssh://-oProxyCommand=touch/x"}, "config_url", id="an option as the host"),
        pytest.param({"config_url": "ftp://example.org/x"}, "config_url", id="a scheme off the list"),
        pytest.param({"config_url": "git://example.org/x"}, "config_url", id="a scheme without any check"),
        pytest.param({"config_url": "/tmp/repo"}, "config_url", id="a path"),
        pytest.param({"config_url": "https://user:hunter2@example.org/x"}, "config_url", id="a password in it"),
        pytest.param({"config_branch": "--output=HACKED"}, "config_branch", id="an option as the branch"),
        pytest.param({"config_branch": ""}, "config_branch", id="no branch"),
        pytest.param({"config_branch": "a..b"}, "config_branch", id="no branch name"),
        pytest.param({"config_branch": "a\nb"}, "config_branch", id="two lines"),
        pytest.param({"config_branch": "refs/heads/main"}, "config_branch", id="a full ref"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_the_name_of_its_setting(
    tmp_path: Path, settings: dict[str, str | None], setting: str
) -> None:
    values = {"config_url": "https://example.org/x", "data_dir": tmp_path / "data", **settings}
    with pytest.raises(SettingsError, match=f"^{setting}") as caught, open_service(Settings.model_validate(values)):
        pass
    message = str(caught.value)
    assert "\n" not in message
    assert "hunter2" not in message
    assert not (tmp_path / "data").exists(), "something was made for nothing"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://station.example.com", "must begin with https"),
        ("https://station.example.com:8443", "must not have a port"),
        ("https://user@station.example.com", "must not contain a user name"),
        ("https://station.example.com/?a=b", "is not a plain URL"),
        ("https://station.example.com/a/../b", "dotted parts"),
        ("https://localhost", "public host name"),
        ("https://10.0.0.1", "public host name"),
        ("https://station.internal", "is not a public name"),
        ("station.example.com", "is not a plain URL"),
    ],
)
def test_an_issuer_that_no_cloud_would_take_is_refused(url: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^issuer_url .from the environment.: .*{why}"):
        Settings.load({}, {"STATION_ISSUER_URL": url}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        pytest.param("admins", "ssh-ed25519 nonsense", "", id="admins"),
        pytest.param("admins", "ada@example.org", "", id="an address that proves nothing"),
        pytest.param("identity_forges", "nobody KEY", "write author or committer, then the key", id="forges"),
    ],
)
def test_a_list_that_cannot_be_read_is_named_with_its_place(tmp_path: Path, name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} .from the environment.: .*{why}"):
        Settings.load({}, {f"STATION_{name.upper()}": value}, tmp_path)
    (tmp_path / "station.toml").write_text(f'{name} = ["{value}"]\n')
    with pytest.raises(SettingsError, match=f"^{name} .from {tmp_path}/station.toml.: "):
        Settings.load({}, {}, tmp_path)


@pytest.mark.parametrize("setting", ["encryption_key_file", "sealing_key_file"])
def test_a_key_file_that_is_not_there_is_told(
    repo: Repo, tmp_path: Path, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    base = Settings(config_url=repo.url, data_dir=tmp_path / "data")
    nowhere = base.model_copy(update={setting: tmp_path / "nowhere" / "key"})
    with pytest.raises(SettingsError, match=f"^{setting}: .*there is no directory .*nowhere"), open_service(nowhere):
        pass
    caplog.set_level("INFO")
    with open_service(base.model_copy(update={setting: tmp_path / "slip"})):
        assert f"{setting}: {tmp_path}/slip does not exist; a new key is created there" in caplog.text
        assert f"a new key was made in {tmp_path}/slip" in caplog.text


def test_one_service_a_data_directory(repo: Repo, tmp_path: Path) -> None:
    settings = Settings(config_url=repo.url, data_dir=tmp_path / "data")
    with open_service(settings), pytest.raises(DataDirectoryBusy, match="another station"), open_service(settings):
        pass
    with open_service(settings):
        pass


def test_the_data_directory_is_its_owner_s_alone(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a.yaml": a_script("a", "true")})
    with open_service(Settings(config_url=repo.url, data_dir=tmp_path / "data"), port=0) as service:
        service.loop.reconcile()
        service.loop.dispatcher.close()
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    secret = [tmp_path / "data" / name for name in ("encryption.key", "token")]
    assert [path.stat().st_mode & 0o177 for path in secret] == [0, 0]


def test_a_database_that_is_down_is_named_without_its_password(repo: Repo, tmp_path: Path) -> None:
    url = "postgresql://keeper:hunter2@127.0.0.1:1/station"
    settings = Settings(config_url=repo.url, data_dir=tmp_path / "data", database_url=url)
    with pytest.raises(StoreError) as caught, open_service(settings):
        pass
    assert "hunter2" not in str(caught.value)


def without_bubblewrap(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Open the machine's service where bubblewrap is not installed."""
    with monkeypatch.context() as context:
        context.setenv("PATH", str(tmp_path))
        assert not machine.service.engine.sandboxed


def test_nothing_starts_without_a_sandbox_once_access_is_set_up(
    repo: Repo, new_machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ran: Path
) -> None:
    people = document("User", "ada", {"emails": ["ada@example.org"]})
    repo.commit({"a.yaml": a_script("a", f"echo one >> {ran}"), "people.yaml": people})
    machine = new_machine(repo.url, require_sandbox=None)
    without_bubblewrap(machine, monkeypatch, tmp_path)
    look = machine.reconcile()
    assert [(run.status, run.reason) for run in look.runs] == [("failed", "SandboxMissing")]
    assert "require_sandbox = false" in look.runs[0].message
    machine.restart()
    with pytest.raises(SandboxUnavailable, match=r"not installed.*require_sandbox = false"):
        without_bubblewrap(machine, monkeypatch, tmp_path)
    machine.restart(require_sandbox=False)
    without_bubblewrap(machine, monkeypatch, tmp_path)
    machine.retry("root/a", RunStatus.FAILED)
    assert machine.reconcile().ran == {"root/a": "finished"}


def test_an_admin_of_the_settings_needs_a_sandbox_at_once(
    new_machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = new_machine("https://example.org/x", require_sandbox=None, admins=("ada",))
    with pytest.raises(SandboxUnavailable):
        without_bubblewrap(machine, monkeypatch, tmp_path)
