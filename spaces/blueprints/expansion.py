"""The expansion of one instance: the documents of its blueprint's template with the inputs filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spaces.documents.documents import Placed, PlacedDocuments
from spaces.documents.expansions import Expansion, ExpansionProblem, Spot, space_ref
from spaces.expressions.language import Budget, Failed, compile_expression
from spaces.expressions.spans import Path, is_whole, spans
from spaces.model.base import Problem
from spaces.model.blueprint import MAX_DOCUMENTS, BlueprintInstanceSpec, BlueprintSpec, versioned
from spaces.model.explain import QUOTE, did_you_mean, dotted, shown
from spaces.model.inputs import InputType
from spaces.model.template import CONTEXT_SORTS, TEMPLATE_KINDS, as_clause, hint_of, spliced
from spaces.names import Kind, ResourceRef
from spaces.reading.attachments import place_of
from spaces.reading.resources import Made, Resource, make_resource

MAX_DEPTH = 5
"""The most levels of instances that make instances."""
_MOST_FINDINGS = 50
"""The most findings for one instance: a mistake in a template shows in each of its documents."""


def expand(documents: PlacedDocuments, instance: Placed) -> Expansion:
    """Return the documents that an instance makes, with the blueprints taken from `documents`."""
    expander = _Expander(documents, instance)
    expander.make(instance, ())
    space = documents.placed(space_ref(instance.ref.space))
    return Expansion(instance, tuple(expander.made.values()), tuple(expander.findings), expander.uses, space)


def fill(documents: PlacedDocuments, instance: Placed) -> tuple[Mapping[str, Any], ...]:
    """Return the documents that an instance makes as they would be written, in the order of the templates."""
    expander = _Expander(documents, instance)
    expander.make(instance, ())
    return tuple(expander.written)


@dataclass(slots=True)
class _Expander:
    documents: PlacedDocuments
    root: Placed
    made: dict[ResourceRef, Placed] = field(default_factory=dict)
    findings: list[ExpansionProblem] = field(default_factory=list)
    uses: dict[str, Placed | None] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    written: list[Mapping[str, Any]] = field(default_factory=list)
    _full: bool = False

    def make(self, instance: Placed, above: tuple[ResourceRef, ...]) -> None:
        """Make the documents of one instance, and of the instances among them."""
        spec = instance.resource.spec
        assert isinstance(spec, BlueprintInstanceSpec)  # noqa: S101 - its kind says so
        name = versioned(spec.blueprint, spec.version)
        placed = self.uses[name] = self.documents.find(Kind.BLUEPRINT, name, self.root.ref.space)
        if placed is None:
            return  # the rules report it, as for any document that needs a missing one
        if placed.ref in above:
            line = " -> ".join(f"{ref.space}/{ref.name}" for ref in (*above[above.index(placed.ref) :], placed.ref))
            self._report(
                "blueprint-cycle", f"blueprints make each other in an endless circle: {line}", instance, ("spec",)
            )
            return
        if len(above) == MAX_DEPTH:
            self._report(
                "blueprint-depth", f"instances make instances more than {MAX_DEPTH} levels deep", instance, ("spec",)
            )
            return
        blueprint = placed.resource.spec
        assert isinstance(blueprint, BlueprintSpec)  # noqa: S101 - its kind says so
        inputs = self._inputs(instance, spec, blueprint)
        if inputs is None:
            return
        for index, document in enumerate(blueprint.template):
            if len(self.made) >= MAX_DOCUMENTS:
                if not self._full:
                    self._report(
                        "too-many-documents",
                        f"the instance makes more than {MAX_DOCUMENTS} documents",
                        instance,
                        ("spec",),
                    )
                self._full = True
                return
            self._document(instance, placed, index, document, inputs, (*above, placed.ref))

    # Inputs

    def _inputs(self, instance: Placed, spec: BlueprintInstanceSpec, blueprint: BlueprintSpec) -> dict[str, Any] | None:
        """Return the value of every variable of the template; None if an input is wrong."""
        declared = {declaration.name: declaration for declaration in blueprint.inputs}
        before = len(self.findings)
        for name in spec.inputs:
            if name not in declared:
                hint = did_you_mean(name, list(declared)) or _known(list(declared))
                summary = f"{_of(spec)} has no input {shown(name)}"
                self._report("unknown-input", summary, instance, ("spec", "inputs", name), hint)
        variables = self._context(instance)
        for name, declaration in declared.items():
            value = spec.inputs.get(name)
            if value is None:
                if declaration.required:
                    summary = f"the input {name} of {_of(spec)} is missing"
                    self._report("missing-input", summary, instance, ("spec", "inputs"), declaration.description)
                value = declaration.default
            elif (wrong := declaration.fault(value)) is not None:
                path = ("spec", "inputs", name)
                self._report("invalid-input", f"the input {name} {wrong[0]}", instance, path, wrong[1])
                continue
            variables[f"inputs.{name}"] = _from_top(instance.resource, declaration.variable(value))
        return variables if len(self.findings) == before else None

    def _context(self, instance: Placed) -> dict[str, Any]:
        space = self.documents.placed(space_ref(instance.ref.space))
        return {
            "context.name": instance.ref.name,
            "context.labels": dict(instance.resource.metadata.labels),
            "context.space": str(instance.ref.space),
            "context.spaceLabels": dict(space.resource.metadata.labels) if space is not None else {},
        }

    # Documents

    def _document(  # noqa: PLR0917
        self,
        instance: Placed,
        blueprint: Placed,
        index: int,
        template: Mapping[str, Any],
        variables: Mapping[str, Any],
        above: tuple[ResourceRef, ...],
    ) -> None:
        spec = blueprint.resource.spec
        assert isinstance(spec, BlueprintSpec)  # noqa: S101 - its kind says so
        secrets = frozenset(f"inputs.{declared.name}" for declared in spec.inputs if declared.type is InputType.SECRET)
        filling = _Filling(variables, dict(_sorts(spec)), secrets, self.budget)
        raw = filling.fill(dict(template), ())
        for path, within, failed in filling.failures:
            place = Spot(blueprint.resource, ("spec", "template", index, *path), within)
            for mistake in failed.mistakes:
                self._add(ExpansionProblem(mistake.code, as_clause(mistake), hint=hint_of(mistake), place=place))
        if filling.failures:
            return
        root = self.root.ref
        made = Made(instance.ref, blueprint.ref, spec.version, index, root)
        resource, problems = make_resource(blueprint.resource, raw, made, root.space, instance.resource.attachments)
        if raw.get("kind") not in TEMPLATE_KINDS:
            problems = [Problem(("kind",), "invalid-value", "an instance cannot make such a document"), *problems]
        for problem in problems:
            place = Spot(blueprint.resource, ("spec", "template", index, *problem.path))
            where = dotted(("template", index))
            hint = _string_hint(template, problem) or problem.hint
            self._add(ExpansionProblem(problem.code, f"{where}: {problem.summary}", hint=hint, place=place))
        if resource is None or problems:
            return
        self.written.append({**raw, "metadata": {**raw["metadata"], "space": str(root.space)}})
        self._take(resource, blueprint, index, above)

    def _take(self, resource: Resource, blueprint: Placed, index: int, above: tuple[ResourceRef, ...]) -> None:
        """Take in a valid document, and make the documents that it makes itself."""
        metadata, root = resource.metadata, self.root.ref
        ref = ResourceRef(resource.kind, root.space, resource.name)
        path: Path = ("spec", "template", index, "metadata")
        if metadata.space is not None and metadata.space != root.space:
            summary = f"{resource.kind} {resource.name} would belong to {metadata.space}, not to {root.space}"
            place = Spot(blueprint.resource, (*path, "space"))
            self._add(
                ExpansionProblem("wrong-space", summary, hint="leave metadata.space out of the template", place=place)
            )
            return
        if ref in self.made or ref == root:
            summary = f"{ref} is made twice"
            place = Spot(blueprint.resource, (*path, "name"))
            self._add(ExpansionProblem("duplicate-name", summary, hint="give one of them another name", place=place))
            return
        placed = self.made[ref] = Placed(ref, resource)
        if resource.kind is Kind.BLUEPRINT_INSTANCE:
            self.make(placed, above)

    # Findings

    def _report(self, code: str, summary: str, instance: Placed, path: Path, hint: str | None = None) -> None:
        if instance is self.root:
            self._add(ExpansionProblem(code, summary, path, hint))
        else:
            self._add(ExpansionProblem(code, summary, hint=hint, place=Spot(instance.resource, path)))

    def _add(self, finding: ExpansionProblem) -> None:
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(finding)


@dataclass(slots=True)
class _Filling:
    """Replaces the expressions of a document by their values."""

    variables: Mapping[str, Any]
    sorts: dict[str, Any]
    secrets: frozenset[str]
    budget: Budget
    failures: list[tuple[Path, tuple[int, int], Failed]] = field(default_factory=list)

    def fill(self, value: Any, path: Path) -> Any:
        """Return the value with its expressions evaluated; failures are recorded."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            return {key: self.fill(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: Path) -> Any:
        parts: list[str] = []
        end = 0
        for span in spans(text):
            whole = is_whole(span, text)
            if whole and span.source.strip() in self.secrets:
                return self.variables[span.source.strip()]
            try:
                value = compile_expression(span.source, self.sorts).evaluate(self.variables, self.budget)
                value = spliced(value, whole=whole)
            except Failed as failed:
                at = failed.mistakes[0].at
                self.failures.append((path, (span.index, at), failed))
                continue
            if whole:
                return value
            parts += [text[end : span.start], value]
            end = span.end
        return "".join([*parts, text[end:]])


