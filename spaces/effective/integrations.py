"""What a run gets of its cloud integrations: variables, and files that only the run itself can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from spaces.model.integration import APPLY, KUBECONFIG, PLAN, CloudIntegrationSpec, Provider
from spaces.names import ResourceRef


@dataclass(frozen=True, slots=True)
class ByPhase:
    """A value that is another one in the plan than in the apply."""

    plan: str
    apply: str

    def __str__(self) -> str:
        """Return both in words."""
        return f"plan: {self.plan}; apply: {self.apply}"

    def in_phase(self, phase: str) -> str:
        """Return the value in a phase."""
        return self.apply if phase == APPLY else self.plan


@dataclass(frozen=True, slots=True)
class IdentityFile:
    """The path of a file of the run's own, in the place of the same name in every run."""

    name: str

    def __str__(self) -> str:
        """Return it in words."""
        return f"file {self.name} of the run"


@dataclass(frozen=True, slots=True)
class RunName:
    """The id of the run."""

    def __str__(self) -> str:
        """Return it in words."""
        return "id of the run"


OfRun: TypeAlias = ByPhase | IdentityFile | RunName
"""A value that only the run itself knows."""


@dataclass(frozen=True, slots=True)
class UsedIntegration:
    """An integration that a stack uses. `labels` are those by which it attached itself; None: the stack names it."""

    ref: ResourceRef
    spec: CloudIntegrationSpec
    labels: Mapping[str, str] | None

    def __str__(self) -> str:
        """Return why the stack uses it."""
        if self.labels is None:
            return "named"
        pairs = ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        return f"attached by labels {pairs}" if pairs else "attached to every stack"

    @property
    def token_file(self) -> str:
        """The name of the file with the token, or with the credentials that the service got."""
        spec = self.spec
        if spec.by_service:
            return AWS_KEYS_FILE
        if spec.kubernetes is not None:
            return "kubernetes.token"
        return f"{spec.variable}.token" if spec.provider is Provider.OIDC else f"{spec.provider}.token"


AWS_FILE = "aws.config"
"""The name of the file that tells AWS's libraries where the credentials are, and to read them anew once they die."""

AWS_KEYS_FILE = "aws-keys.token"

GOOGLE_FILE = "gcp.json"
"""The name of the file that tells Google's libraries where the token is, and what to do with it."""

KUBE_FILE = "kubeconfig.json"
"""The name of the file that tells kubectl, and what reads the same, where the cluster is and where the token."""

STATIC = {
    Provider.AWS: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    Provider.AZURE: (
        *("ARM_CLIENT_SECRET", "ARM_CLIENT_CERTIFICATE", "ARM_CLIENT_CERTIFICATE_PATH", "ARM_OIDC_TOKEN"),
        *("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_PASSWORD"),
    ),
    Provider.GCP: (
        *("GOOGLE_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        *("GOOGLE_CLOUD_KEYFILE_JSON", "GCLOUD_KEYFILE_JSON", "GOOGLE_BACKEND_CREDENTIALS"),
    ),
}
"""Variables with credentials that the libraries of a cloud take before they look for a token."""


def variables(used: UsedIntegration) -> dict[str, str | OfRun]:
    """Return the variables that an integration sets."""
    spec, token = used.spec, IdentityFile(used.token_file)
    plan, apply = spec.role(PLAN), spec.role(APPLY)
    role = plan if plan == apply else ByPhase(plan, apply)
    found: dict[str, str | OfRun | None]
    match spec.provider:
        case Provider.AWS if spec.by_service:
            found = {
                "AWS_CONFIG_FILE": IdentityFile(AWS_FILE),
                "AWS_SDK_LOAD_CONFIG": "1",
                "AWS_REGION": spec.region,
                "AWS_DEFAULT_REGION": spec.region,
            }
        case Provider.AWS:
            found = {
                "AWS_ROLE_ARN": role,
                "AWS_WEB_IDENTITY_TOKEN_FILE": token,
                "AWS_ROLE_SESSION_NAME": RunName(),
                "AWS_REGION": spec.region,
                "AWS_DEFAULT_REGION": spec.region,
            }
        case Provider.AZURE:
            found = {
                "ARM_USE_OIDC": "true",
                "ARM_OIDC_TOKEN_FILE_PATH": token,
                "ARM_CLIENT_ID": role,
                "ARM_TENANT_ID": spec.tenant_id,
                "ARM_SUBSCRIPTION_ID": spec.subscription_id,
                "AZURE_FEDERATED_TOKEN_FILE": token,
                "AZURE_CLIENT_ID": role,
                "AZURE_TENANT_ID": spec.tenant_id,
                "AZURE_SUBSCRIPTION_ID": spec.subscription_id,
            }
        case Provider.GCP:
            file = IdentityFile(GOOGLE_FILE)
            found = {
                "GOOGLE_APPLICATION_CREDENTIALS": file,
                "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": file,
                "GOOGLE_PROJECT": spec.project,
                "GOOGLE_CLOUD_PROJECT": spec.project,
                "CLOUDSDK_CORE_PROJECT": spec.project,
                "GOOGLE_REGION": spec.region,
            }
        case Provider.OIDC if spec.kubernetes is not None:
            found = dict.fromkeys((KUBECONFIG, "KUBE_CONFIG_PATH", "K8S_AUTH_KUBECONFIG"), IdentityFile(KUBE_FILE))
        case Provider.OIDC:
            found = {spec.variable or "": token}
        case Provider.VAULT:
            found = {"VAULT_ADDR": spec.address}
    return {name: value for name, value in found.items() if value is not None}
