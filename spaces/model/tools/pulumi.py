"""Pulumi's settings."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from spaces.model.base import Line, Text
from spaces.model.tool import ToolDescription, ToolSettings

_STACK = re.compile(r"([A-Za-z0-9_.-]+/){0,2}[A-Za-z0-9_.-]{1,100}")
_KEY = re.compile(r"([A-Za-z0-9_.-]+:)?[A-Za-z0-9_.-]+")
_BACKEND = re.compile(r"(file|s3|azblob|gs|https)://[^\s@]*")
_PROVIDER = re.compile(r"(passphrase|default|(awskms|azurekeyvault|gcpkms|hashivault)://\S+)")


def _shaped(pattern: re.Pattern[str], words: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise PydanticCustomError("invalid-value", "{words}", {"words": words})
        return value

    return AfterValidator(check)


StackName = Annotated[str, _shaped(_STACK, "is not the name of a Pulumi stack")]
ConfigKey = Annotated[str, _shaped(_KEY, "is not a key of Pulumi's configuration, such as region or aws:region")]
Backend = Annotated[Line, _shaped(_BACKEND, "must begin with file://, s3://, azblob://, gs:// or https://")]
Provider = Annotated[
    Line, _shaped(_PROVIDER, "must be passphrase, or awskms://, azurekeyvault://, gcpkms://, hashivault://")
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
