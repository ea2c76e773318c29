"""Which settings ansible goes by: the document's variables, the source's own file, then ours; never the machine's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from configparser import Error as ParserError
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join

from reconciler.tools.base import ToolJob
from reconciler.tools.files import read_result, write_scratch

_CHOSEN = {
    # Each host expands it itself: a path of this machine would mean nothing there.
    "ANSIBLE_REMOTE_TEMP": ("defaults", "remote_tmp", "$HOME/.ansible/tmp"),
    # A socket's path has room for a hundred bytes, which a directory of a run can exceed.
    "ANSIBLE_SSH_CONTROL_PATH_DIR": ("ssh_connection", "control_path_dir", "$TMPDIR/cp"),
    "ANSIBLE_RETRY_FILES_ENABLED": ("defaults", "retry_files_enabled", "0"),
    "ANSIBLE_NOCOWS": ("defaults", "nocows", "1"),
    "ANSIBLE_NOCOLOR": ("defaults", "nocolor", "1"),
    "ANSIBLE_FORCE_COLOR": ("defaults", "force_color", "0"),
}
"""What a run is better off with, unless a document or the source's settings file (section and key) say otherwise."""


@dataclass(frozen=True, slots=True)
class AnsibleConfig:
    """The settings file, by the path that ansible is told, with what is in it."""

    env: Mapping[str, str]
    """The variables that the documents set."""
    place: str
    content: RawConfigParser

    def environment(self) -> dict[str, str]:
        """Return the variables that every command of a run gets."""
        ours = {
            name: value
            for name, (section, key, value) in _CHOSEN.items()
            if name not in self.env and not self.content.has_option(section, key)
        }
        unbuffered = {} if "PYTHONUNBUFFERED" in self.env else {"PYTHONUNBUFFERED": "1"}
        return {**ours, **unbuffered, "ANSIBLE_CONFIG": self.place}

    def text(self, variable: str, section: str, key: str) -> str | None:
        """Return what the documents or the file say of a setting; None: nothing."""
        return self.env.get(variable, self.content.get(section, key, fallback=None))

    def paths(self, variables: Sequence[str], keys: Sequence[str], default: Sequence[str]) -> list[str]:
        """Return where ansible looks for something without us: the first variable holds, then the first key."""
        for variable in variables:
            if variable in self.env:
                return self.env[variable].split(":")
        for key in keys:
            configured = self.content.get("defaults", key, fallback=None)
            if configured is not None:
                # In the file, paths are relative to it; in a variable, to where ansible runs.
                return [
                    each if each.startswith(_ELSEWHERE) else join(dirname(self.place), each)
                    for each in configured.split(":")
                ]
        return list(default)


_ELSEWHERE = ("/", "~", "$", "{{")


def ansible_config(job: ToolJob) -> AnsibleConfig:
    """Choose the settings file and read it: the document's, the source's own, or an empty one.

    One that cannot be read is left to ansible, which explains it.
    """
    content = RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    chosen = job.env.get("ANSIBLE_CONFIG", "ansible.cfg")
    own = job.directory / chosen
    if "ANSIBLE_CONFIG" not in job.env and not own.is_file():
        empty = job.scratch / "ansible.cfg"
        write_scratch(empty, b"")
        return AnsibleConfig(job.env, str(empty), content)
    run = os.path.realpath(os.path.commonpath([job.directory, job.scratch]))
    real = Path(os.path.realpath(own))
    if real.is_relative_to(run) and real.is_file():
        with contextlib.suppress(ParserError, UnicodeDecodeError):
            content.read_string((read_result(real) or b"").decode())
    # Relative, so that ansible's paths are the same in every run.
    return AnsibleConfig(job.env, chosen, content)
