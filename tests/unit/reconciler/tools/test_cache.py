from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

from reconciler.tools import cache
from reconciler.tools.base import ToolJob


def a_job(top: Path, *, fills: bool = True, stack: str = "one") -> ToolJob:
    for name in ("work", "scratch"):
        (top / name).mkdir(exist_ok=True)
    return ToolJob("", top / "work", top / "scratch", {}, cache=top / "cache" / stack, fills_cache=fills)


def put(job: ToolJob, key: str, text: str = "it") -> bool:
    directory = job.scratch / "made"
    (directory / "below").mkdir(parents=True, exist_ok=True)
    (directory / "below" / "file").write_text(text)
    (directory / "link").unlink(missing_ok=True)
    (directory / "link").symlink_to("below/file")
    return cache.keep(job, key, directory)


def test_what_is_kept_comes_back_whole_in_a_fresh_directory(tmp_path: Path) -> None:
    job, found = a_job(tmp_path), tmp_path / "scratch" / "found"
    assert put(job, "a")
    found.mkdir()
    (found / "old").touch()
    assert cache.fetch(job, "a", found)
    assert (found / "link").read_text() == "it"
    assert sorted(path.name for path in found.iterdir()) == ["below", "link"]
    assert not cache.fetch(job, "b", found)
    assert list(found.iterdir()) == []
    assert not cache.fetch(a_job(tmp_path, stack="two"), "a", found), "no other stack gets it"


def test_only_a_run_that_may_puts_something_there(tmp_path: Path) -> None:
    assert not put(a_job(tmp_path, fills=False), "a")
    assert not (tmp_path / "cache").exists()


def test_an_archive_that_is_damaged_or_leads_elsewhere_is_none(tmp_path: Path) -> None:
    job, found = a_job(tmp_path), tmp_path / "scratch" / "found"
    put(job, "a")
    file = tmp_path / "cache" / "one" / "a.tar"
    file.write_bytes(file.read_bytes()[:700])
    assert not cache.fetch(job, "a", found)
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(file, "w") as archive:
        for name, target in (("link", str(outside)), ("link/evil", None)):
            member = tarfile.TarInfo(name)
            if target is not None:
                member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    assert not cache.fetch(job, "a", found)
    assert (list(outside.iterdir()), list(found.iterdir())) == ([], [])


def test_what_nobody_uses_goes(tmp_path: Path) -> None:
    other = a_job(tmp_path, stack="gone")
    put(other, "old")
    os.utime(tmp_path / "cache" / "gone" / "old.tar", (0, 0))
    for number, key in enumerate("abcdef", 1):
        put(a_job(tmp_path), key)
        os.utime(tmp_path / "cache" / "one" / f"{key}.tar", (time.time() - 1000 + number,) * 2)
    kept = sorted(file.name for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert (len(kept), kept[-3:]) == (4, ["d.tar", "e.tar", "f.tar"])
