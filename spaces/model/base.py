"""The parts that the models of all kinds share: base classes, constrained types, and problems as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from spaces.model.clouds import (
    CERTIFICATES,
    CLOUD_PROJECT,
    CLOUD_REGION,
    CLUSTER_ADDRESS,
    ISSUER,
    POLICY_ARN,
    ROLE_ARN,
    SERVICE_ACCOUNT,
    SUBJECT,
    UUID,
    VAULT_ADDRESS,
    VAULT_MOUNT,
    VAULT_ROLE,
    VAULT_SECRET,
)
from spaces.model.sealed import SEALED
from spaces.model.variables import ENV_NAME
from spaces.names import NAME_PATTERN

if TYPE_CHECKING:
    from spaces.model.secrets import SecretRef

Path: TypeAlias = tuple[str | int, ...]
Item = TypeVar("Item")


class Problem(NamedTuple):
    """Something wrong inside one document. `at_key` points at the key of `path` instead of its value."""

    path: Path
    code: str
    summary: str
    hint: str | None = None
    at_key: bool = False
    within: tuple[int, int] | None = None
    """For an expression in a text: its number in the text, and the offset in its source."""


class Model(BaseModel):
    """A part of a document: immutable, camelCase in YAML, snake_case in Python, without unknown keys.

    `later` maps the keys that are known but not supported yet to a few words about each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)
    later: ClassVar[Mapping[str, str]] = {}


class SpecModel(Model):
    """The `spec` of one kind."""

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems of `raw`, a spec as written, that its types cannot find; paths begin below `spec`."""
        _ = raw
        return iter(())

    def secrets(self) -> Iterable[tuple[Path, str, SecretRef]]:
        """Return the secrets of the document itself: path below `spec`, the key that each is sealed for, and whence."""
        return ()

    def attachments(self) -> Iterable[tuple[Path, str]]:
        """Return the files of the repository that this refers to: (path below `spec`, name).

        A name is relative to the document's own file.
        """
        for path, _, secret in self.secrets():
            if secret.sops_file is not None:
                yield (*path, "sops"), secret.sops_file


class Words(NamedTuple):
    """The message for a violated pattern: "<path> <rule>"."""

    code: str
    rule: str
    hint: str | None = None


_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_ANY = rf"[^/\\{_CONTROL}]"
_NOT_DOT = rf"[^./\\{_CONTROL}]"
# One component of a path: anything except "..", and as a file's last component also not ".".
_FILE_PART = rf"(?:{_NOT_DOT}{_ANY}*|\.{_NOT_DOT}{_ANY}*|\.\.{_ANY}+)"
_PART = rf"(?:{_FILE_PART}|\.)"

NAME = rf"^{NAME_PATTERN}$"
QUALIFIED_NAME = rf"^({NAME_PATTERN}/)?{NAME_PATTERN}$"
MOVED_FROM = rf"^{NAME_PATTERN}/{NAME_PATTERN}$"
LABEL_KEY = r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
OUTPUT_NAME = r"^[A-Za-z_][-A-Za-z0-9_.]*$"
DIRECTORY = rf"^{_PART}(/{_PART})*/?$"
BESIDE = rf"^(\.\./)*{_PART}(/{_PART})*/?$"
FILE = rf"^({_PART}/)*{_FILE_PART}$"
TEXT = r"^[^\x00]*$"
COMMAND = r"^[^\x00]*[^\x00\s][^\x00]*$"
LINE = rf"^[^{_CONTROL}]+$"
SOPS_SECRET = rf"^/?({_PART}/)*{_FILE_PART}$"
"""A path, and after # the keys that lead to a value. One from the top of the repository, with / first, is only made."""
PLAIN_FILE = r"^[A-Za-z0-9_][-A-Za-z0-9_.]{0,251}$"

REVISION = r"^[0-9a-f]{40}$"
"""Git's newer ids of 64 digits are read by no library that is used here."""

