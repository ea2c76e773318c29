"""Reads a tfstate (format 4): resources and outputs, without any sensitive attribute.

A tfstate does not say reliably which attributes are sensitive; the plan that was applied does, so its marks come in.
A resource that the plan did not know is listed without attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.core.results import Applied, Output, Resource
from reconciler.tools.base import NotUnderstood
from reconciler.tools.files import shape_of
from reconciler.tools.terraform.plan import Expected, Marks
from reconciler.tools.veil import Secrets, secrets_in, veiled, without_unseen


@shape_of("the tfstate")
def applied(document: Any, expected: Expected) -> Applied:
    """Turn a tfstate into what an apply left behind; StepFailed for a format that nobody knows."""
    if not isinstance(document, dict) or document.get("version") != 4:
        raise NotUnderstood("the tfstate has a format that is not known")
    known = expected.marks
    outputs = {**{name: {} for name in expected.outputs}, **(document.get("outputs") or {})}
    found = [
        (entry, {**instance, "attributes": unwrapped(instance.get("attributes") or {})}, _address(entry, instance))
        for entry in document.get("resources") or ()
        if entry.get("mode") == "managed"
        for instance in entry.get("instances") or ()
    ]
    secrets = Secrets(_secrets(found, known, outputs))
    return Applied(
        resources=tuple(_resource(entry, instance, address, known, secrets) for entry, instance, address in found),
        outputs=tuple(
            Output(name, content.get("value"), bool(content.get("sensitive", False)))
            for name, content in sorted(outputs.items())
        ),
    )


_TYPED = {"value", "type"}


def unwrapped(value: Any) -> Any:
    """Take the type away that a tfstate writes beside a value whose schema leaves the type open."""
    # A value of a tfstate is mostly a text or a number: asking for that first takes half as long as a `match`.
    if isinstance(value, dict):
        if value.keys() == _TYPED and _conforms(value["value"], value["type"]):
            return value["value"]
        return {key: unwrapped(item) for key, item in value.items()}
    return [unwrapped(item) for item in value] if isinstance(value, list) else value


def _conforms(value: Any, kind: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str | None)
        case "number":
            return isinstance(value, int | float | None) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool | None)
        case ["object", dict(), *_] | ["map", _]:
            return isinstance(value, dict | None)
        case ["tuple" | "list" | "set", _]:
            return isinstance(value, list | None)
        case _:
            return False


def _resource(
    entry: Mapping[str, Any],
    instance: Mapping[str, Any],
    address: str,
    known: Mapping[str, Marks],
    secrets: Secrets,
) -> Resource:
    marks = known.get(address)
    attributes: Mapping[str, Any] = {}
    if marks is not None and isinstance(marks.sensitive, dict | bool) and marks.sensitive is not True:
        seen = without_unseen(instance["attributes"], marks.unknown)
        hidden = _recorded(instance)
        attributes = veiled(_hide(seen, hidden), marks.sensitive, secrets)
    deposed = instance.get("deposed")
    return Resource(
        address=f"{address} (deposed {deposed})" if deposed else address,
        type=entry.get("type", ""),
        provider=_provider(entry.get("provider", "")),
        attributes=attributes,
    )


def _secrets(
    found: Iterable[tuple[Mapping[str, Any], Mapping[str, Any], str]],
    known: Mapping[str, Marks],
    outputs: Mapping[str, Any],
) -> Iterator[str]:
    for content in outputs.values():
        if content.get("sensitive"):
            yield from secrets_in(content.get("value"), True)
    for _, instance, address in found:
        attributes = instance["attributes"]
        if address in known:
            yield from secrets_in(attributes, known[address].sensitive)
        for path in _recorded(instance):
            yield from secrets_in(_at(attributes, path), True)


def _recorded(instance: Mapping[str, Any]) -> list[tuple[str | int, ...]]:
    """Return the paths that the tfstate itself calls sensitive."""
    paths = []
    for path in instance.get("sensitive_attributes") or ():
        steps: list[str | int] = []
        for step in path:
            value = step.get("value")
            plain = value.get("value") if isinstance(value, dict) else value
            steps.append(plain if isinstance(plain, str | int) else str(plain))
        paths.append(tuple(steps))
    return paths


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        match value, step:
            case dict(), str() if step in value:
                value = value[step]
            case list(), int() if 0 <= step < len(value):
                value = value[step]
            case _:
                return None  # a path into a set, say: hidden as a whole, and nothing to look for elsewhere
    return value


def _hide(attributes: Any, paths: Iterable[tuple[str | int, ...]]) -> Any:
    for path in paths:
        attributes = veiled(attributes, _as_marks(attributes, path))
    return attributes


def _as_marks(value: Any, path: tuple[str | int, ...]) -> Any:
    if not path:
        return True
    step, rest = path[0], path[1:]
    match value, step:
        case dict(), str() if step in value:
            return {step: _as_marks(value[step], rest)}
        case list(), int() if 0 <= step < len(value):
            return [*([False] * step), _as_marks(value[step], rest)]
        case _:
            return True


def _address(entry: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    parts = [part for part in (entry.get("module"), entry.get("type"), entry.get("name")) if part]
    key = instance.get("index_key")
    if key is None:
        return ".".join(parts)
    return f"{'.'.join(parts)}[{_quoted(key) if isinstance(key, str) else key}]"


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _provider(reference: str) -> str:
    _, _, rest = reference.partition('["')
    name, closed, _ = rest.partition('"]')
    return name if closed else reference
