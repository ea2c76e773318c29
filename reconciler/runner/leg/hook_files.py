"""The files through which hooks speak to the run: variables, values to mask, and facts for policies.

Commands of the run write them, so nothing in them is trusted, and no message repeats a value. What hooks of the plan
leg said is carried over to the apply leg, encrypted, in a file that no command of the run can see.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from reconciler.masking.masker import Masker
from reconciler.runner.contract.directory import RunDirectory, write_file
from reconciler.runner.contract.records import to_line
from reconciler.tools.base import StepFailed
from reconciler.tools.files import check_depth, parse_json, read_result, remove, write_scratch
from spaces.model.variables import ENV_NAME, VariableClass, classify_variable, is_loader

_NAME = re.compile(ENV_NAME)
_LONGEST_NAME = 255
_LONGEST_VALUE = 100_000
"""Bytes of one variable. The system starts no program with much longer ones."""
_FILE_LIMIT = 1024 * 1024
"""Bytes of `$STATION_ENV` and of `$STATION_MASK`."""
_SHORTEST = 8
"""Shorter values are not masked: they would be found by chance."""
_MOST_VALUES = 1000
_FACT = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_]{0,62})\.json")
_FACT_LIMIT = 256 * 1024
_MOST_FACTS = 16
_NONCE = 12
_CARRIED = b"station carried"


class HookFiles:
    """What the commands of one leg said so far."""

    def __init__(self, directory: RunDirectory, masker: Masker, carry_key: str) -> None:
        self._directory, self._masker, self._carry_key = directory, masker, carry_key
        self._masks = str(directory.masks)
        self._heard = (b"", 0)
        """What was in the file of masks the last time, and how many lines of it are too short."""
        self.variables: dict[str, str] = {}
        """Everything that hooks set, in this leg and in the one before."""
        self.masked: dict[str, None] = {}
        """The values to mask that hooks named, in their order."""
        self.short = 0
        """How many lines are too short to be masked."""

    def prepare(self, *, carry: bool) -> None:
        """Make the files that every command may write; `carry`: take over what the leg before left.

        StepFailed where that does not open.
        """
        carried = read_result(self._directory.carried) if carry else None
        if carried is not None:
            said = json.loads(_opened(carried, self._carry_key))
            self.variables = said["variables"]
            self.masked = dict.fromkeys(said["masked"])
            self._masker.learn(self.masked)
        with contextlib.suppress(OSError):
            write_scratch(self._directory.masks, b"")
            self._directory.facts.mkdir(mode=0o700, exist_ok=True)

    def save(self) -> None:
        """Leave to the next leg what was said; a power failure must not lose it either."""
        if not self.variables and not self.masked:
            remove(self._directory.carried)
            return
        said = {"variables": self.variables, "masked": list(self.masked)}
        write_file(self._directory.carried, _sealed(to_line(said), self._carry_key), durable=True)

    def clear(self) -> None:
        """Remove what commands of this leg wrote: the leg is over, and secrets must not wait there for the next one."""
        with contextlib.suppress(OSError):
            remove(self._directory.masks)
            remove(self._directory.variables)
        if not self._directory.facts.is_symlink():
            shutil.rmtree(self._directory.facts, ignore_errors=True)

    def begin_hook(self) -> None:
        """Make a new file for variables; StepFailed where that cannot be done."""
        try:
            write_scratch(self._directory.variables, b"")
        except OSError as error:
            raise StepFailed(f"$STATION_ENV cannot be made: {error.strerror}") from None

    def hear(self) -> None:
        """Learn the values that are named by now. Called before output is taken, so that it is masked in there."""
        with contextlib.suppress(OSError, StepFailed):
            if os.lstat(self._masks).st_size:
                self._learn()

    def heed_masks(self) -> None:
        """Learn the values that are named, now that a command has ended; StepFailed where the file is unusable."""
        self.short = self._learn()

    def _learn(self) -> int:
        """Return how many lines are too short."""
        data = read_result(self._directory.masks, _FILE_LIMIT) or b""
        if data == self._heard[0]:
            return self._heard[1]
        # A last line that may still go on counts as well: what it becomes is learned once it is there.
        lines = data.split(b"\n")
        values = [line.decode(errors="surrogateescape").strip() for line in lines]
        long = [value for value in values if len(value) >= _SHORTEST]
        new = dict.fromkeys(value for value in long if value not in self.masked)
        room = _MOST_VALUES - len(self.masked)
        self.masked |= dict.fromkeys(islice(new, room))
        self._masker.learn(self.masked)
        if len(new) > room:
            raise StepFailed(f"$STATION_MASK names more than {_MOST_VALUES} values")
        self._heard = data, sum(1 for value in values if value) - len(long)
        return self._heard[1]

    def take_variables(self, may_set: Collection[str]) -> Mapping[str, str]:
        """Return what a hook that has ended sets; StepFailed for what it may not set, or what is not NAME=value."""
        data = read_result(self._directory.variables, _FILE_LIMIT)
        remove(self._directory.variables)
        if not data:
            return {}
        found = read_variables(data, may_set)
        self.variables |= found
        if len(self.variables) > _MOST_VALUES:
            raise StepFailed(f"hooks set more than {_MOST_VALUES} variables")
        return found

    def read_facts(self) -> dict[str, Any]:
        """Return the facts by name, masked; StepFailed names a file that is none."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._directory.facts, flags)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StepFailed(f"$STATION_FACTS cannot be read: {error.strerror}") from None
        try:
            names = sorted(os.listdir(descriptor))  # noqa: PTH208 - by the opened directory
            if len(names) > _MOST_FACTS:
                raise StepFailed(f"$STATION_FACTS holds more than {_MOST_FACTS} files")
            return dict(self._fact(descriptor, name) for name in names)
        finally:
            os.close(descriptor)

    def _fact(self, directory: int, name: str) -> tuple[str, Any]:
        matched = _FACT.fullmatch(name)
        if matched is None:
            raise StepFailed(f"$STATION_FACTS holds {name[:80]!r}, which is not the NAME.json of a fact")
        what = f"the fact {matched[1]} ($STATION_FACTS/{name})"
        # By the opened directory: what has its name now may be a link.
        data = read_result(Path(f"/proc/self/fd/{directory}/{name}"), _FACT_LIMIT)
        value = parse_json(data or b"", what)
        check_depth(value, what)
        return matched[1], self._masker.value(value)


