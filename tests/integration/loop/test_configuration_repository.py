"""What a data directory was set up to follow stays what it follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.main import main
from reconciler.loop.service import utc_now
from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings
from spaces.names import StackId
from tests.e2e.station import Repo, a_script
from tests.integration.loop.machine import Machine


@pytest.mark.parametrize("path", ["/etc", "..", "a/../b", "a\nb", "/"])
def test_a_config_path_outside_the_repository_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^config_path .from the command line.: .* is not a directory in the rep"):
        Settings.load({"config_path": path}, {}, tmp_path)


@pytest.mark.parametrize(("path", "read"), [("", "."), ("./", "."), ("./teams//web/", "teams/web")])
def test_a_config_path_has_one_form(path: str, read: str, tmp_path: Path) -> None:
    assert Settings.load({"config_path": path}, {}, tmp_path).config_path == read


@pytest.mark.parametrize(
    ("name", "hint"), [("config_ulr", ": did you mean config_url?"), ("zzzzzzzz", "")], ids=["a slip", "nothing near"]
)
def test_an_unknown_setting_of_the_file_is_refused(name: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(f'{name} = "x"\n')
    with pytest.raises(SettingsError) as refused:
        Settings.load({}, {}, tmp_path)
    assert str(refused.value) == f"{name} (from {tmp_path}/station.toml): unknown setting{hint}"


@pytest.mark.parametrize("path", ["nowhere", "a.yaml", "link"])
def test_a_config_path_that_is_no_directory_halts(repo: Repo, new_machine: Callable[..., Machine], path: str) -> None:
    (repo.path / "link").symlink_to("conf")
    repo.commit({"a.yaml": a_script("a", "echo a"), "conf/b.yaml": a_script("b", "echo b")})
    machine = new_machine(repo.url, config_path=path)
    look = machine.reconcile()
    assert (look.halted, look.stacks, look.configuration.admitted_revision) == ("ConfigPathNotFound", {}, None)
    assert look.configuration.halted is not None
    assert f"config_path is {path}," in look.configuration.halted.message


def test_a_config_path_that_goes_away_halts_behind_what_came_before(
    repo: Repo, new_machine: Callable[..., Machine]
) -> None:
    repo.commit({"conf/a.yaml": a_script("a", "echo a")})
    machine = new_machine(repo.url, config_path="conf")
    machine.reconcile()
    good = repo.commit({"conf/a.yaml": a_script("a", "echo more")})
    repo.git("mv", "conf", "elsewhere")
    repo.git("commit", "-q", "-m", "Move it all")
    look = machine.reconcile()
    assert (look.halted, look.ran) == ("ConfigPathNotFound", {"root/a": "finished"})
    assert look.configuration.admitted_revision == good
    repo.git("mv", "elsewhere", "conf")
    repo.git("commit", "-q", "-m", "Move it back")
    look = machine.reconcile()
    assert (look.halted, look.runs, look.sync) == (None, [], {"root/a": "Synced"})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param(
            {"config_path": "b"}, "config_path is b, but this data directory and database belong to a: ", id="path"
        ),
        pytest.param({"config_url": "file:///srv/other"}, "config_url is file:///srv/other, but .*/repo: ", id="url"),
    ],
)
def test_following_something_else_is_refused(
    repo: Repo, new_machine: Callable[..., Machine], changed: dict[str, Any], message: str
) -> None:
    repo.commit({"a/x.yaml": a_script("x", "echo a"), "b/x.yaml": a_script("x", "echo b")})
    repo.git("branch", "next")
    machine = new_machine(repo.url, config_path="a")
    before = machine.reconcile()
    settings = machine.settings
    machine.restart(**changed)
    with pytest.raises(SettingsError, match=f"^{message}set .* back, or start with a data directory"):
        machine.reconcile()
    machine.close()
    machine.restart(**settings.model_dump())
    look = machine.reconcile()
    assert (look.runs, look.sync) == ([], before.sync)


def test_a_branch_may_be_renamed_but_not_exchanged(repo: Repo, new_machine: Callable[..., Machine]) -> None:
    repo.commit({"x.yaml": a_script("x", "echo 1")})
    repo.git("branch", "behind")
    repo.commit({"y.yaml": a_script("y", "echo 2")})
    machine = new_machine(repo.url)
    before = machine.reconcile()
    repo.git("branch", "-m", "main", "trunk")
    machine.restart(config_branch="trunk")
    look = machine.reconcile()
    assert (look.halted, look.runs, look.sync, look.configuration.branch) == (None, [], before.sync, "trunk")
    machine.restart(config_branch="behind")
    look = machine.reconcile()
    assert (look.halted, look.sync) == ("HistoryRewritten", before.sync)


def test_what_was_never_admitted_may_be_set_otherwise(repo: Repo, new_machine: Callable[..., Machine]) -> None:
    repo.commit({"b/x.yaml": a_script("x", "echo b")})
    machine = new_machine(repo.url, config_path="a")
    assert machine.reconcile().halted == "ConfigPathNotFound"
    machine.restart(config_path="b")
    look = machine.reconcile()
    assert (look.halted, look.sync) == (None, {"root/x": "Synced"})


def test_local_commands_find_the_repository_by_what_is_remembered(
    repo: Repo,
    new_machine: Callable[..., Machine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATION_URL", raising=False)
    monkeypatch.delenv("STATION_CONFIG_URL", raising=False)
    repo.commit({"conf/a.yaml": a_script("a", "echo a")})
    machine = new_machine(repo.url, config_path="conf")
    machine.reconcile()
    machine.close()
    assert main(["render", "root/a", "--data-dir", str(machine.settings.data_dir)]) == 0
    assert "root/a" in capsys.readouterr().out
    (tmp_path / "new").mkdir()
    assert main(["render", "root/a", "--data-dir", str(tmp_path / "new")]) == 1
    assert "config_url is missing" in capsys.readouterr().err


def test_the_doctor_finds_a_lost_key(
    repo: Repo,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    repo.commit({"a.yaml": a_script("a", "echo a")})
    machine.reconcile()
    with machine.service.store.writing() as transaction:
        transaction.add_tfstate(StackId.parse("root/a"), b"{}", None, utc_now())
    machine.close()
    key = machine.settings.data_dir / "encryption.key"
    key.rename(tmp_path / "kept.key")
    assert main(["doctor", "--data-dir", str(machine.settings.data_dir), "--config-url", repo.url]) == 1
    assert f"which is not in {key}: restore it" in capsys.readouterr().out
    assert not key.exists()
    machine.restart(encryption_key_file=tmp_path / "kept.key")
    assert machine.reconcile().sync == {"root/a": "Synced"}
