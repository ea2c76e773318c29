"""Documents as YAML, in the form in which people write them."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString


def as_yaml(data: Any) -> str:
    """Return JSON-like data as YAML, in blocks, text of several lines as such; it ends with a line break."""
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.width = 4096
    text = StringIO()
    # Read anew: so that no value is of a type that YAML would have to name.
    yaml.dump(_in_lines(json.loads(json.dumps(data))), text)
    return text.getvalue()


def _in_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_lines(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_lines(item) for item in value]
    # YAML can write control characters only as escapes in quotes.
    lines = isinstance(value, str) and "\n" in value and all(line.isprintable() for line in value.split("\n"))
    return LiteralScalarString(value) if lines else value
