"""Finds scalars in YAML by their path, and writes others into their places; comments and layout stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.adopting.edits import ByHand, Edit, line_at

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What readers of YAML 1.1 or 1.2 take for something else than text."""
_STR = "tag:yaml.org,2002:str"


def documents(text: str) -> Iterator[Node]:
    """Yield the documents of a file; none of one that is no YAML."""
    try:
        found = list(YAML(typ="safe", pure=True).compose_all(text))
    except (YAMLError, RecursionError, ValueError):
        return
    yield from (node for node in found if node is not None)


def node_at(node: Node, path: Sequence[str | int]) -> Node | None:
    """Return the node at a path; None where there is none."""
    for key in path:
        match node, key:
            case MappingNode(), str():
                found = next((value for name, value in node.value if name.value == key), None)
            case SequenceNode(), int() if key < len(node.value):
                found = node.value[key]
            case _:
                return None
        if found is None:
            return None
        node = found
    return node


def text_at(node: Node, path: Sequence[str | int]) -> str | None:
    """Return the text of the scalar at a path; None where there is none."""
    found = node_at(node, path)
    return str(found.value) if isinstance(found, ScalarNode) else None


def replace_scalar(  # noqa: PLR0917
    file: str, text: str, node: Node, path: Path, was: Any, now: Any, *, as_text: bool = False
) -> Edit | ByHand:
    """Return the edit that writes `now` in the place of `was`; `as_text` where the field holds text."""
    found = node_at(node, path)
    if not isinstance(found, ScalarNode) or found.style in {"|", ">"}:
        return ByHand("it is no value on one line", file, line_at(text, node.start_mark.index))
    line = line_at(text, found.start_mark.index)
    if not _says(found, was):
        return ByHand(f"the file says {str(found.value)[:80]!r} there", file, line)
    quoted = found.style is not None
    if isinstance(now, str) or as_text:
        words = now if isinstance(now, str) else json.dumps(now)
        plain = not quoted and (_is_plain(words) or (found.tag != _STR and _NUMBER.fullmatch(words) is not None))
        new = words if plain else json.dumps(words, ensure_ascii=False)
    else:
        new = json.dumps(now)
    return Edit(file, found.start_mark.index, found.end_mark.index, new, line)


def _says(node: ScalarNode, value: Any) -> bool:
    words = value if isinstance(value, str) else json.dumps(value)
    return str(node.value) == words or (isinstance(value, bool) and str(node.value).lower() == words)


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS


def matching(text: str, suits: Callable[[Node], bool]) -> list[Node]:
    """Return the documents of a file that suit."""
    return [node for node in documents(text) if suits(node)]
