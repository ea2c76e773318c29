"""Documents as YAML, in the form in which people write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import LiteralScalarString

from spaces.reading.documents import chunks, parse_documents

_START = "---\n"


def as_yaml(data: Any) -> str:
    """Return JSON-like data as YAML, in blocks, text of several lines as such; it ends with a line break."""
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.width = 4096
    text = StringIO()
    # Read anew: so that no value is of a type that YAML would have to name.
    yaml.dump(_in_lines(json.loads(json.dumps(data))), text)
    return text.getvalue()


def with_document(text: str, document: Mapping[str, Any]) -> str | None:
    """Return a file's text with a document of ours, in place of the one of its kind and name, or behind the others.

    Comments stay where they can. None: the file is not YAML that can be read, so that nobody knows what is in it.
    """
    read = parse_documents("", text.encode())
    if read.unreadable is not None or any(not each.sound for each in read.documents):
        return None
    parts = [part for _, part in chunks(text)]
    for number, part in enumerate(parts):
        found = parse_documents("", part.encode()).documents
        if len(found) == 1 and _is_same(found[0].value, document):
            parts[number] = _rewritten(part, found[0].value, document)
            return "".join(parts)
    if not text.strip():
        return as_yaml(document)
    line_break = "" if text.endswith("\n") else "\n"
    return f"{text}{line_break}{_START}{as_yaml(document)}"


def _is_same(there: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    mine, theirs = document["metadata"], there.get("metadata")
    if there.get("kind") != document["kind"] or not isinstance(theirs, Mapping):
        return False
    return bool(theirs.get("name") == mine["name"] and theirs.get("space", mine["space"]) == mine["space"])


def _rewritten(part: str, was: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return one document's text with another `spec`, written as somebody wrote it as far as that works."""
    if was.get("spec") == document["spec"]:
        return part
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.explicit_start = part.startswith("---")
    try:
        loaded, text = yaml.load(part), StringIO()
        _update(loaded["spec"], document["spec"])
        yaml.dump(loaded, text)
        (found,) = parse_documents("", text.getvalue().encode()).documents
        if found.value == {**was, "spec": document["spec"]}:
            return text.getvalue()
    except (YAMLError, KeyError, TypeError, ValueError):
        pass
    return (_START if part.startswith("---") else "") + as_yaml({**was, "spec": document["spec"]})


def _update(there: Any, wanted: Mapping[str, Any]) -> None:
    for key in [key for key in there if key not in wanted]:
        del there[key]
    for key, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(there.get(key), Mapping):
            _update(there[key], value)
        elif key not in there or there[key] != value:
            there[key] = _in_lines(value)


def _in_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_lines(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_lines(item) for item in value]
    # YAML can write control characters only as escapes in quotes.
    lines = isinstance(value, str) and "\n" in value and all(line.isprintable() for line in value.split("\n"))
    return LiteralScalarString(value) if lines else value
