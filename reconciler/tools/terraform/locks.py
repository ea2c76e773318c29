"""Reads the lock files of Terraform and OpenTofu: which provider a run uses, and in which version."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.tools.base import StepFailed
from reconciler.tools.files import read_result
from reconciler.tools.terraform.code import FILE_LIMIT
from reconciler.tools.terraform.hcl_scan import Text, scan

LOCK = ".terraform.lock.hcl"
_SOURCE = re.compile(r"[^\W_][\w.-]*(?::\d{1,5})?(?:/[^\W_][\w-]*){2}")
_VERSION = re.compile(r"\d[0-9A-Za-z.+-]{0,100}")
_MOST = 64
"""Providers of one run that are looked at."""


@dataclass(frozen=True, slots=True, order=True)
class LockedProvider:
    """One version of a provider; `source` is its whole address: `registry.terraform.io/hashicorp/aws`."""

    source: str
    version: str


def readable(source: object, version: object) -> LockedProvider | None:
    """Return the provider of that address and version; None for what could be no name of a directory or a file."""
    if not isinstance(source, str) or not isinstance(version, str):
        return None
    if _SOURCE.fullmatch(source) is None or _VERSION.fullmatch(version) is None:
        return None
    return LockedProvider(source, version)


def locked(directory: Path, *, below: bool = False) -> frozenset[LockedProvider]:
    """Return the providers that the lock file of a directory names; `below`: and those of all directories in it.

    What cannot be read is left to the tool, which says best what is wrong with it.
    """
    files = _files(directory) if below else [directory / LOCK]
    return frozenset(sorted({provider for file in files for provider in _named(file)})[:_MOST])


def _named(file: Path) -> Iterator[LockedProvider]:
    try:
        data = read_result(file, FILE_LIMIT) or b""
    except StepFailed:
        return
    for found in scan(data.decode("utf-8", "replace")):
        match found:
            case Text((("provider", source),), "version", version):
                provider = readable(source, version)
                if provider is not None:
                    yield provider
            case _:
                pass


def _files(top: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(top):
        # What the tool has downloaded is not what it was told.
        names[:] = [name for name in names if name not in {".terraform", ".git"}]
        if LOCK in files:
            yield Path(directory, LOCK)