def read_variables(data: bytes, may_set: Collection[str] = ()) -> dict[str, str]:
    """Read lines of NAME=value, with nothing quoted; StepFailed says which line is none, or what it may not set.

    `may_set` are variables that take over a process, which the hook's document sets as well.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data.count(b"\n", 0, error.start)
        raise StepFailed(f"line {before + 1} of $STATION_ENV is not UTF-8 text") from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number} of $STATION_ENV"
        name, is_set, value = line.removesuffix("\r").partition("=")
        if not is_set or not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise StepFailed(f"{where} is not NAME=value")
        _check_name(name, where, may_set)
        if "\0" in value:
            raise StepFailed(f"{where} contains a NUL character, which no variable may contain")
        if len(value.encode()) > _LONGEST_VALUE:
            raise StepFailed(f"{where} is longer than {_LONGEST_VALUE} bytes, too long for a variable")
        found[name] = value
    return found


def _check_name(name: str, where: str, may_set: Collection[str]) -> None:
    kind = classify_variable(name)
    if kind is VariableClass.OWN:
        raise StepFailed(f"{where} sets {name}, which only the service sets")
    if is_loader(name):
        raise StepFailed(f"{where} sets {name}, which no hook may set")
    if kind is VariableClass.TAKES_OVER and name not in may_set:
        raise StepFailed(f"{where} sets {name}, which takes over a process: the hook's document must set it in env too")


def _sealed(plain: bytes, key: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - slow to import, seldom needed

    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(bytes.fromhex(key)).encrypt(nonce, plain, _CARRIED)


def _opened(sealed: bytes, key: str) -> bytes:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        return AESGCM(bytes.fromhex(key)).decrypt(sealed[:_NONCE], sealed[_NONCE:], _CARRIED)
    except (InvalidTag, ValueError):
        message = "what hooks of the plan said does not open: it was changed, or encryption_key_file was"
        raise StepFailed(message) from None
