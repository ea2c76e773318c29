"""Keeps the packages of providers for the runs of all stacks, so that not every run downloads its own.

`TF_PLUGIN_CACHE_DIR` is a directory that every run writes to: two at once break it, and one run could put a program
there that another one starts. Here no run writes. After an `init` the service lets the tool fetch, by `providers
mirror`, what that has chosen: apart from the run, from the provider's own registry, which proves whose it is. The
packages are kept as they come from there, so that every hash of a lock file fits them, `zh:` and `h1:` alike.

A run sees the packages that its lock file names or, where it has none, those of the stack's last run: nobody learns
what others use. They are hard links, which stay whatever is removed meanwhile, on a mount that is read-only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.tools.base import Do, StepFailed, ToolJob
from reconciler.tools.files import fresh_directory, read_json, read_result, write_scratch
from reconciler.tools.terraform.hcl_scan import Block, scan
from reconciler.tools.terraform.locks import LockedProvider, locked, readable

_MACHINE = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_SETTINGS = "station.rc"
_LAST = "providers.json"
_MISSED = ".missed"
_RETRY = 86400
"""Seconds after which a package that could not be had is tried again."""
_UNUSED = 30 * 86400
_VENDORED = ("/usr/local/share", "/usr/share")


def offer(job: ToolJob, tool: str, *, below: bool = False) -> None:
    """Show the run, before its `init`, the packages that it will probably use.

    `below`: lock files in all directories of the source count; what a unit without one needs, nobody knows.
    """
    shared = job.shared
    if shared is None:
        return
    fresh_directory(shared.view)
    if not _fits(job):
        return
    wanted = locked(job.directory, below=below)
    exact = bool(wanted) and not below and "-upgrade" not in ((job.options.get("args") or {}).get("init") or ())
    kept = shared.kept / tool
    shown = {each for each in wanted or _last(job) if _link(kept, shared.view, each)}
    if shown:
        # Where the lock file says which version it is, nobody has to ask the registry for others.
        sources = sorted({each.source for each in shown}) if exact else []
        write_scratch(shared.view / _SETTINGS, _installation(shared.seen, sources).encode())


def settings(job: ToolJob) -> str:
    """Return what the CLI configuration says of the packages that the run sees."""
    if job.shared is None:
        return ""
    return (read_result(job.shared.view / _SETTINGS) or b"").decode()


def keep(job: ToolJob, do: Do, tool: str, binary: str, *, below: bool = False) -> None:
    """Have what `init` has chosen kept for later runs. That it cannot be had is no fault of the run."""
    shared = job.shared
    if shared is None or not job.fills_cache or not _fits(job):
        return
    # What one of the tools has checked is not what the other one asks for: they want other signatures.
    used, kept = locked(job.directory, below=below), shared.kept / tool
    with contextlib.suppress(OSError):
        _note(job, used)
        missing = [each for each in sorted(used) if not _touch(_file(kept, each)) and not _is_missed(kept, each)]
        if missing:
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(shared.kept) as alone:
                # Otherwise another run is at it: it may fetch the same, and there is no hurry.
                for each in missing if alone else ():
                    _fetch(job, do, binary, kept, each)
                if alone:
                    _make_room(shared.kept, shared.limit)


def names_a_mirror(cli_config: str) -> bool:
    """Whether the operator has providers in directories of this machine."""
    return _says(cli_config, "provider_installation", "filesystem_mirror")


def _says(cli_config: str, *blocks: str) -> bool:
    path = tuple((block,) for block in blocks)
    return any(isinstance(it, Block) and it.path == path for it in scan(cli_config))


def _fits(job: ToolJob) -> bool:
    """Whether nothing else says where this run's providers come from: then that holds."""
    if any(name in job.env for name in ("TF_CLI_CONFIG_FILE", "XDG_DATA_HOME", "XDG_DATA_DIRS")):
        return False
    if _says(job.cli_config, "provider_installation"):
        return False
    # Directories that the tool searches as long as its configuration names no others.
    home = job.shared.home if job.shared is not None else job.scratch
    places = [Path(share, name) for share in (*_VENDORED, home / ".local/share") for name in ("terraform", "opentofu")]
    places += [job.directory / "terraform.d", home / ".terraform.d"]
    return not any((place / "plugins").exists() for place in places)


