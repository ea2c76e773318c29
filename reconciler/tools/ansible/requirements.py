"""Collections and roles that a source needs: installed by ansible-galaxy, and kept for later runs of the stack.

They are kept by the content of all that says what they are: the file itself, every file and directory of the source
that a word in it names, the settings of ansible-galaxy. Unless that changed, a run needs no network and no time.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

from reconciler.tools import cache
from reconciler.tools.ansible.settings import AnsibleConfig
from reconciler.tools.base import Do, StepFailed, ToolJob
from reconciler.tools.files import read_result

_DIRECTORY = "ansible-galaxy"
_WORD = re.compile(r"""[^\s"',\[\]{}#]+""")
_YAML = (".yml", ".yaml")
_ROLES = ("~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles")
_COLLECTIONS = ("~/.ansible/collections", "/usr/share/ansible/collections")


def search_path(job: ToolJob, config: AnsibleConfig) -> Mapping[str, str]:
    """Return where ansible finds what was installed, before everything else that documents or the source name."""
    if not job.options.get("requirements"):
        return {}
    roles = config.paths(("ANSIBLE_ROLES_PATH",), ("roles_path",), _ROLES)
    collections = config.paths(
        ("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"),
        ("collections_path", "collections_paths"),
        _COLLECTIONS,
    )
    top = job.scratch / _DIRECTORY
    return {
        "ANSIBLE_ROLES_PATH": ":".join([str(top / "roles"), *roles]),
        "ANSIBLE_COLLECTIONS_PATH": ":".join([str(top / "collections"), *collections]),
    }


def install(job: ToolJob, do: Do, config: AnsibleConfig) -> None:
    """Bring what the requirements name into the scratch directory, from the cache where it is there."""
    file = job.options.get("requirements")
    if not file:
        return
    top, key = job.scratch / _DIRECTORY, _key(job, config, str(file))
    if cache.fetch(job, key, top):
        return
    galaxy = Path(job.binary).with_name("ansible-galaxy")
    env = {**config.environment(), **search_path(job, config), "ANSIBLE_GALAXY_DISPLAY_PROGRESS": "0"}
    do((str(galaxy), "install", f"--role-file={file}"), env=env)
    cache.keep(job, key, top)


def _key(job: ToolJob, config: AnsibleConfig, file: str) -> str:
    """Return the digest of all that decides what is installed."""
    run = Path(os.path.realpath(os.path.commonpath([job.directory, job.scratch])))
    total = blake2b(digest_size=16)
    for name, value in sorted(job.env.items()):
        if name.startswith("ANSIBLE_"):
            total.update(f"{name}={value}\0".encode())
    waiting, seen = [config.place, file], set[Path]()
    while waiting:
        place = Path(os.path.realpath(job.directory / waiting.pop()))
        if place in seen or not place.is_relative_to(run):
            continue
        seen.add(place)
        for found in _files(place):
            data = read_result(found) or b""
            total.update(f"{found.relative_to(run)}\0{len(data)}\0".encode())
            total.update(data)
            if found.suffix in _YAML and found == place:
                waiting += [word for word in _WORD.findall(data.decode("utf-8", "replace")) if _could_be_a_path(word)]
    if not (job.directory / file).is_file():
        raise StepFailed(f"there is no file {file} in the source (ansible.requirements)")
    return total.hexdigest()


def _could_be_a_path(word: str) -> bool:
    return len(word) < 4096 and word not in {"/", ".", ".."} and "\0" not in word


def _files(place: Path) -> Iterator[Path]:
    """Yield the regular files at and below a place, in order; no link is followed."""
    try:
        mode = place.lstat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISREG(mode):
        yield place
    elif stat.S_ISDIR(mode):
        for each in sorted(place.iterdir()):
            yield from _files(each)
