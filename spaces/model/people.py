"""User, Group and ApiKey: the people and keys that bindings can name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from spaces.model.base import Line, Model, Name, Problem, SpecModel, list_at, mapping_at, matching, text_at
from spaces.model.clouds import ISSUER
from spaces.model.explain import shown
from spaces.model.signing_keys import MAX_KEY_CHARACTERS, SigningKey, parse_signing_key

_EMAIL = r"^[A-Za-z0-9!#$%&'+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$"
_WHOLE_EMAIL = re.compile(_EMAIL)


@lru_cache(maxsize=4096)
def read_key(text: str) -> SigningKey | str:
    """Return the key, or a text that says why it cannot be read."""
    try:
        return parse_signing_key(text)
    except ValueError as wrong:
        return str(wrong)


def _key(text: str) -> str:
    if isinstance(read_key(text), str):
        raise PydanticCustomError("invalid-signing-key", "is not a public key")
    return text


def email_key(address: str) -> str:
    """Return the form in which addresses are compared.

    Only ASCII is lower-cased: some other letters lower-case into letters of other addresses.
    """
    return address.lower() if address.isascii() else address


Email = Annotated[str, matching(_EMAIL, 254)]
KeyText = Annotated[str, matching(r"^[^\x00]+$", MAX_KEY_CHARACTERS), AfterValidator(_key)]


class UserSpec(SpecModel):
    """A person, whom bindings and groups can name and to whom commits are attributed."""

    emails: tuple[Email, ...] = Field((), description="The e-mail addresses of this person, and of nobody else.")
    signing_keys: tuple[KeyText, ...] = Field(
        (), description="SSH public keys (one line) or armored OpenPGP public keys that sign this person's commits."
    )

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The signing keys, parsed."""
        return tuple(key for text in self.signing_keys if isinstance(key := read_key(text), SigningKey))

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield texts that are not addresses or public keys, and duplicates."""
        addresses = set()
        for index, text in enumerate(list_at(raw, "emails")):
            if not isinstance(text, str):
                continue
            if not _WHOLE_EMAIL.fullmatch(text):
                summary = f"spec.emails[{index}] is not an address"
                yield Problem(("emails", index), "invalid-email", summary, "such as ada@example.org")
            elif email_key(text) in addresses:
                yield Problem(("emails", index), "duplicate-value", f"spec.emails[{index}] is listed twice")
            addresses.add(email_key(text))
        seen = set()
        for index, text in enumerate(list_at(raw, "signingKeys")):
            if not isinstance(text, str):
                continue
            key = read_key(text)
            if isinstance(key, str):
                hint = "the line of a .pub file, or the output of gpg --armor --export KEY"
                summary = f"spec.signingKeys[{index}] {key}"
                yield Problem(("signingKeys", index), "invalid-signing-key", summary, hint)
            elif key.fingerprint in seen:
                yield Problem(("signingKeys", index), "duplicate-value", f"spec.signingKeys[{index}] is listed twice")
            else:
                seen.add(key.fingerprint)


_IDP_GROUP = r"^[^,*\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
_WHOLE_IDP_GROUP = re.compile(_IDP_GROUP)

IdpGroup = Annotated[str, matching(_IDP_GROUP, 255)]


class GroupSpec(SpecModel):
    """The members of a group: users by name, and everyone whom an identity provider puts into one of its own groups."""

    members: tuple[Name, ...] = Field((), description="Names of users.")
    idp_groups: tuple[IdpGroup, ...] = Field(
        (), description="Groups of the identity provider, named exactly as there; their members belong to this group."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield names that cannot be groups of an identity provider, and duplicates."""
        for key in ("members", "idpGroups"):
            seen = set()
            for index, text in enumerate(list_at(raw, key)):
                if not isinstance(text, str):
                    continue
                if text in seen:
                    summary = f"spec.{key}[{index}]: {shown(text)} is named twice"
                    yield Problem((key, index), "duplicate-value", summary)
                elif key == "idpGroups" and not _WHOLE_IDP_GROUP.fullmatch(text):
                    summary = f"spec.idpGroups[{index}] is not the name of a group"
                    yield Problem((key, index), "invalid-value", summary, "one line, without commas and *")
                seen.add(text)


class OidcTrust(Model):
    """Whose tokens open the API as this key."""

    issuer: Annotated[str, matching(ISSUER, 1024)] = Field(description="The issuer, exactly as its tokens name it.")
    audience: Line = Field(description="The audience that the tokens must have.")
    subject: Line = Field(description="The subject that the tokens must have; * stands for any characters.")

    def means(self, subject: str) -> bool:
        """Whether a token with this subject is meant."""
        pattern = ".*".join(re.escape(part) for part in self.subject.split("*"))
        return re.fullmatch(pattern, subject, re.DOTALL) is not None


class ApiKeySpec(SpecModel):
    """A subject for bindings. The service makes its tokens, and the repository never holds them."""

    oidc: OidcTrust | None = Field(
        None, description="Tokens of another issuer that open the API too, such as those of a CI system's jobs."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield a subject that would let in whoever else the issuer gives tokens to."""
        subject = text_at(mapping_at(raw, "oidc"), "subject")
        if subject is not None and subject.startswith("*"):
            hint = "begin with what is yours, as in repo:acme/infra:*"
            summary = "spec.oidc.subject begins with *: others who get tokens of this issuer would be let in"
            yield Problem(("oidc", "subject"), "invalid-value", summary, hint)
