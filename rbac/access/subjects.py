"""The subjects of access rules: users, groups, API keys, stacks, and the admins that the service's settings name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spaces.model.role import SubjectRef
from spaces.names import StackId, is_name


class SubjectKind(StrEnum):
    """The kinds of subjects that may hold a role."""

    USER = "user"
    GROUP = "group"
    API_KEY = "apiKey"
    STACK = "stack"
    ADMIN = "admin"
    """An admin of the installation who is not a user: a key of the settings, or the operator of the data directory."""


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """Somebody who may hold roles. `idp_groups` are the groups that an identity provider confirms at sign-in."""

    kind: SubjectKind
    name: str
    idp_groups: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Return `kind:name`."""
        return f"{self.kind}:{self.name}"

    @property
    def plain(self) -> Subject:
        """The same subject without the groups that a sign-in added."""
        return Subject(self.kind, self.name) if self.idp_groups else self

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Parse `user:alice`, `group:…`, `apiKey:…` or `stack:space/name`; a bare name is a user.

        Raise ValueError with the reason for any other text. Admins of the settings cannot be written this way.
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
    """Return the user of that name as a subject."""
    return Subject(SubjectKind.USER, name, idp_groups)


def group(name: str) -> Subject:
    """Return the group of that name as a subject."""
    return Subject(SubjectKind.GROUP, name)


def stack(identity: StackId) -> Subject:
    """Return the stack as a subject."""
    return Subject(SubjectKind.STACK, str(identity))


def bound(reference: SubjectRef) -> Subject:
    """Return the subject that a binding names."""
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
