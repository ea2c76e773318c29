"""The kinds of documents, each with the model of its spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from spaces.model.blueprint import BlueprintInstanceSpec, BlueprintSpec
from spaces.model.configuration import ContextSpec
from spaces.model.integration import CloudIntegrationSpec
from spaces.model.notifier import NotifierSpec
from spaces.model.people import ApiKeySpec, GroupSpec, UserSpec
from spaces.model.policy import PolicySpec
from spaces.model.pool import WorkerPoolSpec
from spaces.model.repository import RepositorySpec
from spaces.model.role import ACCESS_SPECS, RoleBindingSpec, RoleSpec
from spaces.model.space import SpaceSpec
from spaces.model.stack import StackSpec
from spaces.names import Kind

Spec: TypeAlias = (
    SpaceSpec
    | StackSpec
    | ContextSpec
    | BlueprintSpec
    | BlueprintInstanceSpec
    | RepositorySpec
    | PolicySpec
    | CloudIntegrationSpec
    | WorkerPoolSpec
    | NotifierSpec
    | RoleSpec
    | RoleBindingSpec
    | UserSpec
    | GroupSpec
    | ApiKeySpec
)

SPECS: Mapping[Kind, type[Spec]] = {
    Kind.SPACE: SpaceSpec,
    Kind.STACK: StackSpec,
    Kind.CONTEXT: ContextSpec,
    Kind.BLUEPRINT: BlueprintSpec,
    Kind.BLUEPRINT_INSTANCE: BlueprintInstanceSpec,
    Kind.REPOSITORY: RepositorySpec,
    Kind.POLICY: PolicySpec,
    Kind.CLOUD_INTEGRATION: CloudIntegrationSpec,
    Kind.WORKER_POOL: WorkerPoolSpec,
    Kind.NOTIFIER: NotifierSpec,
    **ACCESS_SPECS,
}
