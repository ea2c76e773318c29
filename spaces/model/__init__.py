"""The kinds of documents, one module each; what is not listed in SPECS is not built yet and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from spaces.model.base import Metadata, Problem, SpecModel
from spaces.model.context import ContextSpec
from spaces.model.repository import RepositorySpec
from spaces.model.space import SpaceSpec
from spaces.model.stack import StackSpec
from spaces.names import Kind

Spec: TypeAlias = SpaceSpec | StackSpec | ContextSpec | RepositorySpec

SPECS: Mapping[Kind, type[SpaceSpec | StackSpec | ContextSpec | RepositorySpec]] = {
    Kind.SPACE: SpaceSpec,
    Kind.STACK: StackSpec,
    Kind.CONTEXT: ContextSpec,
    Kind.REPOSITORY: RepositorySpec,
}

__all__ = [
    "SPECS",
    "ContextSpec",
    "Metadata",
    "Problem",
    "RepositorySpec",
    "SpaceSpec",
    "Spec",
    "SpecModel",
    "StackSpec",
]
