"""How a tool describes itself to the configuration: its name, and the settings under its own key in a Stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spaces.model.base import Model, Problem
from spaces.model.secrets import SecretRef


class ToolSettings(Model):
    """The settings of one tool, under its own key in a Stack's `spec`."""

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems of `raw`, the settings as written, that their types cannot find; paths begin below it."""
        _ = raw
        return iter(())

    def secrets(self) -> Iterator[tuple[tuple[str, ...], SecretRef]]:
        """Yield the references to secrets, each with its path in the keys of the document."""
        for name, field in type(self).model_fields.items():
            key, value = field.alias or name, getattr(self, name)
            if isinstance(value, SecretRef):
                yield (key,), value
            elif isinstance(value, Mapping):
                yield from (((key, inner), it) for inner, it in value.items() if isinstance(it, SecretRef))

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """Return the keys without which a stack of this tool cannot run."""
        return tuple(field.alias or name for name, field in cls.model_fields.items() if field.is_required())


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """One tool, as a document sees it. Its adapter is the package of the same name in `reconciler.tools`."""

    name: str
    settings: type[ToolSettings]
    about: str
    """What its settings are, for the schema: one sentence."""
    needs_source: bool = True
    has_version: bool = True
    """Whether a stack may ask for a range of versions."""
    repeatable: bool = True
    """Whether an apply that failed can be tried again: it works towards a desired state."""
    destroys: bool = True
    """Whether it can remove what it made."""
    destroys_by: str | None = None
    """The setting without which a stack of it cannot be destroyed."""
