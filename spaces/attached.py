"""Which documents refer to which files of the repository, through changes of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spaces.catalog import Catalog, CatalogFile


def follow_attached(
    before: Catalog, files: Mapping[str, CatalogFile], changed: Iterable[str]
) -> Mapping[str, frozenset[str]]:
    """Follow who refers to which paths through a change of files."""
    index: dict[str, frozenset[str]] | None = None
    for file in changed:
        old, new = before.files.get(file), files.get(file)
        was = old.parsed.attached if old else frozenset()
        now = new.parsed.attached if new else frozenset()
        if was == now:
            continue
        index = dict(before.attached) if index is None else index
        for path in was ^ now:
            users = index.get(path, frozenset()) ^ {file}
            if users:
                index[path] = users
            else:
                del index[path]
    return before.attached if index is None else index