def _file(top: Path, provider: LockedProvider) -> Path:
    machine = os.uname().machine
    name = provider.source.rpartition("/")[2]
    return (
        top
        / provider.source
        / f"terraform-provider-{name}_{provider.version}_linux_{_MACHINE.get(machine, machine)}.zip"
    )


def _link(kept: Path, view: Path, provider: LockedProvider) -> bool:
    link = _file(view, provider)
    try:
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.hardlink_to(_file(kept, provider))
    except OSError:
        return False
    return True


def _installation(seen: Path, sources: Collection[str]) -> str:
    names = json.dumps(sorted(sources), ensure_ascii=False)
    include, exclude = (f"    {word} = {names}\n" if sources else "" for word in ("include", "exclude"))
    return (
        f'\nprovider_installation {{\n  filesystem_mirror {{\n    path = "{seen}"\n{include}  }}\n'
        f"  direct {{\n{exclude}  }}\n}}\n"
    )


def _last(job: ToolJob) -> frozenset[LockedProvider]:
    """Return what the stack's last run used."""
    try:
        noted = read_json(job.cache / _LAST) if job.cache is not None else None
        return frozenset(filter(None, (readable(*each) for each in noted or ())))
    except (StepFailed, TypeError):
        return frozenset()


def _note(job: ToolJob, used: Iterable[LockedProvider]) -> None:
    if job.cache is not None:
        job.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = job.cache / f".{_LAST}.{os.getpid()}"
        write_scratch(draft, json.dumps([[each.source, each.version] for each in sorted(used)]).encode())
        draft.replace(job.cache / _LAST)


def _touch(file: Path) -> bool:
    """Note that a package is in use; False: it is not there."""
    try:
        os.utime(file)
    except FileNotFoundError:
        return False
    return True


def _missed(kept: Path, provider: LockedProvider) -> Path:
    file = _file(kept, provider)
    return file.with_name(file.name + _MISSED)


def _is_missed(kept: Path, provider: LockedProvider) -> bool:
    try:
        return time.time() - _missed(kept, provider).stat().st_mtime < _RETRY
    except FileNotFoundError:
        return False


@contextmanager
def _alone(kept: Path) -> Iterator[bool]:
    """Whether nobody else fetches or removes packages meanwhile."""
    descriptor = os.open(kept / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _fetch(job: ToolJob, do: Do, binary: str, kept: Path, provider: LockedProvider) -> None:
    """Let the tool bring a package from its registry, with the operator's settings and nothing of the run's."""
    place = fresh_directory(kept.parent / ".draft")
    try:
        work = fresh_directory(place / "work")
        code = f'terraform {{\n  required_providers {{\n    it = {{\n      source = "{provider.source}"\n'
        code += f'      version = "{provider.version}"\n    }}\n  }}\n}}\n'
        write_scratch(work / "main.tf", code.encode())
        write_scratch(work / "cli.rc", job.cli_config.encode())
        env = {"TF_CLI_CONFIG_FILE": "cli.rc", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        do((binary, "providers", "mirror", "packages"), env=env, apart=place)
        file, found = _file(kept, provider), _file(work / "packages", provider)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if found.is_file() and not found.is_symlink():
            _bring_to_disk(found)
            found.replace(file)
            _missed(kept, provider).unlink(missing_ok=True)
        else:
            _missed(kept, provider).touch(mode=0o600)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _bring_to_disk(file: Path) -> None:
    # Half a package, after a loss of power, would fail every run that uses it.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_room(top: Path, limit: int) -> None:
    """Remove packages that nobody uses any more, and those that were used longest ago as long as there are too many."""
    oldest = time.time() - _UNUSED
    found = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in top.rglob("*.zip"))
    total = sum(size for _, size, _ in found)
    for at, size, file in found:
        if at < oldest or total > limit:
            file.unlink(missing_ok=True)
            total -= size
