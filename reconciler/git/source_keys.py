"""The names under which revisions of source repositories are remembered: who reads which branch or tag of which URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from reconciler.git.mirrors import Remote
from spaces.model.refs import Ref
from spaces.names import NAME_PATTERN, ResourceRef

_FOR = " verified for "
_KEY = re.compile(rf"(?P<reader>{NAME_PATTERN}/{NAME_PATTERN}) (?P<url>\S+)#(?P<ref>.+)")
_Value = TypeVar("_Value")


class SourceKey(NamedTuple):
    """A branch, tag or commit of a source repository, as one Repository (`space/name`) reads it.

    `verified_for` is the Repository that asks for signatures, where one does.
    """

    reader: str
    url: str
    ref: Ref
    verified_for: str | None


def source_key(remote: Remote, verifying: ResourceRef | None = None) -> str:
    """Name what is followed of a source repository; for `verifying`, only as far as that Repository accepts it."""
    key = f"{remote.reader} {remote.url}#{remote.ref}"
    return key if verifying is None else f"{key}{_FOR}{verifying.space}/{verifying.name}"


def read_key(key: str) -> SourceKey:
    """Take a key of `source_key` apart."""
    named, _, verified_for = key.partition(_FOR)
    found = _KEY.fullmatch(named)
    assert found is not None  # noqa: S101 - others are left out by `known_keys`
    return SourceKey(found["reader"], found["url"], found["ref"], verified_for or None)


def known_keys(remembered: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return what was remembered, without the keys of an earlier version, which did not say who reads."""
    return {key: value for key, value in remembered.items() if _KEY.fullmatch(key.partition(_FOR)[0])}
