"""Values that do not stand in the document itself: secrets, and files of the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from spaces.model.base import SOPS_SECRET, EnvName, FilePath, Flag, Model, Problem, SecretFile, Text, matching
from spaces.model.clouds import VAULT_SECRET
from spaces.model.sealed import MAX_SEALED, SEALED, flaw

SOURCES = ("file", "env", "sealed", "sops", "vault")
"""The keys of a secret reference, which has exactly one of them."""

OF_SERVICE = tuple(source for source in SOURCES if source != "vault")
"""Those that the service itself can read."""


class SecretRef(Model):
    """Where a secret comes from."""

    file: SecretFile | None = Field(None, description="The name of a file in the service's secrets directory.")
    env: EnvName | None = Field(None, description="A variable of the service that the setting env_allowed lists.")
    sealed: Annotated[str, matching(SEALED, MAX_SEALED)] | None = Field(
        None, description="The output of `station seal` for this place."
    )
    sops: Annotated[str, matching(SOPS_SECRET, 1500)] | None = Field(
        None,
        description="A value in a SOPS file of the repository, as path#key, relative to this document's file; keys "
        "below others follow with /, and without # it is the whole file.",
    )
    vault: Annotated[str, matching(VAULT_SECRET, 500)] | None = Field(
        None, description="A secret in Vault, as path#key, which a run of a stack with a vault integration reads."
    )

    @property
    def sops_file(self) -> str | None:
        """The path of the SOPS file as written; None for other secrets."""
        return None if self.sops is None else self.sops.partition("#")[0]

    def __str__(self) -> str:
        """Return where the value comes from, never the value."""
        if self.sops is not None:
            return f"{self.sops.removeprefix('/')} by SOPS"
        if self.vault is not None:
            return f"{self.vault} in Vault"
        if self.file is not None:
            return f"secret file {self.file}"
        return f"variable {self.env} of the service" if self.env is not None else "sealed here"


class FromSource(Model):
    """A file of the repository."""

    source: FilePath = Field(description="Its path, relative to this document's file; at most 2 MiB.")
    executable: Flag = Field(False, description="Whether the file may be run.")


class FromText(Model):
    """A file whose content stands here."""

    text: Text = Field(description="The content.")
    executable: Flag = Field(False, description="Whether the file may be run.")


def _shape(value: object) -> str:
    # The brackets keep these words out of the paths that people see.
    match value:
        case FromSource():
            return "[source]"
        case FromText():
            return "[written]"
        case SecretRef():
            return "[secret]"
        case dict():
            return "[source]" if "source" in value else "[written]" if "text" in value else "[secret]"
        case _:
            return "[text]"


EnvValue: TypeAlias = Annotated[
    Annotated[Text, Tag("[text]")] | Annotated[SecretRef, Tag("[secret]")],
    Discriminator(lambda value: "[secret]" if isinstance(value, dict | SecretRef) else "[text]"),
]
FileValue: TypeAlias = Annotated[
    Annotated[Text, Tag("[text]")]
    | Annotated[SecretRef, Tag("[secret]")]
    | Annotated[FromSource, Tag("[source]")]
    | Annotated[FromText, Tag("[written]")],
    Discriminator(_shape),
]


def secret_problems(
    path: tuple[str | int, ...], value: Mapping[str, Any], words: str, *, of_run: bool = True
) -> Iterator[Problem]:
    """Yield the problems of a mapping that should refer to one secret; `words` names its place for people.

    `of_run`: it is for runs, which alone have a token for Vault.
    """
    sources = SOURCES if of_run else OF_SERVICE
    if "vault" in value and not of_run:
        hint = f"name one of {', '.join(sources)}"
        yield Problem((*path, "vault"), "invalid-value", f"{words}.vault: only runs read from Vault", hint, at_key=True)
    elif len([key for key in sources if key in value]) != 1:
        yield Problem(path, "invalid-value", f"{words} must name one of {', '.join(sources)}")
    sealed = value.get("sealed")
    if isinstance(sealed, str) and (wrong := flaw(sealed)) is not None:
        hint = "seal the value again: station seal --space S --kind K --name N --key KEY"
        yield Problem((*path, "sealed"), "invalid-sealed", f"{words}.sealed {wrong}", hint)
