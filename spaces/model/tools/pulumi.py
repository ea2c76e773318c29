"""Pulumi's settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spaces.model.base import Line, Text, shaped
from spaces.model.tool import ToolDescription, ToolSettings

_STACK = r"([A-Za-z0-9_.-]+/){0,2}[A-Za-z0-9_.-]{1,100}"
_KEY = r"([A-Za-z0-9_.-]+:)?[A-Za-z0-9_.-]+"
_BACKEND = r"(file|s3|azblob|gs|https)://[^\s@]*"
_PROVIDER = r"(passphrase|default|(awskms|azurekeyvault|gcpkms|hashivault)://\S+)"

StackName = Annotated[str, shaped(_STACK, "is not the name of a Pulumi stack")]
ConfigKey = Annotated[str, shaped(_KEY, "is not a key of Pulumi's configuration, such as region or aws:region")]
Backend = Annotated[Line, shaped(_BACKEND, "must begin with file://, s3://, azblob://, gs:// or https://")]
Provider = Annotated[
    Line, shaped(_PROVIDER, "must be passphrase, or awskms://, azurekeyvault://, gcpkms://, hashivault://")
]


class PulumiSettings(ToolSettings):
    """Settings of pulumi."""

    stack: StackName = Field(description="The Pulumi stack, made if there is none.")
    config: dict[ConfigKey, Text] = Field(
        default_factory=dict, description="Configuration of the program, in clear. Secrets belong into spec.env."
    )
    secrets_provider: Provider | None = Field(
        None, description="What encrypts the secrets of a new stack. Default: a passphrase."
    )
    backend: Backend | None = Field(
        None, description="Where Pulumi keeps the stack's state. Default: the service keeps it."
    )


TOOL = ToolDescription("pulumi", PulumiSettings, "Settings of pulumi.")
