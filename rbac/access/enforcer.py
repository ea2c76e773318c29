"""Casbin, the way it is exact at any depth, fast at any size, and safe among threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import casbin
from casbin.model import FastModel
from casbin.rbac import RoleManager

from rbac.access.actions import SPACE_READ, Action, Actions
from rbac.access.grants import SIGHT, Roles
from spaces.names import SpaceName

_KEY_ORDER = (1, 2)
"""Where kind and verb stand, in requests and policy lines alike: only the lines of one action are looked at."""


class Asker:
    """One question's subject, as the roles that it holds in the space asked about."""

    __slots__ = ("roles",)

    def __init__(self, roles: Roles) -> None:
        self.roles = roles

    def __str__(self) -> str:
        """Give nothing away: Casbin writes its requests as text."""
        return "asker"


class _HeldRoles(RoleManager):  # type: ignore[misc]
    """Answers from what the asker holds. Casbin's own manager ends at ten levels and slows with the bindings."""

    def has_link(self, name1: Asker, name2: str, *domain: str) -> bool:
        """Say whether the asker holds the role; the space is the one that the asker was made for."""
        _ = domain
        return name2 in name1.roles


class _Enforcer(casbin.FastEnforcer):  # type: ignore[misc]
    """A FastEnforcer that compiles its matcher once instead of for each question."""

    def __init__(self, policy: list[list[str]]) -> None:
        model = FastModel(_KEY_ORDER)
        model.load_model_from_text(_model_text())
        super().__init__(model, cache_key_order=_KEY_ORDER)
        self._compiled: Any = None
        self.set_named_role_manager("g", _HeldRoles())
        self.build_role_links()
        # Through the API, never as text: a name could not bring a line of its own in even if it had a newline.
        if not self.add_policies(policy):
            raise RuntimeError("the policy was not taken")

    def _get_expression(self, expr: str, functions: Any = None) -> Any:
        if self._compiled is None:
            self._compiled = super()._get_expression(expr, functions)
        return self._compiled


class Enforcer:
    """Answers whether any role that an asker holds has an action. One Casbin enforcer per thread: each has state."""

    def __init__(self, roles: Mapping[str, Actions]) -> None:
        self._policy = [[role, action.kind, action.verb] for role, actions in roles.items() for action in actions]
        self._policy.append([SIGHT, SPACE_READ.kind, SPACE_READ.verb])
        self._local = threading.local()

    def allows(self, asker: Asker, action: Action, space: SpaceName) -> bool:
        """Decide one question."""
        enforcer = getattr(self._local, "enforcer", None)
        if enforcer is None:
            enforcer = self._local.enforcer = _Enforcer(self._policy)
        return bool(enforcer.enforce(asker, action.kind, action.verb, space))


@lru_cache(maxsize=1)
def _model_text() -> str:
    return files("rbac.access").joinpath("model.conf").read_text(encoding="utf-8")
