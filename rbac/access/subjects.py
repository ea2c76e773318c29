"""Who asks: users, groups, API keys, stacks, and the admins that the service's own settings name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spaces.model.role import SubjectRef
from spaces.names import StackId, is_name


class SubjectKind(StrEnum):
    """Everyone who may hold a role."""

    USER = "user"
    GROUP = "group"
    API_KEY = "apiKey"
    STACK = "stack"
    ADMIN = "admin"
    """An admin of the installation who is no user: a key of the settings, or the data directory's own operator."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """One who may hold roles. `idp_groups` are the groups that an identity provider vouches for at sign-in."""

    kind: SubjectKind
    name: str
    idp_groups: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Read as `kind:name`."""
        return f"{self.kind}:{self.name}"

    @property
    def plain(self) -> Subject:
        """The same one without what a sign-in added."""
        return Subject(self.kind, self.name) if self.idp_groups else self

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read `user:alice`, `group:…`, `apiKey:…`, `stack:space/name`; a bare name is a user.

        ValueError says what is wrong with anything else. Admins of the settings cannot be written this way.
        """
        word, colon, name = text.rpartition(":")
        if not colon:
            word = SubjectKind.USER.value
        kinds = {kind.value: kind for kind in SubjectKind if kind is not SubjectKind.ADMIN}
        if word not in kinds:
            raise ValueError(f"{text[:80]!r} is not a subject: write it as user:, group:, apiKey: or stack: and a name")
        kind = kinds[word]
        if kind is SubjectKind.STACK:
            StackId.parse(name)
        elif not is_name(name):
            raise ValueError(f"{name[:80]!r} is not a name")
        return cls(kind, name)


def user(name: str, idp_groups: frozenset[str] = frozenset()) -> Subject:
    """Give the user of that name."""
    return Subject(SubjectKind.USER, name, idp_groups)


def group(name: str) -> Subject:
    """Give the group of that name."""
    return Subject(SubjectKind.GROUP, name)


def stack(identity: StackId) -> Subject:
    """Give the stack, as one who asks."""
    return Subject(SubjectKind.STACK, str(identity))


def bound(reference: SubjectRef) -> Subject:
    """Give the one whom a binding names."""
    match reference:
        case SubjectRef(user=str(name)):
            return Subject(SubjectKind.USER, name)
        case SubjectRef(group=str(name)):
            return Subject(SubjectKind.GROUP, name)
        case SubjectRef(api_key=str(name)):
            return Subject(SubjectKind.API_KEY, name)
        case SubjectRef(stack=str(name)):
            return Subject(SubjectKind.STACK, name)
        case _:
            raise ValueError("a subject of a binding names nobody")
