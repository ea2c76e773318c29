"""The CloudIntegration: a cloud, and the roles that runs take on there by a token that lives as long as they do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from spaces.model.base import (
    MOST_LABELS,
    TEXT,
    EnvName,
    Flag,
    LabelKey,
    LabelValue,
    Line,
    Model,
    Problem,
    SpecModel,
    mapping_at,
    matching,
    text_at,
)
from spaces.model.clouds import (
    CERTIFICATES,
    CLOUD_PROJECT,
    CLOUD_REGION,
    CLUSTER_ADDRESS,
    POLICY_ARN,
    ROLE_ARN,
    SERVICE_ACCOUNT,
    SUBJECT,
    UUID,
    VAULT_ADDRESS,
    VAULT_MOUNT,
    VAULT_ROLE,
    WORKLOAD_PROVIDER,
)
from spaces.model.configuration import AttachTo
from spaces.model.variables import VariableClass, classify_variable


class Provider(StrEnum):
    """The clouds, and what else takes tokens."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"
    OIDC = "oidc"
    VAULT = "vault"


class AssumedBy(StrEnum):
    """Who takes on the role of AWS."""

    RUN = "run"
    """The run itself, with its token."""
    SERVICE = "service"
    """The service, with its own identity in AWS; the run gets what it was given."""


KUBECONFIG = "KUBECONFIG"
MAX_POLICY = 2048
"""The longest session policy that AWS takes, in characters."""

AUDIENCES: Mapping[Provider, str] = {
    Provider.AWS: "sts.amazonaws.com",
    Provider.AZURE: "api://AzureADTokenExchange",
}
"""The audiences of tokens where the document names none."""

PLAN, APPLY = "plan", "apply"
"""The phases in a token: what may only look, and what may change the world."""

DEFAULT_SUBJECT = "space:{space}:stack:{stack}:kind:{kind}:phase:{phase}"
MAX_SUBJECT_BYTES = 127
"""The longest subject that Google Cloud takes."""

_LONGEST = (("proposed", PLAN), ("tracked", APPLY))
"""The kinds and phases with the longest words."""

_OWN = {
    Provider.AWS: ("region", "sessionTags", "assumedBy"),
    Provider.AZURE: ("tenantId", "subscriptionId"),
    Provider.GCP: ("project", "region"),
    Provider.OIDC: ("variable", "kubernetes"),
    Provider.VAULT: ("address", "mount"),
}
"""The keys of a spec that only some providers have."""

