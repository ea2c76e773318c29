"""Writes the parts of the documentation that follow from the code: `python docs/generate.py`. A test compares them."""

# ruff: noqa: INP001, PLR0911, SLF001

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.cli.commands import COMMANDS
from reconciler.gauges import Gauges, families
from reconciler.metrics import Metrics
from reconciler.setting_sources import PREFIX
from reconciler.settings import Settings
from spaces.model.base import Model
from spaces.model.kinds import SPECS
from spaces.names import Kind
from spaces.reading.json_schema import file_name, json_schemas

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every page with generated blocks, with their current content."""
    blocks: dict[str, Callable[[], str]] = {"settings": _settings, "metrics": _metrics, "commands": _commands}
    blocks |= {f"{kind.lower()}_fields": lambda kind=kind: _kind(kind) for kind in SPECS}
    paths = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    for kind in SPECS:
        paths.setdefault(DOCS / "kinds" / f"{kind.lower()}.md", _skeleton(kind))
    return {
        path: _BLOCK.sub(lambda block: block[1] + blocks[block[2]]() + block[3], text)
        for path, text in paths.items()
        if _BLOCK.search(text)
    }


def _skeleton(kind: Kind) -> str:
    return f"# {kind}\n\n{SPECS[kind].__doc__}\n\n<!-- begin {kind.lower()}_fields -->\n<!-- end -->\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _settings() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        rows.append((f"`{name}`", f"`{PREFIX}{name.upper()}`", _shown(field.default), field.description or ""))
    return _table(("setting", "variable", "default", "what it is"), rows)


def _shown(value: object) -> str:
    if value in (None, ()):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{_plain(value)}`"


def _metrics() -> str:
    metrics = Metrics()
    own = vars(metrics).values()
    labels = {_family(metric): metric._labelnames for metric in own if hasattr(metric, "_labelnames")}
    stored = [family for metric in own if hasattr(metric, "describe") for family in metric.describe()]
    stored += families(Gauges())
    labels |= {family.name: family._labelnames for family in stored if hasattr(family, "_labelnames")}
    labels["stationkeeper_build_info"] = ("version",)
    rows = []
    found = {family.name: family for family in (*metrics.registry.collect(), *stored)}
    for _, family in sorted(found.items()):
        name = family.name + ("_total" if family.type == "counter" else "")
        labelled = ", ".join(f"`{label}`" for label in labels[family.name])
        rows.append((f"`{name}`", family.type, labelled, family.documentation))
    return _table(("metric", "type", "labels", "what it says"), rows)


def _family(metric: Any) -> str:
    return str(metric._name)


def _commands() -> str:
    texts = []
    for name, entry in COMMANDS.items():
        texts += list(_command(f"station {name}", entry.load()))
    return "\n".join(texts)


def _command(path: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        if command.callback is not None and any(True for _ in _own_options(command)):
            # A group that does something when it is called alone.
            yield from _one(path, command)
        for name, below in command.commands.items():
            yield from _command(f"{path} {name}", below)
        return
    yield from _one(path, command)


def _one(path: str, command: click.Command) -> Iterator[str]:
    usage = " ".join([path, *(_argument(one) for one in command.params if isinstance(one, click.Argument))])
    text = " ".join((command.help or "").replace("\b", "").split())
    lines = [f"### `{usage}`\n\n{text}\n"]
    rows = [(f"`{_flags(one)}`", (one.help or "") + _default(one)) for one in _own_options(command)]
    if rows:
        lines.append("\n" + _table(("option", "what it does"), rows))
    if any(one.name in Settings.model_fields for one in command.params if one.name != "data_dir"):
        lines.append("\nEvery [setting](settings.md) is an option too: `config_url` is `--config-url`.\n")
    yield "".join(lines)


def _own_options(command: click.Command) -> Iterator[click.Option]:
    """Return the options of a command without those that all have, or that are settings."""
    shared = {"data_dir", "url", "token_file", *Settings.model_fields}
    return (one for one in command.params if isinstance(one, click.Option) and one.name not in shared)


def _argument(argument: click.Argument) -> str:
    return argument.make_metavar(click.Context(click.Command("station")))


def _flags(option: click.Option) -> str:
    flags = ", ".join((*option.opts, *option.secondary_opts))
    if option.is_flag:
        return flags
    values = "|".join(map(str, option.type.choices)) if isinstance(option.type, click.Choice) else option.metavar
    return f"{flags} {values or 'VALUE'}"


def _default(option: click.Option) -> str:
    return f" Default: `{option.default}`." if option.show_default and option.default is not None else ""


def _kind(kind: Kind) -> str:
    schema = json_schemas()[file_name(kind)]
    definitions = schema.get("$defs", {})
    spec = _resolve(schema["properties"]["spec"], definitions)
    text = _table(("field", "type", "default", "what it is"), list(_fields(spec, definitions, "spec.")))
    later = dict(_later(SPECS[kind], "spec."))
    if later:
        text += "\nKnown, refused because they are not built yet:\n\n"
        text += "".join(f"- `{path}`: {about}\n" for path, about in sorted(later.items()))
    return text


def _fields(model: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, schema in model.get("properties", {}).items():
        shape = _resolve(schema, definitions)
        if name in model.get("required", ()):
            default = "required"
        else:
            value = schema.get("default")
            default = "" if value in (None, [], {}) else f"`{_plain(value)}`"
        description = schema.get("description") or shape.get("description", "")
        yield f"`{prefix}{name}`", _type(shape, definitions), default, description
        inner = _resolve(shape.get("items", {}), definitions) if shape.get("type") == "array" else shape
        for one in inner.get("anyOf", [inner]):
            yield from _fields(
                _resolve(one, definitions), definitions, f"{prefix}{name}{'[]' if 'items' in shape else ''}."
            )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        return _resolve(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    options = [one for one in schema.get("anyOf", schema.get("allOf", ())) if one.get("type") != "null"]
    return _resolve(options[0], definitions) if len(options) == 1 else schema


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:  # noqa: C901 - a case for each type
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{_plain(schema['const'])}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(_resolve(one, definitions), definitions) for one in schema["anyOf"]))
    match schema.get("type"):
        case "array":
            return f"list of {_type(_resolve(schema['items'], definitions), definitions)}"
        case "object" if "properties" in schema:
            return "mapping"
        case "object":
            values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
            inner = next((one for one in values if isinstance(one, dict)), None)
            return f"mapping of {_type(_resolve(inner, definitions), definitions)}" if inner else "mapping"
        case "boolean":
            return "true or false"
        case "integer":
            return "whole number"
        case "number":
            return "number"
        case list() as several:
            return " or ".join(_type({"type": one}, definitions) for one in several)
        case _:
            return "text"


def _later(model: type[Model], prefix: str) -> Iterator[tuple[str, str]]:
    for name, about in model.later.items():
        yield prefix + name, about
    for field in model.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, Model):
                yield from _later(part, f"{prefix}{field.alias}.")


def main() -> None:
    """Write every page again."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