def _string_hint(template: Mapping[str, Any], problem: Problem) -> str | None:
    """Return what helps where an expression gives a number in the place of text: it is in quotes already."""
    value: Any = template
    try:
        for part in problem.path:
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return None
    if problem.hint != QUOTE or not isinstance(value, str):
        return None
    source = next((span.source.strip() for span in spans(value) if is_whole(span, value)), None)
    return None if source is None else f'write "${{{{ string({source}) }}}}"'


def _sorts(spec: BlueprintSpec) -> Iterator[tuple[str, Any]]:
    yield from CONTEXT_SORTS.items()
    inputs = (declared for declared in spec.inputs if declared.type is not InputType.SECRET)
    yield from ((f"inputs.{declared.name}", declared.sort) for declared in inputs)


def _from_top(instance: Resource, value: Any) -> Any:
    """Return a value as it is, a secret in a SOPS file with the path from the top: the template lies elsewhere."""
    if not isinstance(value, dict) or "sops" not in value:
        return value
    path, mark, keys = value["sops"].partition("#")
    return {"sops": f"/{place_of(instance.file, path)}{mark}{keys}"}


def _of(spec: BlueprintInstanceSpec) -> str:
    return f"blueprint {spec.blueprint} version {spec.version}"


def _known(names: list[str]) -> str:
    return f"it has {', '.join(names)}" if names else "it has no inputs"
