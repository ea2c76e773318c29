"""What to change in Git so that it says what the real world has, for each difference that a drift check found.

`station drift adopt` calls `adoptions` with what the service says of the drift and with the files of the person's
clones. Where one plain value in one place gives an attribute, the answer has the edit; otherwise it says what to
change by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname, join, normpath
from typing import Any

from ruamel.yaml.nodes import Node

from reconciler.adopting import yaml_scalars
from reconciler.adopting.edits import ByHand, Default, Edit
from reconciler.adopting.templates import find_property
from reconciler.adopting.terraform_code import find_attribute
from reconciler.tools.kubernetes.manifests import KUSTOMIZATIONS
from spaces.documents.documents import PlacedDocuments
from spaces.effective.stack import EffectiveStack, Origin, Value
from spaces.model.tools.cloudformation import CloudFormationSettings
from spaces.model.tools.kubernetes import KubernetesSettings
from spaces.names import ResourceRef

_HIDDEN = ("(sensitive", "(not shown", "(known after apply", "***")
"""What stands in place of a value that nobody may read, or knows."""
_KUBERNETES_FILES = (".yaml", ".yml")

Difference = Mapping[str, Any]
"""One item of the API's list of drift."""


@dataclass(frozen=True, slots=True)
class Clone:
    """The files of a clone at the commit that is read, as text by path; `read` returns None where there is no text."""

    paths: Callable[[str], list[str]]
    """Returns the paths of the files below a directory."""
    read: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Adoption:
    """One value: what Git says by what was applied, what the world has, and how Git comes to say that, too."""

    address: str
    attribute: str | None
    """None: the resource as a whole."""
    was: Any
    now: Any
    how: Edit | ByHand
    in_source: bool = False
    """Whether the file lies in the repository of the stack's source; otherwise in that of the configuration."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Looks for what one stack's resources are made from.

    `stack` is None where no clone of the configuration is here, `source` where there is none of the stack's source.
    """

    stack: EffectiveStack | None = None
    documents: PlacedDocuments = field(default_factory=PlacedDocuments.empty)
    configuration: Clone | None = None
    source: Clone | None = None

    def adoptions(self, difference: Difference) -> Iterator[Adoption]:
        """Yield what to change for one difference: for each value, or for the resource where it is not the values."""
        address = difference["address"] or ""
        if difference["difference"] != "changed" or not difference["attributes"]:
            yield Adoption(address, None, None, None, ByHand(_WHOLE.get(difference["difference"], _UNNAMED)))
            return
        for attribute in difference["attributes"]:
            for path, was, now in _leaves((attribute["name"],), attribute["was"], attribute["is"]):
                words = ".".join(map(str, path))
                if _is_hidden(was) or _is_hidden(now):
                    how: Edit | ByHand = ByHand("it is sensitive: read it where it is")
                    yield Adoption(address, words, was, now, how)
                else:
                    yield self._value(address, path, was, now)

    def _value(self, address: str, path: yaml_scalars.Path, was: Any, now: Any) -> Adoption:
        words = ".".join(map(str, path))
        if self.stack is None:
            return Adoption(address, words, was, now, _NO_CONFIGURATION)
        tool = str(self.stack.spec.tool)
        if tool in {"terraform", "opentofu"}:
            how, in_source = self._of_terraform(self.stack, address, path, was, now)
        elif tool == "cloudformation":
            how, in_source = self._of_cloudformation(self.stack, address, path, was, now)
        elif tool == "kubernetes":
            how, in_source = self._of_kubernetes(self.stack, address, path, was, now), True
        else:
            how, in_source = ByHand(f"{tool} does not say where it comes from", self._file_of(self.stack)), True
        return Adoption(address, words, was, now, how, in_source)

    def _of_terraform(
        self, stack: EffectiveStack, address: str, path: yaml_scalars.Path, was: Any, now: Any
    ) -> tuple[Edit | ByHand, bool]:
        if self.source is None or stack.source is None:
            return _NO_CLONE, True
        if len(path) > 1:
            return ByHand("it is part of a larger value"), True
        directory = normpath(stack.source.path)
        there = [file for file in self.source.paths(directory) if normpath(dirname(file) or ".") == directory]
        texts = {basename(file): text for file in there if (text := self.source.read(file)) is not None}
        prefix = "" if directory == "." else f"{directory}/"
        tofu = str(stack.spec.tool) == "opentofu"
        found = find_attribute(texts, address, str(path[0]), was, now, tofu=tofu)
        if isinstance(found, Default):
            given = stack.env.get(f"TF_VAR_{found.name}")
            if given is not None:
                return self._of_document(given, f"TF_VAR_{found.name}", was, now), False
            why = f"it is var.{found.name}, which "
            if _has_values(stack, texts):
                found = ByHand(why + "a file with values may set", found.file, found.line)
            else:
                found = found.default or ByHand(why + "has no default", found.file, found.line)
        return _below(found, prefix), True

    def _of_cloudformation(
        self, stack: EffectiveStack, address: str, path: yaml_scalars.Path, was: Any, now: Any
    ) -> tuple[Edit | ByHand, bool]:
        settings = stack.spec.settings()
        if self.source is None or stack.source is None or not isinstance(settings, CloudFormationSettings):
            return _NO_CLONE, True
        file = normpath(join(stack.source.path, settings.template))
        text = self.source.read(file)
        if text is None:
            return ByHand("the template is not in the source", file), True
        found = find_property(file, text, address, path, was, now)
        if not isinstance(found, Default):
            return found, True
        given = stack.env.get(f"CF_PARAM_{found.name}")
        if given is not None:
            return self._of_document(given, f"CF_PARAM_{found.name}", was, now), False
        if found.name in settings.parameters:
            key = ("spec", "cloudformation", "parameters", found.name)
            return self._in_document(Origin(stack.id.ref, stack.made), key, was, now), False
        return found.default or ByHand(f"it is parameter {found.name}, which has no default", file, found.line), True

    def _of_document(self, value: Value, name: str, was: Any, now: Any) -> Edit | ByHand:
        if not isinstance(value.value, str):
            return ByHand(f"{value.origin.ref} sets {name} to a value that stands elsewhere")
        return self._in_document(value.origin, ("spec", "env", name), was, now)

    def _in_document(self, origin: Origin, path: yaml_scalars.Path, was: Any, now: Any) -> Edit | ByHand:
        placed = self.documents.placed(origin.ref)
        if origin.made is not None or placed is None:
            return ByHand(f"{origin.made} makes {origin.ref}, which sets {path[-1]}")
        file = placed.resource.file
        text = (self.configuration.read(file) if self.configuration is not None else None) or ""
        nodes = yaml_scalars.matching(text, lambda node: _is_document(node, origin.ref))
        if len(nodes) != 1:
            return ByHand(f"{origin.ref} sets {path[-1]}", file)
        return yaml_scalars.replace_scalar(file, text, nodes[0], path, was, now, as_text=True)

    def _file_of(self, stack: EffectiveStack) -> str | None:
        """Return the file or directory that makes a stack's resources, as far as its document names one."""
        if stack.source is None:
            placed = self.documents.placed(stack.id.ref)
            return placed.resource.file if placed is not None else None
        return normpath(join(stack.source.path, getattr(stack.spec.settings(), "playbook", "")))

    def _of_kubernetes(
        self, stack: EffectiveStack, address: str, path: yaml_scalars.Path, was: Any, now: Any
    ) -> Edit | ByHand:
        if self.source is None or stack.source is None:
            return _NO_CLONE
        settings, files = stack.spec.settings(), self.source.paths(normpath(stack.source.path))
        renders = isinstance(settings, KubernetesSettings) and (settings.kustomize or settings.helm is not None)
        if renders or any(basename(file) in KUSTOMIZATIONS for file in files):
            return ByHand("a kustomization or a chart makes it: change its values there")
        found: list[tuple[str, str, Node]] = []
        for file in files:
            text = self.source.read(file) if file.endswith(_KUBERNETES_FILES) else None
            if text is not None:
                found += [
                    (file, text, node) for node in yaml_scalars.matching(text, lambda it: _is_object(it, address))
                ]
        if len(found) != 1:
            return ByHand("several manifests are of its name" if found else "no manifest of its name is in the source")
        file, text, node = found[0]
        if was is None or now is None or isinstance(was, dict | list) or isinstance(now, dict | list):
            return ByHand("it is there on one side only, or is no single value", file)
        return yaml_scalars.replace_scalar(file, text, node, path, was, now)