_REGIONS = {
    Provider.AWS: (re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+"), "such as eu-central-1"),
    Provider.GCP: (re.compile(r"[a-z]+-[a-z]+[0-9]+"), "such as europe-west3, without a zone"),
}
"""How regions look, and one of them: each of the two takes the other's for a host that does not exist."""

_ROLE = {
    Provider.AWS: "roleArn",
    Provider.AZURE: "clientId",
    Provider.GCP: "serviceAccount",
    Provider.VAULT: "role",
}
"""The key of `plan` and `apply` that each provider has."""


class CloudRole(Model):
    """The identity in the cloud: exactly the one key of the provider."""

    role_arn: Annotated[str, matching(ROLE_ARN, 2048)] | None = Field(None, description="aws: the ARN of an IAM role.")
    client_id: Annotated[str, matching(UUID)] | None = Field(
        None, description="azure: the client ID of an application or a managed identity."
    )
    service_account: Annotated[str, matching(SERVICE_ACCOUNT, 254)] | None = Field(
        None, description="gcp: the service account to impersonate, as name@project.iam.gserviceaccount.com."
    )

    role: Annotated[str, matching(VAULT_ROLE)] | None = Field(None, description="vault: a role of the auth method.")
    policy: Annotated[str, matching(TEXT, MAX_POLICY)] | None = Field(
        None,
        description="aws, assumedBy service: a session policy in JSON. The session can do what role and policy allow.",
    )
    policy_arns: tuple[Annotated[str, matching(POLICY_ARN, 2048)], ...] = Field(
        (), max_length=10, description="aws, assumedBy service: managed policies that limit the session likewise."
    )

    def __str__(self) -> str:
        """Return the one that is set."""
        return self.role_arn or self.client_id or self.service_account or self.role or ""


class Cluster(Model):
    """A Kubernetes API that takes the tokens."""

    server: Annotated[str, matching(CLUSTER_ADDRESS, 500)] = Field(
        description="The address of its API, as https://cluster.example.com:6443."
    )
    certificate_authority: Annotated[str, matching(CERTIFICATES, 64 * 1024)] | None = Field(
        None, description="The certificates that it is known by, in PEM. Default: those that the machine trusts."
    )


class UsableBy(Model):
    """Limits which stacks may use an integration."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=MOST_LABELS,
        description="Labels that a stack must have, all of them.",
    )


class CloudIntegrationSpec(SpecModel):
    """A cloud, and the identities that runs have there: one to plan, and one to apply."""

    later: ClassVar[Mapping[str, str]] = {}

    provider: Provider = Field(description="Who takes the tokens: aws, azure, gcp, vault, or anything else by oidc.")
    audience: Line | None = Field(
        None,
        description="The audience of the tokens. Default: sts.amazonaws.com for aws, api://AzureADTokenExchange for "
        "azure, the address for vault. For gcp the workload identity provider, as //iam.googleapis.com/projects/….",
    )
    subject: Annotated[str, matching(SUBJECT)] = Field(
        DEFAULT_SUBJECT,
        description="Whom the tokens are about. :stack:{stack}, :kind:{kind} and :phase:{phase} may be left out; "
        "{spacePath} in the place of {space} is the space's path from the root.",
    )
    plan: CloudRole | None = Field(
        None, description="The identity of plans: proposed runs, drift checks, and the plan of every other run."
    )
    apply: CloudRole | None = Field(None, description="The identity of applies. Default: that of plans.")
    region: Annotated[str, matching(CLOUD_REGION, 63)] | None = Field(None, description="aws, gcp: the region.")
    project: Annotated[str, matching(CLOUD_PROJECT, 100)] | None = Field(None, description="gcp: the project's id.")
    tenant_id: Annotated[str, matching(UUID)] | None = Field(None, description="azure: the id of the tenant.")
    subscription_id: Annotated[str, matching(UUID)] | None = Field(
        None, description="azure: the id of the subscription."
    )
    session_tags: Flag = Field(
        False,
        description="aws: give sessions the tags space, stack, kind and phase. The trust policy must allow "
        "sts:TagSession.",
    )
    address: Annotated[str, matching(VAULT_ADDRESS, 500)] | None = Field(
        None, description="vault: its address; https, or http on this machine."
    )
    mount: Annotated[str, matching(VAULT_MOUNT, 200)] = Field(
        "jwt", description="vault: where its JWT auth method is mounted."
    )
    assumed_by: AssumedBy = Field(
        AssumedBy.RUN,
        description="aws: run (with its token) or service (with the service's own identity in AWS, and the subject as "
        "external id; for an issuer that AWS cannot reach).",
    )
    variable: EnvName | None = Field(None, description="oidc: the variable that gets the path of the token's file.")
    kubernetes: Cluster | None = Field(
        None, description="oidc, in place of variable: a cluster; runs get a kubeconfig that names the token's file."
    )
    attach: AttachTo | None = Field(
        None, description="The stacks that use it without naming it, in its space and where that is inherited."
    )
    stacks: UsableBy | None = Field(
        None, description="Limits the stacks that may use it. Default: every stack that it flows to."
    )

    @property
    def aud(self) -> str:
        """The audience of the tokens."""
        return self.audience or AUDIENCES.get(self.provider) or self.address or ""

    @property
    def by_service(self) -> bool:
        """Whether the service takes on the role, so that runs need no token."""
        return self.assumed_by is AssumedBy.SERVICE

    @property
    def place(self) -> str:
        """What a stack can have only one of: a cloud, or a variable with a token."""
        variable = self.variable or KUBECONFIG
        return f"variable {variable}" if self.provider is Provider.OIDC else self.provider.value

    def identity(self, phase: str) -> CloudRole | None:
        """Return the identity in a phase; None where the token itself is all that the run has."""
        return self.apply if phase == APPLY and self.apply is not None else self.plan

    def role(self, phase: str) -> str:
        """Return the name of the identity in a phase; empty where there is none."""
        return str(self.identity(phase) or "")

    def allows(self, labels: Mapping[str, str]) -> bool:
        """Whether a stack with these labels may use it."""
        return self.stacks is None or self.stacks.match_labels.items() <= labels.items()

    def subject_of(self, space: str, path: str, stack: str, kind: str, phase: str) -> str:
        """Return the subject of a token; `path` leads to the space from the root, with slashes."""
        words = {"{space}": space, "{spacePath}": path, "{stack}": stack, "{kind}": kind, "{phase}": phase}
        return ":".join(words.get(part, part) for part in self.subject.split(":"))

    def longest_subject(self, space: str, path: str, stack: str) -> int:
        """Return how many bytes the longest subject of a stack's tokens has."""
        return max(len(self.subject_of(space, path, stack, kind, phase).encode()) for kind, phase in _LONGEST)

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield keys that the provider has no use for or lacks, and subjects that would not tell plan from apply."""
        for key in ("attach", "stacks"):
            if key in raw and raw[key] is None:
                hint = "write {} for every stack, or remove it"
                yield Problem((key,), "wrong-type", f"spec.{key} must be a mapping, is null", hint, at_key=True)
        word = text_at(raw, "provider")
        if word not in _OWN:
            return
        provider = Provider(word)
        yield from _foreign_keys(provider, raw)
        yield from _missing_keys(provider, raw)
        yield from _wrong_values(provider, raw)


def _foreign_keys(provider: Provider, raw: Mapping[str, Any]) -> Iterator[Problem]:
    for key in dict.fromkeys(key for keys in _OWN.values() for key in keys):
        if key in raw and key not in _OWN[provider]:
            others = " and ".join(other for other, keys in _OWN.items() if key in keys)
            summary = f"spec.{key} is for provider {others}; this integration's is {provider}"
            yield Problem((key,), "invalid-value", summary, "leave it out", at_key=True)
    for phase in (PLAN, APPLY):
        if provider is Provider.OIDC and phase in raw:
            hint = "leave it out: whoever takes the token tells phases apart by its subject"
            yield Problem((phase,), "invalid-value", f"spec.{phase} is not for provider oidc", hint, at_key=True)
            continue
        for key in _ROLE.values():
            if key in mapping_at(raw, phase) and key != _ROLE.get(provider):
                summary = f"spec.{phase}.{key} is not for provider {provider}"
                yield Problem((phase, key), "invalid-value", summary, f"write {_ROLE[provider]}", at_key=True)


def _missing_keys(provider: Provider, raw: Mapping[str, Any]) -> Iterator[Problem]:
    needed = {Provider.AZURE: ("tenantId",), Provider.GCP: ("audience",), Provider.OIDC: ("audience",)}
    needed[Provider.VAULT] = ("address",)
    if provider is Provider.OIDC and ("variable" in raw) == ("kubernetes" in raw):
        summary = "spec must have one of variable and kubernetes: provider oidc needs it"
        yield Problem((), "missing-key", summary, at_key=True)
    for key in needed.get(provider, ()):
        if raw.get(key) is None:
            yield Problem((), "missing-key", f"spec.{key} is missing: provider {provider} needs it", at_key=True)
    if provider in {Provider.AWS, Provider.AZURE, Provider.VAULT} and raw.get(PLAN) is None:
        hint = f"it needs {PLAN}.{_ROLE[provider]}"
        yield Problem((), "missing-key", f"spec.{PLAN} is missing: provider {provider} needs it", hint, at_key=True)
    for phase in (PLAN, APPLY):
        role = raw.get(phase)
        if isinstance(role, dict) and provider in _ROLE and role.get(_ROLE[provider]) is None:
            summary = f"spec.{phase}.{_ROLE[provider]} is missing"
            yield Problem((phase,), "missing-key", summary, at_key=True)


def _wrong_values(provider: Provider, raw: Mapping[str, Any]) -> Iterator[Problem]:
    subject = raw.get("subject", DEFAULT_SUBJECT)
    plan, apply = mapping_at(raw, PLAN), mapping_at(raw, APPLY)
    if apply and apply != plan and isinstance(subject, str) and "{phase}" not in subject:
        summary = "spec.subject has no {phase}: a plan's token would open the identity of applies"
        yield Problem(("subject",), "invalid-value", summary, "add :phase:{phase} at its end")
    yield from _session_policies(raw)
    audience = text_at(raw, "audience")
    if provider is Provider.GCP and audience is not None and not WORKLOAD_PROVIDER.fullmatch(audience):
        summary = "spec.audience is not the name of a workload identity provider"
        hint = "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
        yield Problem(("audience",), "invalid-value", summary, hint)
    region = text_at(raw, "region")
    if region is not None and provider in _REGIONS and re.search(CLOUD_REGION, region):
        shape, example = _REGIONS[provider]
        if not shape.fullmatch(region):
            yield Problem(("region",), "invalid-value", f"spec.region is not a region of {provider}", example)
    variable = text_at(raw, "variable")
    if variable is not None and classify_variable(variable) is not VariableClass.PLAIN:
        summary = f"spec.variable: {variable[:80]} may not be set by an integration"
        yield Problem(("variable",), "env-not-allowed", summary, "choose another variable")


def _session_policies(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield session policies that nobody would hand to AWS, or that are none."""
    for phase in (PLAN, APPLY):
        role = mapping_at(raw, phase)
        for key in ("policy", "policyArns"):
            if key in role and raw.get("assumedBy") != AssumedBy.SERVICE:
                summary = f"spec.{phase}.{key} is for assumedBy: service; runs take on a role by themselves without it"
                hint = "give the role itself fewer rights"
                yield Problem((phase, key), "invalid-value", summary, hint, at_key=True)
        policy = role.get("policy")
        if isinstance(policy, str) and not _is_object(policy):
            summary = f"spec.{phase}.policy is no JSON object"
            yield Problem((phase, "policy"), "invalid-value", summary, 'as {"Version": "2012-10-17", "Statement": […]}')


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
