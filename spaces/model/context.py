"""The Context: configuration that several stacks share by naming it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from spaces.model.configuration import Configuration


class ContextSpec(Configuration):
    """Environment, files and hooks for every stack that names this context."""

    later: ClassVar[Mapping[str, str]] = {"attach": "attaching a context by labels"}