IMAGE = r"^[a-z0-9][-A-Za-z0-9_.:/@]*$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?([EPTGMk]i?|Ki|m)?$"
WORKSPACE = r"^[A-Za-z0-9_][-A-Za-z0-9_.]{0,89}$"

NAME_HINT = "lower-case letters, digits and inner dashes, at most 63 characters"
_PATH_HINT = "write it with /, relative to this file or repository, without any .. part"

VERSION = r"^[A-Za-z0-9]([-A-Za-z0-9_.+]{0,61}[A-Za-z0-9])?$"
INPUT_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"

WORDS: Mapping[str, Words] = {
    VERSION: Words("invalid-version", "is not a version", "letters, digits and inner -_.+, at most 63 characters"),
    INPUT_NAME: Words("invalid-name", "is not an input's name", "letters, digits and _, not beginning with a digit"),
    NAME: Words("invalid-name", "is not a name", NAME_HINT),
    IMAGE: Words("invalid-image", "is not an image's name", "write it as in registry.example.com/station:1.4"),
    QUANTITY: Words("invalid-quantity", "is not a quantity", "write it as text, such as 500m, 2 or 1Gi"),
    QUALIFIED_NAME: Words("invalid-name", "is neither a name nor space/name", NAME_HINT),
    MOVED_FROM: Words("invalid-name", "must be written as old-space/old-name", NAME_HINT),
    LABEL_KEY: Words("invalid-label", "is not a label's key", "letters, digits and inner -_./, at most 63 characters"),
    LABEL_VALUE: Words(
        "invalid-label", "is not a label's value", "letters, digits and inner -_., at most 63 characters"
    ),
    WORKSPACE: Words(
        "invalid-name", "is not the name of a workspace", "letters, digits and -_., at most 90 characters"
    ),
    ENV_NAME: Words(
        "invalid-env-name",
        "is not a variable's name",
        "letters, digits and _, not beginning with a digit; after TF_VAR_ also -",
    ),
    OUTPUT_NAME: Words(
        "invalid-output-name", "is not the name of an output", "letters, digits and -_., not beginning with a digit"
    ),
    DIRECTORY: Words("invalid-path", "is not a relative path", _PATH_HINT),
    BESIDE: Words("invalid-path", "is not a relative path", "write it with /, and with .. only at its beginning"),
    FILE: Words("invalid-path", "is not a relative path of a file", _PATH_HINT),
    TEXT: Words("invalid-value", "must not hold a NUL character"),
    COMMAND: Words("invalid-value", "must be a shell command: not blank, without a NUL character"),
    REVISION: Words("invalid-revision", "is not a whole commit id", "all 40 digits, as git rev-parse prints them"),
    LINE: Words("invalid-value", "must be one line of text, not empty"),
    ROLE_ARN: Words("invalid-role", "is not the ARN of an IAM role", "arn:aws:iam::ACCOUNT:role/NAME"),
    POLICY_ARN: Words("invalid-value", "is not the ARN of a managed policy", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
    CLUSTER_ADDRESS: Words(
        "invalid-url", "is not the address of a Kubernetes API", "https://…, without a slash at its end"
    ),
    CERTIFICATES: Words("invalid-value", "is not a list of certificates in PEM", "-----BEGIN CERTIFICATE-----…"),
    UUID: Words("invalid-id", "is not an id of Azure", "eight, four, four, four and twelve hexadecimal digits"),
    SERVICE_ACCOUNT: Words(
        "invalid-role", "is not a service account", "its address, as name@project.iam.gserviceaccount.com"
    ),
    CLOUD_REGION: Words("invalid-value", "is not a region", "such as eu-central-1 or europe-west3"),
    CLOUD_PROJECT: Words("invalid-value", "is not a project's id", "the id, not the name that people see"),
    SUBJECT: Words(
        "invalid-subject",
        "is not the template of a subject",
        "space:{space}, then any of :stack:{stack}, :kind:{kind} and :phase:{phase}, in this order",
    ),
    ISSUER: Words("invalid-url", "is not the URL of an issuer", "https://…, exactly as tokens have it in their iss"),
    VAULT_ADDRESS: Words("invalid-url", "is not the address of a Vault", "https://…, without a slash at its end"),
    VAULT_MOUNT: Words("invalid-path", "is not where an auth method is mounted", "such as jwt, without auth/"),
    VAULT_ROLE: Words("invalid-role", "is not the name of a role in Vault", "letters, digits and -_."),
    VAULT_SECRET: Words("invalid-path", "is not a secret in Vault", "its path and key, as in secret/data/app#password"),
    SOPS_SECRET: Words(
        "invalid-path", "is not a secret in a SOPS file", "its path and keys, as in secrets.yaml#database/password"
    ),
    SEALED: Words("invalid-sealed", "is not what station seal prints"),
    PLAIN_FILE: Words("invalid-secret-name", "is not the name of a file in the secrets directory", "no / in it"),
}


def matching(pattern: str, most: int | None = None) -> Any:
    """Return the constraint of a str to `pattern` (a key of WORDS) and a greatest length."""
    return StringConstraints(pattern=pattern, max_length=most)


def shaped(pattern: str, words: str) -> AfterValidator:
    """Return the constraint of a str to a pattern that only one setting has; `words` follow the path in the message.

    The pattern is not part of the JSON Schema.
    """
    shape = re.compile(pattern)

    def check(value: str) -> str:
        if not shape.fullmatch(value):
            raise PydanticCustomError("invalid-value", "{words}", {"words": words})
        return value

    return AfterValidator(check)


Name = Annotated[str, matching(NAME)]
QualifiedName = Annotated[str, matching(QUALIFIED_NAME)]
LabelKey = Annotated[str, matching(LABEL_KEY)]
LabelValue = Annotated[str, matching(LABEL_VALUE)]
EnvName = Annotated[str, matching(ENV_NAME, 255)]
OutputName = Annotated[str, matching(OUTPUT_NAME, 255)]
DirectoryPath = Annotated[str, matching(DIRECTORY, 1024)]
PathBeside = Annotated[str, matching(BESIDE, 1024)]
"""A path that may also lead to a directory beside, which the stack's `include` has to name."""
FilePath = Annotated[str, matching(FILE, 1024)]
Text = Annotated[str, matching(TEXT)]
Command = Annotated[str, matching(COMMAND)]
Line = Annotated[str, matching(LINE, 1024)]
CommitId = Annotated[str, matching(REVISION)]
SecretFile = Annotated[str, matching(PLAIN_FILE)]
MOST_LABELS = 100
MOST_ITEMS = 1000
"""Entries of a list or mapping that goes into a stack's run: what is admitted must also fit into every answer."""
Flag = StrictBool
Number = StrictInt


class Metadata(Model):
    """The name of a document, and where it belongs."""

    name: Name = Field(description="Unique per kind within its space; a space's name is unique in the installation.")
    space: Name | None = Field(None, description="The space it belongs to; left out: the directory's space.")
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, max_length=MOST_LABELS, description="Free key/value pairs to select by."
    )
    description: Annotated[str, matching(TEXT, 4096)] | None = Field(None, description="A description for people.")
    moved_from: Annotated[str, matching(MOVED_FROM)] | None = Field(
        None, description="A stack's old place, as old-space/old-name: its applied state and history go along."
    )


def not_empty(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the values; refuse an empty list.

    It runs after the items are checked, because the problem of an item is the more useful message.
    """
    if not values:
        raise PydanticCustomError("empty-list", "is empty")
    return values


def mapping_at(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping under `key`, or an empty one for any other value, which the types complain about."""
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def list_at(raw: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list under `key`, or an empty one for any other value."""
    value = raw.get(key)
    return value if isinstance(value, list) else []


def text_at(raw: Mapping[str, Any], key: str) -> str | None:
    """Return the text under `key`, or None for any other value."""
    value = raw.get(key)
    return value if isinstance(value, str) else None
