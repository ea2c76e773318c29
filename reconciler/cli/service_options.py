"""The settings as command-line options, one option per setting, generated from the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from reconciler.setting_sources import PREFIX
from reconciler.settings import Settings

_Function = TypeVar("_Function", bound=Callable[..., Any])

_ELSEWHERE = frozenset({"data_dir"})
"""Settings that the common options already cover."""


def service_options(function: _Function) -> _Function:
    """Add an option for every setting; each arrives as a keyword argument, None where it was not given."""
    for name, field in reversed(Settings.model_fields.items()):
        if name in _ELSEWHERE:
            continue
        flag = "--" + name.replace("_", "-")
        text = f"{field.description} [{PREFIX}{name.upper()}]"
        if field.annotation in {bool, bool | None}:
            option = click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
        else:
            option = click.option(flag, name, default=None, metavar="VALUE", help=text)
        function = option(function)
    return function
