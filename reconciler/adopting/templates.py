"""Finds where a CloudFormation template says a property: as a plain value, or as a parameter with its default."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from reconciler.adopting.edits import ByHand, Default, Edit, line_at
from reconciler.adopting.yaml_scalars import Path, documents, node_at, replace_scalar

_STANDARD = "tag:yaml.org,2002:"


def find_property(  # noqa: PLR0917
    file: str, text: str, resource: str, path: Path, was: Any, now: Any
) -> Edit | ByHand | Default:
    """Return where a property of a resource, by its logical id, is said; JSON is read as the YAML that it is."""
    found = list(documents(text))
    if len(found) != 1:
        return ByHand("the template cannot be read", file)
    template, place = found[0], ("Resources", resource, "Properties", *path)
    node = node_at(template, place)
    if node is None:
        return ByHand("the template says nothing of it", file)
    line = line_at(text, node.start_mark.index)
    if (parameter := _parameter(node)) is not None:
        default = node_at(template, ("Parameters", parameter, "Default"))
        how = None
        if default is not None:
            how = replace_scalar(file, text, template, ("Parameters", parameter, "Default"), was, now, as_text=True)
        return Default(parameter, file, line, how)
    if not str(node.tag).startswith(_STANDARD) or isinstance(now, dict | list) or now is None or was is None:
        return ByHand("a function gives it, or it is no single value", file, line)
    return replace_scalar(file, text, template, place, was, now)


def _parameter(node: Node) -> str | None:
    """Return the parameter that a value is: `!Ref Size` or `{Ref: Size}`; None for any other."""
    match node:
        case ScalarNode(tag="!Ref"):
            return str(node.value)
        case MappingNode(value=[(ScalarNode(value="Ref"), ScalarNode() as name)]):
            return str(name.value)
        case _:
            return None
