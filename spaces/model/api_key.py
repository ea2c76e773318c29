"""The ApiKey: a program that speaks to the service with a token."""

from __future__ import annotations

from spaces.model.base import SpecModel


class ApiKeySpec(SpecModel):
    """A subject for bindings. Its tokens are made by the service and never stand in the repository."""
