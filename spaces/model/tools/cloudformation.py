"""CloudFormation's settings."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from spaces.model.base import DirectoryPath, Line, Text, shaped
from spaces.model.tool import ToolDescription, ToolSettings

StackName = Annotated[
    str, shaped(r"[A-Za-z][-A-Za-z0-9]{0,127}", "must be letters, digits and -, beginning with a letter, at most 128")
]
Region = Annotated[str, shaped(r"[a-z]{2}(-[a-z0-9]+)+-[0-9]", "is not a region such as eu-central-1")]
ParameterName = Annotated[str, shaped(r"[A-Za-z0-9]{1,255}", "must be letters and digits")]
Role = Annotated[str, shaped(r"arn:[a-z-]+:iam::[0-9]{12}:role/\S+", "is not the ARN of a role")]
Bucket = Annotated[str, shaped(r"[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]", "is not the name of a bucket")]
Endpoint = Annotated[str, shaped(r"https?://[^\s/@]+/?", "must be http(s)://host, without a path or a password")]


class Capability(StrEnum):
    """What a template may do that has to be agreed to."""

    IAM = "CAPABILITY_IAM"
    NAMED_IAM = "CAPABILITY_NAMED_IAM"
    AUTO_EXPAND = "CAPABILITY_AUTO_EXPAND"


class CloudFormationSettings(ToolSettings):
    """Settings of cloudformation."""

    stack_name: StackName = Field(description="The name of the CloudFormation stack.")
    region: Region = Field(description="The region, such as eu-central-1.")
    template: DirectoryPath = Field(description="The template's file, relative to the source's path.")
    parameters: dict[ParameterName, Text] = Field(
        default_factory=dict,
        description="Parameters of the template. An environment variable CF_PARAM_NAME sets NAME as well: for secrets, "
        "and for outputs of other stacks.",
    )
    capabilities: tuple[Capability, ...] = Field((), description="What the template may do beside making resources.")
    tags: dict[Line, Text] = Field(default_factory=dict, description="Tags of the stack and its resources.")
    role_arn: Role | None = Field(None, description="The role that CloudFormation itself uses.")
    bucket: Bucket | None = Field(None, description="The bucket for templates of more than 51,200 bytes.")
    endpoint_url: Endpoint | None = Field(None, description="Another address of the API, for tests and private links.")
    sensitive_outputs: tuple[ParameterName, ...] = Field((), description="Outputs whose values are secret.")


TOOL = ToolDescription("cloudformation", CloudFormationSettings, "Settings of cloudformation.")
