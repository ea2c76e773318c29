from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.leg.mounting import CannotMount, mount, unmount


def files(**named: str) -> dict[str, bytes]:
    return {name.replace("__", "/").replace("_", "."): text.encode() for name, text in named.items()}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work" / "live").mkdir(parents=True)
    return tmp_path / "work"


def test_files_are_put_below_the_source_for_the_owner_alone(work: Path) -> None:
    mount(files(a_tfvars="x = 1\n", deep__er__ca_pem="pem\n"), RunDirectory(work.parent), "live")
    assert (work / "live/a.tfvars").read_text() == "x = 1\n"
    assert (work / "live/deep/er/ca.pem").read_text() == "pem\n"
    assert (work / "live/a.tfvars").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", [".", "live"])
def test_a_file_takes_the_place_of_the_source_s_own(work: Path, path: str) -> None:
    (work / path / "a.txt").write_text("own")
    mount(files(a_txt="mounted"), RunDirectory(work.parent), path)
    assert (work / path / "a.txt").read_text() == "mounted"


def test_a_link_is_replaced_and_never_followed(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (work / "live" / "a.txt").symlink_to(outside)
    mount(files(a_txt="mounted"), RunDirectory(work.parent), "live")
    assert outside.read_text() == "precious"
    assert (work / "live/a.txt").read_text() == "mounted"


@pytest.mark.parametrize("what", ["link to a directory", "file", "directory"])
def test_what_is_in_the_way_is_named(work: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "outside").mkdir()
    match what:
        case "link to a directory":
            (work / "live" / "deep").symlink_to(tmp_path / "outside")
        case "file":
            (work / "live" / "deep").write_text("a file")
        case _:
            (work / "live" / "deep" / "a.txt").mkdir(parents=True)
    with pytest.raises(CannotMount, match=r"deep/a\.txt"):
        mount(files(deep__a_txt="x"), RunDirectory(work.parent), "live")
    assert list((tmp_path / "outside").iterdir()) == []


def test_files_are_taken_away_again(work: Path) -> None:
    mount(files(a_txt="x", deep__b_txt="y"), RunDirectory(work.parent), "live")
    unmount(["a.txt", "deep/b.txt", "gone.txt"], RunDirectory(work.parent), "live")
    assert [path for path in work.rglob("*") if path.is_file()] == []


def test_nothing_elsewhere_is_taken_away(work: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.txt").write_text("precious")
    (work / "live" / "deep").symlink_to(tmp_path / "outside")
    (work / "live" / "a.txt").symlink_to(tmp_path / "outside" / "b.txt")
    unmount(["a.txt", "deep/b.txt"], RunDirectory(work.parent), "live")
    assert (tmp_path / "outside" / "b.txt").read_text() == "precious"
    assert not (work / "live" / "a.txt").is_symlink()


def test_files_of_the_home_go_there_and_no_link_leads_out_of_it(work: Path, tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.home.mkdir()
    home = {"~/.netrc": b"machine x", "~/.config/tool/rc": b"a", "bin/run": b"#!/bin/sh"}
    mount(home, directory, "live", executable={"bin/run"})
    assert (directory.home / ".netrc").read_text() == "machine x"
    assert (directory.home / ".netrc").stat().st_mode & 0o777 == 0o600
    assert (directory.home / ".config").stat().st_mode & 0o777 == 0o700
    assert (work / "live" / "bin" / "run").stat().st_mode & 0o777 == 0o700
    unmount(home, directory, "live")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (directory.home / "out").symlink_to(work)
    with pytest.raises(CannotMount, match=r"~/out/x cannot be put in place: ~/out is not a directory"):
        mount({"~/out/x": b""}, directory, "live")
