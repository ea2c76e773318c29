"""Ansible's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from spaces.model.base import DirectoryPath, Line, Model, Number, Problem, Text, mapping_at, shaped
from spaces.model.secrets import SOURCES, SecretRef, secret_problems
from spaces.model.tool import ToolDescription, ToolSettings


class InlineInventory(Model):
    """An inventory that stands in the document."""

    text: Text = Field(description="The inventory, as INI or YAML.")


def _form(value: object) -> str:
    # The brackets keep these words out of the paths that people see.
    if isinstance(value, list | tuple):
        return "[list]"
    return _form_of_one(value)


def _form_of_one(value: object) -> str:
    return "[text]" if isinstance(value, dict | InlineInventory) else "[path]"


_Path: TypeAlias = Annotated[DirectoryPath, Tag("[path]")]
_Inline: TypeAlias = Annotated[InlineInventory, Tag("[text]")]
OneInventory: TypeAlias = Annotated[_Path | _Inline, Discriminator(_form_of_one)]
Inventory: TypeAlias = Annotated[
    _Path | _Inline | Annotated[tuple[OneInventory, ...], Tag("[list]")], Discriminator(_form)
]


def _is_secret(value: object) -> bool:
    """Whether a variable's value is a reference to a secret: a mapping of one such key to a text, and nothing else."""
    match value:
        case SecretRef():
            return True
        case dict() if len(value) == 1:
            ((key, source),) = value.items()
            return key in SOURCES and isinstance(source, str)
        case _:
            return False


ExtraVariable: TypeAlias = Annotated[
    Annotated[SecretRef, Tag("[secret]")] | Annotated[Any, Tag("[value]")],
    Discriminator(lambda value: "[secret]" if _is_secret(value) else "[value]"),
    # A secret is a value like any other to an editor.
    WithJsonSchema({}),
]
VariableName = Annotated[
    str, shaped(r"[A-Za-z_][A-Za-z0-9_]{0,254}", "is not a variable's name: letters, digits and _, no digit first")
]
VaultId = Annotated[str, shaped(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,62}", "is not a vault id: letters, digits and -_.")]
TagName = Annotated[Line, shaped(r"[^,]+", "must be one tag, without a comma")]


class AnsibleSettings(ToolSettings):
    """Settings of ansible. Paths are relative to the source's path."""

    playbook: DirectoryPath = Field(description="The playbook to run.")
    inventory: Inventory | None = Field(
        None,
        description="The inventory, or a list of several: a file, a directory, a program, or `{text: …}`. "
        "Default: ansible's own.",
    )
    requirements: DirectoryPath | None = Field(
        None, description="The file with the collections and roles that ansible-galaxy installs before the plan."
    )
    extra_vars: dict[VariableName, ExtraVariable] = Field(
        default_factory=dict, description="Variables that come before all others: any value, or a secret."
    )
    limit: Line | None = Field(None, description="A pattern of the hosts to run on.")
    tags: tuple[TagName, ...] = Field((), description="Run only tasks with one of these tags.")
    skip_tags: tuple[TagName, ...] = Field((), description="Leave out tasks with one of these tags.")
    forks: Number | None = Field(None, description="How many hosts it works on at a time.", ge=1, le=1000)
    vault_passwords: dict[VaultId, SecretRef] = Field(
        default_factory=dict, description="The passwords of vaults, by vault id; `default` for vaults without an id."
    )
    private_key: SecretRef | None = Field(None, description="The private key for SSH, without a passphrase.")
    known_hosts: Text | None = Field(None, description="The host keys to trust, as lines of a known_hosts file.")

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield references that do not name exactly one secret."""
        for vault, value in mapping_at(raw, "vaultPasswords").items():
            if isinstance(value, dict):
                words = f"spec.ansible.vaultPasswords.{str(vault)[:63]}"
                yield from secret_problems(("vaultPasswords", vault), value, words)
        if "privateKey" in raw and isinstance(raw["privateKey"], dict):
            yield from secret_problems(("privateKey",), raw["privateKey"], "spec.ansible.privateKey")
        for name, value in mapping_at(raw, "extraVars").items():
            if _is_secret(value):
                yield from secret_problems(("extraVars", name), value, f"spec.ansible.extraVars.{str(name)[:80]}")


TOOL = ToolDescription("ansible", AnsibleSettings, "Settings of ansible.", destroys=False)
