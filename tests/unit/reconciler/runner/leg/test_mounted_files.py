from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.runner.leg.leg import CannotMount, mount, unmount


def files(**named: str) -> dict[str, bytes]:
    return {name.replace("__", "/").replace("_", "."): text.encode() for name, text in named.items()}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work" / "live").mkdir(parents=True)
    return tmp_path / "work"


def test_files_are_put_below_the_source_for_the_owner_alone(work: Path) -> None:
    mount(files(a_tfvars="x = 1\n", deep__er__ca_pem="pem\n"), work, "live")
    assert (work / "live/a.tfvars").read_text() == "x = 1\n"
    assert (work / "live/deep/er/ca.pem").read_text() == "pem\n"
    assert (work / "live/a.tfvars").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", [".", "live"])
def test_a_file_takes_the_place_of_the_source_s_own(work: Path, path: str) -> None:
    (work / path / "a.txt").write_text("own")
    mount(files(a_txt="mounted"), work, path)
    assert (work / path / "a.txt").read_text() == "mounted"


def test_a_link_is_replaced_and_never_followed(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (work / "live" / "a.txt").symlink_to(outside)
    mount(files(a_txt="mounted"), work, "live")
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
        mount(files(deep__a_txt="x"), work, "live")
    assert list((tmp_path / "outside").iterdir()) == []


def test_files_are_taken_away_again(work: Path) -> None:
    mount(files(a_txt="x", deep__b_txt="y"), work, "live")
    unmount(["a.txt", "deep/b.txt", "gone.txt"], work, "live")
    assert [path for path in work.rglob("*") if path.is_file()] == []


def test_nothing_elsewhere_is_taken_away(work: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.txt").write_text("precious")
    (work / "live" / "deep").symlink_to(tmp_path / "outside")
    (work / "live" / "a.txt").symlink_to(tmp_path / "outside" / "b.txt")
    unmount(["a.txt", "deep/b.txt"], work, "live")
    assert (tmp_path / "outside" / "b.txt").read_text() == "precious"
    assert not (work / "live" / "a.txt").is_symlink()
