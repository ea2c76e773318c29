"""Casbin, set up to be exact at any depth, fast with many bindings, and safe among threads.

`Access` asks `Enforcer.allows` with the roles that somebody holds in the space in question. Casbin matches roles with
actions; the spaces and memberships are resolved before, in `grants`.
"""

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
"""The positions of kind and verb in requests and policy lines: Casbin then reads only the lines of one action."""

_PARSING = threading.Lock()
"""Held while Casbin parses its matcher.

Where two threads parse at once, older patch releases of Python 3.11 and 3.12 may fail with a SystemError about the
recursion depth (python/cpython, gh-106905).
"""


class Asker:
    """The subject of one question, as the roles that it holds in the space of the question."""

    __slots__ = ("roles",)

    def __init__(self, roles: Roles) -> None:
        self.roles = roles

    def __str__(self) -> str:
        """Return a constant: Casbin logs its requests as text."""
        return "asker"


class _HeldRoles(RoleManager):  # type: ignore[misc]
    """Answers from the asker's roles.

    Casbin's own role manager stops at ten levels and slows with the number of bindings.
    """

    def has_link(self, name1: Asker, name2: str, *domain: str) -> bool:
        """Whether the asker holds the role; the asker was made for one space, so `domain` is not looked at."""
        _ = domain
        return name2 in name1.roles


class _CompiledEnforcer(casbin.FastEnforcer):  # type: ignore[misc]
    """A FastEnforcer that compiles its matcher once instead of once for each question."""

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
            with _PARSING:
                self._compiled = super()._get_expression(expr, functions)
        return self._compiled


class Enforcer:
    """Answers whether any of an asker's roles contains an action.

    It keeps one Casbin enforcer a thread: each has state.
    """

    def __init__(self, roles: Mapping[str, Actions]) -> None:
        self._policy = [[role, action.kind, action.verb] for role, actions in roles.items() for action in actions]
        self._policy.append([SIGHT, SPACE_READ.kind, SPACE_READ.verb])
        self._local = threading.local()

    def allows(self, asker: Asker, action: Action, space: SpaceName) -> bool:
        """Whether the asker may do the action in the space."""
        enforcer = getattr(self._local, "enforcer", None)
        if enforcer is None:
            enforcer = self._local.enforcer = _CompiledEnforcer(self._policy)
        return bool(enforcer.enforce(asker, action.kind, action.verb, space))


@lru_cache(maxsize=1)
def _model_text() -> str:
    return files("rbac.access").joinpath("model.conf").read_text(encoding="utf-8")
