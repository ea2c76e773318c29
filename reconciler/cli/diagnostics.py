"""Diagnostics as compilers print them, so that editors can jump to the position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.output import cell


def line(diagnostic: Mapping[str, Any], directory: str = "") -> str:
    """Return `file:line:column: severity: summary (hint) [code]`; `directory` is put before the file."""
    where = ""
    if diagnostic["file"] is not None:
        where = f"{directory}{diagnostic['file']}:{diagnostic['line']}:{diagnostic['column']}: "
    hint = f" ({diagnostic['hint']})" if diagnostic["hint"] else ""
    return cell(f"{where}{diagnostic['severity']}: {diagnostic['summary']}{hint} [{diagnostic['code']}]")
