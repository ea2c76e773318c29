"""Lets Git, and helm, in a run sign in to some repositories, and to no others.

Over http(s) Git asks a helper, which answers only for exactly the repository's address. Over ssh a script of the run's
own stands in the place of `ssh`: it gives the key only to exactly the repository on its host. Helm has a list of its
own of the repositories of charts. All of them read files that lie
in a directory of the run, for its owner alone, while a leg is at work. Nothing secret is in a variable, an argument or
an address.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import GitAccess
from reconciler.tools.base import ChartRepositories
from spaces.model.addresses import ssh_place


def lay_out(
    accesses: Sequence[GitAccess], directory: RunDirectory, seen: RunDirectory, env: Mapping[str, str]
) -> dict[str, str]:
    """Write what Git needs, and return the variables by which it finds that, on top of `env`.

    Commands see the run's `directory` at `seen`.
    """
    take_away(directory)
    if not accesses:
        return {}
    directory.git.mkdir(mode=0o700)
    config: list[tuple[str, str]] = []
    cases: list[str] = []
    _write(directory.git / _CHARTS, _chart_repositories(accesses))
    for number, access in enumerate(accesses):
        if access.ssh_key:
            cases.append(_ssh(access, number, directory.git, seen.git))
        else:
            config += _http(access, number, directory.git, seen.git)
    variables = {"GIT_TERMINAL_PROMPT": "0", **_configured(config, env)}
    if cases:
        _write(directory.git / "ssh", _in_place_of_ssh(cases))
        variables["GIT_SSH_COMMAND"] = f"sh {shlex.quote(str(seen.git / 'ssh'))}"
        variables["GIT_SSH_VARIANT"] = "ssh"
    return variables


def charts(accesses: Sequence[GitAccess], seen: RunDirectory) -> ChartRepositories | None:
    """Return how helm signs in to those of the repositories that are reached over http(s)."""
    names = {access.url.rstrip("/"): _chart_name(number) for number, access in _over_http(accesses)}
    return ChartRepositories(seen.git / _CHARTS, names) if names else None


def take_away(directory: RunDirectory) -> None:
    """Remove what was written."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory.git)


def _http(access: GitAccess, number: int, here: Path, seen: Path) -> Iterator[tuple[str, str]]:
    url = _plain(access.url)
    secret = f"secret-{number}"
    _write(here / secret, f"username={access.username}\npassword={access.password}\n")
    _write(here / f"helper-{number}", _helper(unquote(urlsplit(url).path).lstrip("/"), seen / secret))
    for each in (url, f"{url}.git"):
        # The first line forgets helpers of the machine; without the last one the helper is not told the path.
        yield f"credential.{each}.helper", ""
        yield f"credential.{each}.helper", f"!sh {shlex.quote(str(seen / f'helper-{number}'))}"
        yield f"credential.{each}.useHttpPath", "true"


_CHARTS = "charts.yaml"


def _chart_repositories(accesses: Sequence[GitAccess]) -> str:
    listed = [
        {"name": _chart_name(number), "url": each.url, "username": each.username, "password": each.password}
        for number, each in _over_http(accesses)
    ]
    return json.dumps({"apiVersion": "v1", "repositories": listed})


def _chart_name(number: int) -> str:
    return f"station-{number}"


def _over_http(accesses: Sequence[GitAccess]) -> Iterator[tuple[int, GitAccess]]:
    return ((number, each) for number, each in enumerate(accesses) if not each.ssh_key)


def _ssh(access: GitAccess, number: int, here: Path, seen: Path) -> str:
    """Write the key and how it is used; return the case of the script in which it is."""
    _write(here / f"key-{number}", access.ssh_key.rstrip("\n") + "\n")
    _write(here / f"known-hosts-{number}", access.known_hosts)
    _write(here / f"config-{number}", _ssh_config(seen / f"key-{number}", seen / f"known-hosts-{number}"))
    host, port, path = ssh_place(access.url)
    wanted = f"{port} {host} {_plain(path).lstrip('/')}"
    config = shlex.quote(str(seen / f"config-{number}"))
    return f'  {shlex.quote(wanted)}|{shlex.quote(f"{wanted}.git")}) exec ssh -F {config} "$@" ;;'


def _helper(path: str, secret: Path) -> str:
    """Return the helper for one path. Git tells it what is wanted as lines `key=value`, and an empty one."""
    return f"""\
[ "$1" = get ] || exit 0
while IFS='=' read -r key value && [ -n "$key" ]; do
  [ "$key" = path ] && path=$value
done
case "${{path%/}}" in
  {shlex.quote(path)}|{shlex.quote(f"{path}.git")}) cat {shlex.quote(str(secret))} ;;
esac
exit 0
"""


def _in_place_of_ssh(cases: Sequence[str]) -> str:
    """Return the script that Git calls as `ssh [options] [user@]host "git-upload-pack 'path'"`."""
    return rf"""
port=22 last= host= command=
for word; do
  [ "$last" = -p ] && port=$word
  last=$word host=$command command=$word
done
path=${{command#*\'}}
path=${{path%\'}}
path=${{path#/}}
host=$(printf %s "${{host#*@}}" | LC_ALL=C tr A-Z a-z)
case "$port $host ${{path%/}}" in
{chr(10).join(cases)}
esac
exec ssh "$@"
"""


def _ssh_config(key: Path, known_hosts: Path) -> str:
    return f"""\
IdentityFile {_ssh_word(key)}
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {_ssh_word(known_hosts)}
StrictHostKeyChecking yes
BatchMode yes
"""


def _configured(config: Sequence[tuple[str, str]], env: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration as variables, behind what the documents have set themselves."""
    if not config:
        return {}
    given = env.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isascii() and given.isdigit() and len(given) < 5 else 0
    found = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (key, value) in enumerate(config, first):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
    return found


def _plain(address: str) -> str:
    """Return an address or path without what may be left out at its end."""
    return re.sub(r"(?<=[^/])\.git$", "", address.rstrip("/"))


def _ssh_word(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
