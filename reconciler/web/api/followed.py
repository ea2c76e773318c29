"""Which revisions of source repositories are followed, as `station status` shows them."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.git.remote import redact
from reconciler.git.source_keys import SourceKey, known_keys, read_key
from reconciler.store.stored import ConfigurationState
from reconciler.web.api.schemas.overview import FollowedJson
from spaces.documents.documents import PlacedDocuments
from spaces.model.refs import RefKind, read_ref
from spaces.model.repository import RepositorySpec
from spaces.model.semver import newest
from spaces.model.stack import StackSpec
from spaces.names import Kind


def followed_json(state: ConfigurationState, documents: PlacedDocuments) -> list[FollowedJson]:
    """Return the branches, tags and commits of source repositories that documents in force follow."""
    wanted = set()
    for placed in documents.of_kind(Kind.REPOSITORY):
        spec = placed.resource.spec
        if isinstance(spec, RepositorySpec):
            reader = f"{placed.ref.space}/{placed.ref.name}"
            wanted.add(SourceKey(reader, spec.url, "", reader if spec.verify is not None else None))
    found = [(read_key(key), revision) for key, revision in sorted(known_keys(state.sources).items())]
    found = [each for each in found if each[0]._replace(ref="") in wanted]
    kinds = {read_ref(key.ref).kind for key, _ in found}
    named = _named_tags(documents) if RefKind.TAG in kinds else set()
    return [
        FollowedJson(
            url=redact(key.url),
            branch=key.ref if read_ref(key.ref).kind is RefKind.BRANCH else None,
            ref=str(read_ref(key.ref)),
            tag=_tag_of(key, revision, found),
            verified_for=key.verified_for,
            revision=revision,
        )
        for key, revision in found
        # The tags that ranges of versions led to are remembered, too.
        if read_ref(key.ref).kind is not RefKind.TAG or read_ref(key.ref).name in named
    ]


def _named_tags(documents: PlacedDocuments) -> set[str]:
    specs = (placed.resource.spec for placed in documents.of_kind(Kind.STACK))
    return {
        spec.source.tag for spec in specs if isinstance(spec, StackSpec) and spec.source is not None and spec.source.tag
    }


def _tag_of(key: SourceKey, revision: str, found: Iterable[tuple[SourceKey, str]]) -> str | None:
    """Return the tag that is followed, for a range of versions the one that it led to."""
    followed = read_ref(key.ref)
    if followed.kind is RefKind.TAG:
        return followed.name
    if followed.kind is not RefKind.SEMVER:
        return None
    mine = (read_ref(other.ref) for other, at in found if other._replace(ref=key.ref) == key and at == revision)
    return newest((each.name for each in mine if each.kind is RefKind.TAG), followed.name)
