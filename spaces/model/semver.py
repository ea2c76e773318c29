"""Which tag of a repository is the newest version in a range, by the rules of semantic versioning and npm's ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cmp_to_key, lru_cache

_LONGEST = 256
_ID = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_TAG = re.compile(
    rf"v?(?P<numbers>(?:0|[1-9][0-9]{{0,14}})(?:\.(?:0|[1-9][0-9]{{0,14}})){{0,2}})(?P<pre>-{_ID})?(?P<build>\+{_ID})?",
    re.ASCII,
)


@lru_cache(maxsize=256)
def semver_range(text: str) -> str:
    """Return a range in its plain form; ValueError where it is none.

    `>=1.4 <2`, `^1.2`, `~1.4`, `1.x`, `1.2 - 1.4` and `1.2 || 2` are ranges; a comma counts as a space.
    """
    # Slow to import, and few sources name a range.
    from nodesemver import make_range  # noqa: PLC0415

    if len(text) > _LONGEST or not all(each.strip() for each in text.split("||")):
        raise ValueError(f"{text[:80]!r} is no range of versions")
    try:
        return str(make_range(text.replace(",", " "), loose=False))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no range of versions") from None


def newest(tags: Iterable[str], wanted: str) -> str | None:
    """Return the tag of the newest version in a range; None where there is none.

    A `v` before a version is fine, and `v1.4` is 1.4.0; other tags do not count. A version before a release, as
    `2.0.0-rc.1`, counts only where the range names one of the same release. Of two tags of the same version, the one
    that says more of it counts, then the last by name.
    """
    within = semver_range(wanted)
    return _last([tag for tag in tags if (version := _version(tag)) and _satisfies(version, within)])


def newest_of_all(tags: Iterable[str]) -> str | None:
    """Return the tag of the newest version that there is."""
    return _last([tag for tag in tags if _version(tag)])


# Each look at a repository asks the same of the same tags, of which there may be thousands.
@lru_cache(maxsize=20_000)
def _satisfies(version: str, within: str) -> bool:
    from nodesemver import satisfies  # noqa: PLC0415

    return bool(satisfies(version, within, loose=False))


@lru_cache(maxsize=20_000)
def _version(tag: str) -> str | None:
    """Return the whole version that a tag names; None for any other tag."""
    found = _TAG.fullmatch(tag)
    if found is None or len(tag) > _LONGEST:
        return None
    numbers = [*found["numbers"].split("."), "0", "0"][:3]
    version = f"{'.'.join(numbers)}{found['pre'] or ''}"
    return version if _is_valid(version) else None


def _is_valid(version: str) -> bool:
    from nodesemver import valid  # noqa: PLC0415

    return valid(version, loose=False) is not None


def _last(tags: list[str]) -> str | None:
    from nodesemver import compare  # noqa: PLC0415

    def order(one: str, other: str) -> int:
        versions: int = compare(_version(one), _version(other), loose=False)
        return versions or (1 if (len(one), one) > (len(other), other) else -1)

    return max(tags, key=cmp_to_key(order), default=None)
