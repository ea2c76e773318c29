"""What a plan leaves to an apply elsewhere is there as it was; what was made to land elsewhere does not."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from reconciler.engine.packing import PLANNED, CannotUnpack, pack, unpack
from reconciler.runner.contract.directory import RunDirectory


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory.of(tmp_path, "there")
    directory.root.mkdir(parents=True)
    directory.make()
    return directory


def test_everything_that_an_apply_needs_comes_along(directory: RunDirectory, tmp_path: Path) -> None:
    here = RunDirectory.of(tmp_path, "here")
    here.root.mkdir()
    here.make()
    (here.work / "tool").write_text("#!/bin/sh\n")
    (here.work / "tool").chmod(0o755)
    (here.work / "again").hardlink_to(here.work / "tool")
    (here.work / "provider").symlink_to("/run/station/packages/it")
    (here.work / "up").symlink_to("../scratch")
    (here.scratch / "plan").write_text("saved")
    here.planned.write_text("{}")
    os.mkfifo(here.home / "pipe")
    (here.temporary / "old").write_text("x")
    (directory.scratch / "stale").write_text("x")
    pack(here, PLANNED, here.saved)
    assert here.saved.stat().st_mode & 0o777 == 0o600
    unpack(here.saved, directory, PLANNED)
    assert os.access(directory.work / "tool", os.X_OK)
    assert (directory.work / "again").read_text() == "#!/bin/sh\n"
    assert (directory.work / "provider").readlink() == Path("/run/station/packages/it")
    assert (directory.work / "up" / "plan").read_text() == "saved"
    assert [path.name for path in (*directory.scratch.iterdir(), *directory.home.iterdir())] == ["plan"]
    assert directory.planned.read_text() == "{}"


def _link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member


EVIL = {
    "outside": [tarfile.TarInfo("work/../../x")],
    "absolute": [tarfile.TarInfo("/x")],
    "of the machine": [tarfile.TarInfo("plan-1.exit.json")],
    "through a link": [_link("work/a", ".."), tarfile.TarInfo("work/a/x")],
    "a link through a link": [_link("work/a", "../.."), _link("work/a/x", "y")],
    "a hard link to a link": [_link("work/a", "/etc"), _link("work/b", "work/a", tarfile.LNKTYPE)],
    "a device": [_link("work/a", "", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("members", EVIL.values(), ids=EVIL)
def test_nothing_lands_elsewhere(directory: RunDirectory, tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    packed = tmp_path / "x.tar"
    with tarfile.open(packed, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO())
    before = {path for path in tmp_path.rglob("*") if "work" not in path.parts}
    with pytest.raises(CannotUnpack):
        unpack(packed, directory, PLANNED)
    assert {path for path in tmp_path.rglob("*") if "work" not in path.parts} <= before


def test_what_is_no_tar_file_is_refused(directory: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("no")
    with pytest.raises(CannotUnpack):
        unpack(tmp_path / "x.tar", directory, PLANNED)
