"""Kubernetes' settings: where the manifests come from, and how they are applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from spaces.model.base import MOVED_FROM, Flag, Line, Model, Name, PathBeside, Problem, mapping_at, matching, text_at
from spaces.model.durations import DURATION, parse_duration
from spaces.model.tool import ToolDescription, ToolSettings

PROTECTED = ("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim")
"""Kinds whose objects take other things along when they go."""

_SCHEMES = ("https://", "http://", "oci://")


def _wait(value: object) -> int:
    if value is False:
        return 0
    try:
        return parse_duration(value if isinstance(value, str) else "")
    except ValueError as wrong:
        raise PydanticCustomError("invalid-duration", "{why}, or false", {"why": str(wrong)}) from None


Wait = Annotated[
    int,
    BeforeValidator(_wait),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION, "minLength": 2}, {"const": False}]}),
]
"""Seconds, 0 for not at all."""


class HelmChart(Model):
    """A chart that `helm template` renders. Its hooks are not run."""

    chart: PathBeside = Field(
        description="The chart's directory or archive, relative to the source's path; in a repository, its name."
    )
    repository: Line | None = Field(None, description="Where the chart comes from, as https:// or oci:// address.")
    version: Line | None = Field(None, description="The version, or a range of versions, of a repository's chart.")
    release: Name | None = Field(None, description="The name of the release. Default: the stack's name.")
    values: dict[str, Any] = Field(default_factory=dict, description="Values, over those of the files.")
    value_files: tuple[PathBeside, ...] = Field(
        (), description="Files of values, relative to the source's path; of two, the later one holds."
    )


class KubernetesSettings(ToolSettings):
    """Settings of kubernetes. Without helm and kustomize, every manifest below the source's path is applied."""

    namespace: Name | None = Field(
        None, description="Where objects go that name no namespace, and the inventory. Default: the kubeconfig's."
    )
    context: Line | None = Field(None, description="The kubeconfig's context. Default: its current one.")
    kustomize: Flag | None = Field(
        None, description="Whether kustomize renders the source. Default: where there is a kustomization file."
    )
    helm: HelmChart | None = Field(None, description="The chart that renders the source.")
    prune: Flag = Field(True, description="false: objects that left the source stay until the stack is destroyed.")
    protected: tuple[Line, ...] = Field(
        PROTECTED,
        description="Kinds, as Kind or Kind.group, of which only objects that the stack itself made are ever deleted.",
    )
    wait: Wait | None = Field(
        None, description="How long objects may take to become ready, as 90s; false: not waited for. Default: 5m."
    )
    force_conflicts: Flag = Field(False, description="true: take fields over that somebody else manages.")
    inventory: Annotated[str, matching(MOVED_FROM)] | None = Field(
        None,
        description="For a stack that was moved: where it was, as space/name, since the inventory keeps that name.",
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield ways to render that exclude each other, and settings of a chart that do not fit together."""
        if "helm" not in raw:
            return
        if raw.get("kustomize") is True:
            summary = "spec.kubernetes has both helm and kustomize"
            yield Problem(("kustomize",), "invalid-value", summary, "leave one of them out", True)
        helm = mapping_at(raw, "helm")
        repository = text_at(helm, "repository")
        if repository is None and "version" in helm:
            hint = "leave it out: the version of a chart in the source is the one that is there"
            summary = "spec.kubernetes.helm.version needs a repository"
            yield Problem(("helm", "version"), "invalid-value", summary, hint, True)
        if repository is not None and not repository.startswith(_SCHEMES):
            summary = "spec.kubernetes.helm.repository is not an address"
            yield Problem(("helm", "repository"), "invalid-value", summary, "write it with https:// or oci://")


TOOL = ToolDescription("kubernetes", KubernetesSettings, "Settings of kubernetes.")