_NO_CONFIGURATION = ByHand("no clone of the configuration that has the stack is here: name one with --repository")
_NO_CLONE = ByHand("there is no clone of its source here: name one with --source")
_UNNAMED = "the tool does not name what differs"
_WHOLE = {
    "missing": "it was applied and is not there: take it out of Git, or make it again with station stack run",
    "added": "it is there and was not applied: add it to Git and import it, or remove it there",
    "replaced": "another one is in its place: import that one, or make it again with station stack run",
}


def _has_values(stack: EffectiveStack, names: Iterable[str]) -> bool:
    """Whether a file may give variables their values, in the source or mounted over it."""
    every = {*names, *(basename(name) for name in stack.files)}
    by_itself = any(name.startswith("terraform.tfvars") or ".auto.tfvars" in name for name in every)
    return by_itself or bool(getattr(stack.spec.settings(), "var_files", ()))


def _leaves(path: yaml_scalars.Path, was: Any, now: Any) -> Iterator[tuple[yaml_scalars.Path, Any, Any]]:
    """Yield the innermost values that differ, with their paths; lists of other lengths are values as a whole."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            if was.get(key) != now.get(key):
                yield from _leaves((*path, key), was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            if one != other:
                yield from _leaves((*path, index), one, other)
    else:
        yield path, was, now


def _is_hidden(value: Any) -> bool:
    match value:
        case str():
            return any(mark in value for mark in _HIDDEN)
        case dict():
            return any(map(_is_hidden, value.values()))
        case list():
            return any(map(_is_hidden, value))
        case _:
            return False


def _below(how: Edit | ByHand, prefix: str) -> Edit | ByHand:
    match how:
        case Edit():
            return Edit(prefix + how.file, how.start, how.end, how.new, how.line)
        case ByHand(file=str() as file):
            return ByHand(how.why, prefix + file, how.line)
        case _:
            return how


def _is_document(node: Node, ref: ResourceRef) -> bool:
    return (yaml_scalars.text_at(node, ("kind",)), yaml_scalars.text_at(node, ("metadata", "name"))) == (
        str(ref.kind),
        ref.name,
    )


def _is_object(node: Node, address: str) -> bool:
    """Whether a manifest is of an address such as `Deployment.apps/shop/web`; without a namespace it may be in any."""
    kind, version = (yaml_scalars.text_at(node, (key,)) or "" for key in ("kind", "apiVersion"))
    group, slash, _ = version.partition("/")
    name, space = (yaml_scalars.text_at(node, ("metadata", key)) for key in ("name", "namespace"))
    first, *middle = address.split("/")
    if not middle or first != (f"{kind}.{group}" if slash else kind) or middle[-1] != name:
        return False
    return space is None or len(middle) == 1 or middle[0] == space
