"""The Repository: a Git repository, other than the configuration's, that stacks take their source from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from spaces.model.base import CommitId, Line, Model, Name, Path, Problem, SpecModel, list_at, mapping_at, not_empty
from spaces.model.secrets import SecretRef, secret_problems

_HOST = (
    r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,4}|:[1-5][0-9]{4}|:6[0-4][0-9]{3})?"
)
_USER = r"[A-Za-z0-9_][-A-Za-z0-9_.]*"
_TAIL = r"/+[^-/\s\x00-\x1f\x7f\\?#][^\s\x00-\x1f\x7f\\?#]*"
# Plain strings, compiled when first used: few processes look at an address.
_HTTP = rf"(?a:https?://{_HOST}{_TAIL})"
_SSH = rf"(?a:ssh://(?:{_USER}@)?{_HOST}{_TAIL})"
_SCP = rf"{_USER}@[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?:[^-\s\x00-\x1f\x7f\\:][^\s\x00-\x1f\x7f\\]*"
_FILE = rf"file://{_TAIL}"
_SCHEME = r"([A-Za-z][-A-Za-z0-9+.]*):"
_EMBEDDED = r"(?i:https?://[^/]*@|[a-z+]+://[^/@]*:[^/@]*@)"
MAX_BRANCH_BYTES = 200
DEFAULT_USER = "git"
"""Whom forges expect where nobody is named."""
_BAD_BRANCH = r"[\s\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(?:^|/)\.|\.(?:lock)?(?:/|\Z)|^[-/]|/\Z|^refs/"


def is_branch(text: str) -> bool:
    """Whether `text` can name a branch by Git's rules and cannot be taken for an option."""
    if text in {"", "@", "HEAD"} or len(text.encode(errors="replace")) > MAX_BRANCH_BYTES or not text.isprintable():
        return False
    return re.search(_BAD_BRANCH, text) is None


def _branch(text: str) -> str:
    if not is_branch(text):
        raise PydanticCustomError("invalid-branch", "is not the name of a branch")
    return text


def _tag(text: str) -> str:
    if not is_branch(text):
        raise PydanticCustomError("invalid-tag", "is not the name of a tag")
    return text


def _url(text: str) -> str:
    if re.match(_EMBEDDED, text):
        # The message does not repeat the URL: it holds a secret.
        raise PydanticCustomError(
            "url-with-credentials", "must not contain a user name or password", {"hint": "credentials"}
        )
    if any(re.fullmatch(shape, text) for shape in (_HTTP, _SSH, _SCP, _FILE)):
        return text
    scheme = re.match(_SCHEME, text)
    if scheme and scheme[1].lower() not in {"http", "https", "ssh", "file"}:
        raise PydanticCustomError("invalid-url", "uses a scheme that is not allowed")
    raise PydanticCustomError("invalid-url", "is not the address of a repository")


Branch = Annotated[Line, AfterValidator(_branch)]
Tag = Annotated[Line, AfterValidator(_tag)]
RepositoryUrl = Annotated[Line, AfterValidator(_url)]


class RepositoryCredentials(Model):
    """How to sign in: with a password (or token) for http and https, with a key for ssh."""

    username: Line | None = Field(None, description="The user name. Default: the URL's user, else git.")
    password: SecretRef | None = Field(None, description="A password or token.")
    ssh_key: SecretRef | None = Field(None, description="A private key without a passphrase.")


class SourceIdentity(StrEnum):
    """The evidence that tells who changed a source: a person who is counted too much only may not approve."""

    NAMED = "named"
    """The user whose key signed a commit; where none did, the users whose addresses it names."""
    SIGNED = "signed"
    COMMITTER = "committer"


class SignerRef(Model):
    """Somebody whose signature a source needs: exactly one of the keys."""

    user: Name | None = Field(None, description="A User by name.")
    group: Name | None = Field(None, description="A Group by name: every member of it.")

    @model_validator(mode="after")
    def _one(self) -> SignerRef:
        if len(self.model_fields_set) != 1 or None in (getattr(self, key) for key in self.model_fields_set):
            raise PydanticCustomError("invalid-subject", "must name one of user and group")
        return self

    def __str__(self) -> str:
        """Return `user:name` or `group:name`."""
        return f"user:{self.user}" if self.user is not None else f"group:{self.group}"


class Verify(Model):
    """Whose signature a revision needs before stacks follow it."""

    signers: Annotated[tuple[SignerRef, ...], AfterValidator(not_empty)] = Field(
        description="The newest commit of what is followed must be signed by one of these.",
        json_schema_extra={"minItems": 1},
    )


class RepositorySpec(SpecModel):
    """Where the repository is, which branch counts, how to sign in, and whose changes are followed."""

    url: RepositoryUrl = Field(description="The URL: https, http, ssh or file, or user@host:path.")
    branch: Branch = Field("main", description="The branch for stacks that name none.")
    credentials: RepositoryCredentials | None = Field(None, description="How to sign in. Default: without credentials.")
    accept_rewrite: CommitId | None = Field(
        None, description="Accept a rewritten history: a commit of the new history."
    )
    identity: SourceIdentity = Field(
        SourceIdentity.NAMED,
        description="How the authors of its commits are known: signed (who signed them), committer (whose address the "
        "committer's line has), or named (who signed them, else whose addresses author and committer have).",
    )
    verify: Verify | None = Field(None, description="Follow only revisions that one of these people signed.")

    def secrets(self) -> Iterator[tuple[Path, str, SecretRef]]:
        """Yield the secret with which to sign in."""
        given = self.credentials
        for key, secret in () if given is None else (("password", given.password), ("sshKey", given.ssh_key)):
            if secret is not None:
                yield ("credentials", key), key, secret

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield credentials that do not hold exactly one secret, or not one that the URL can use."""
        if list_at(mapping_at(raw, "verify"), "signers") == [] and "signers" in mapping_at(raw, "verify"):
            summary = "spec.verify.signers is empty"
            yield Problem(("verify", "signers"), "invalid-value", summary, "name at least one user or group")
        credentials = mapping_at(raw, "credentials")
        for key in ("password", "sshKey"):
            reference = credentials.get(key)
            if isinstance(reference, dict):
                words = f"spec.credentials.{key}"
                yield from secret_problems(("credentials", key), reference, words, of_run=False)
        if "credentials" not in raw or not isinstance(raw["credentials"], dict):
            return
        if ("password" in credentials) == ("sshKey" in credentials):
            yield Problem(("credentials",), "invalid-value", "spec.credentials must hold one of password and sshKey")
            return
        url = raw.get("url")
        if not isinstance(url, str):
            return
        wanted, shapes = ("sshKey", (_SSH, _SCP)) if "sshKey" in credentials else ("password", (_HTTP,))
        if not any(re.fullmatch(shape, url) for shape in shapes):
            hint = "a key is for ssh, a password for http and https"
            summary = f"spec.credentials.{wanted} does not fit the url"
            yield Problem(("credentials", wanted), "invalid-value", summary, hint, at_key=True)
