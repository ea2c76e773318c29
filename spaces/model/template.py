"""The checks of a Blueprint's template that are possible before an instance fills in the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from spaces.expressions.language import Budget, Failed, Mistake, Sort, compile_expression
from spaces.expressions.spans import OPENS, Path, Span, is_whole, spans, texts
from spaces.model.base import Problem, list_at, mapping_at, text_at
from spaces.model.explain import did_you_mean, dotted, shown
from spaces.model.inputs import BlueprintInput, InputType
from spaces.names import Kind

TEMPLATE_KINDS = (Kind.STACK, Kind.CONTEXT, Kind.BLUEPRINT_INSTANCE)
"""The kinds of documents that an instance may make."""

CONTEXT_SORTS: Mapping[str, Sort] = {
    "context.name": Sort.TEXT,
    "context.labels": Sort.TEXTS,
    "context.space": Sort.TEXT,
    "context.spaceLabels": Sort.TEXTS,
}
"""The variables that describe the instance: its name and labels, its space and the space's labels."""

MAX_CHARACTERS = 64 * 1024
"""The most characters of all expressions of a blueprint together: each one is compiled."""

_KEYS = frozenset({"kind", "metadata", "spec"})
_ALWAYS = frozenset({"unknown-key"})
"""The codes of problems that no value of an expression can remove."""

CheckDocument = Callable[[dict[str, Any]], list[Problem]]
"""Returns all problems of one document as written."""


def template_problems(raw: Mapping[str, Any], check: CheckDocument) -> Iterator[Problem]:
    """Yield the problems of the template of a Blueprint's spec as written; paths begin below `spec`."""
    sorts, secrets, budget = declared_sorts(raw), secret_inputs(raw), Budget()
    written = (span for _, text in texts(list_at(raw, "template")) for span in spans(text))
    if sum(len(span.source) for span in written) > MAX_CHARACTERS:
        summary = f"the template's expressions have more than {MAX_CHARACTERS} characters in total"
        yield Problem(("template",), "expression-limit", summary, "split it into several blueprints", at_key=True)
        return
    names: set[tuple[object, object]] = set()
    for index, document in enumerate(list_at(raw, "template")):
        if not isinstance(document, dict):
            continue  # the types report it
        path: Path = ("template", index)
        yield from _outer(document, path)
        yield from (
            problem._replace(path=(*path, *problem.path)) for problem in _expressions(document, sorts, secrets, budget)
        )
        kind, name = document.get("kind"), text_at(mapping_at(document, "metadata"), "name")
        if kind not in TEMPLATE_KINDS:
            continue
        for problem in check({key: value for key, value in document.items() if key in _KEYS}):
            if problem.code in _ALWAYS or not _open(document, problem.path):
                where = dotted(("spec", *path))
                yield problem._replace(path=(*path, *problem.path), summary=f"{where}: {problem.summary}")
        if name is not None and (kind, name) in names:
            summary = f"{dotted(('spec', *path))}: the template makes {kind} {shown(name)} twice"
            yield Problem((*path, "metadata", "name"), "duplicate-name", summary, "give one of them another name")
        names.add((kind, name))


def declared_sorts(raw: Mapping[str, Any]) -> dict[str, Sort]:
    """Return the variables of a template with their types. An input that is written badly has the type ANY."""
    sorts = dict(CONTEXT_SORTS)
    for written in list_at(raw, "inputs"):
        name = text_at(written, "name") if isinstance(written, dict) else None
        if name is None or written.get("type") == InputType.SECRET:
            continue
        try:
            sorts[f"inputs.{name}"] = BlueprintInput.model_validate(written).sort
        except ValueError:
            sorts[f"inputs.{name}"] = Sort.ANY
    return sorts


def secret_inputs(raw: Mapping[str, Any]) -> frozenset[str]:
    """Return the inputs that are secrets, as a template writes them. No expression can see one."""
    inputs = [written for written in list_at(raw, "inputs") if isinstance(written, dict)]
    return frozenset(f"inputs.{written.get('name')}" for written in inputs if written.get("type") == InputType.SECRET)


def hint_of(mistake: Mistake) -> str | None:
    """Return the nearest known word as a hint, or else the mistake's own hint."""
    near = did_you_mean(mistake.word, mistake.known) if mistake.word is not None else None
    return near or mistake.hint


def _outer(document: dict[str, Any], path: Path) -> Iterator[Problem]:
    where = dotted(("spec", *path))
    for key in document:
        if key == "apiVersion":
            yield Problem(
                (*path, key), "unknown-key", f"{where}.{key} has no place in a template", "leave it out", True
            )
        elif key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or "known are kind, metadata, spec"
            yield Problem((*path, key), "unknown-key", f"{where}.{shown(key)} is not known", hint, True)
    kind = document.get("kind")
    known = ", ".join(TEMPLATE_KINDS)
    if kind is None:
        yield Problem(path, "missing-key", f"{where}.kind is missing", f"one of {known}")
    elif kind not in TEMPLATE_KINDS:
        word = shown(kind) if isinstance(kind, str) else "that"
        yield Problem((*path, "kind"), "invalid-value", f"{where}: an instance cannot make a {word}", f"one of {known}")
    if "movedFrom" in mapping_at(document, "metadata"):
        summary = f"{where}.metadata.movedFrom is not supported by this version"
        yield Problem((*path, "metadata", "movedFrom"), "not-supported", summary, "leave it out", True)


def _expressions(
    document: dict[str, Any], sorts: Mapping[str, Sort], secrets: frozenset[str], budget: Budget
) -> Iterator[Problem]:
    for path in _keys(document):
        hint = "write expressions in values only"
        yield Problem(path, "invalid-expression", "a key cannot contain an expression", hint, at_key=True)
    for path, text in texts(document):
        for span in spans(text):
            yield from (_problem(path, span, mistake) for mistake in _mistakes(span, text, sorts, secrets, budget))


def _mistakes(
    span: Span, text: str, sorts: Mapping[str, Sort], secrets: frozenset[str], budget: Budget
) -> tuple[Mistake, ...]:
    if not span.closed:
        return (Mistake("invalid-expression", "the expression is not closed", 0, "end it with }}"),)
    if span.source.strip() in secrets and is_whole(span, text):
        return ()
    try:
        compiled = compile_expression(span.source, sorts)
        if not compiled.uses:
            # It has the same value for every instance, so it can be evaluated now.
            spliced(compiled.evaluate({}, budget), whole=is_whole(span, text))
    except Failed as failed:
        return tuple(_about_secret(mistake) if mistake.word in secrets else mistake for mistake in failed.mistakes)
    return ()


def _about_secret(mistake: Mistake) -> Mistake:
    summary = f"{mistake.word} is a secret and can only be a whole value of env or files"
    return Mistake(
        "secret-in-text", summary, mistake.at, 'write "${{ ' + f"{mistake.word}" + ' }}" and nothing beside it'
    )


def spliced(value: Any, *, whole: bool) -> Any:
    """Return the value of an expression as it goes into its text.

    Raise Failed for a list, a map or null inside a text.
    """
    if whole or isinstance(value, str):
        return value
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case None:
            raise Failed(
                Mistake(
                    "expression-failed", "returns null, which cannot go into a text", 0, "compare it with null first"
                )
            )
        case _:
            raise Failed(
                Mistake("expression-failed", "returns a list or a map, which cannot go into a text", 0, "use join")
            )


def _problem(path: Path, span: Span, mistake: Mistake) -> Problem:
    return Problem(path, mistake.code, as_clause(mistake), hint_of(mistake), within=(span.index, mistake.at))


_VERBS = ("is ", "takes ", "gives ", "returns ")


def as_clause(mistake: Mistake) -> str:
    """Return the summary of a mistake as a clause about the expression."""
    return f"the expression {mistake.summary}" if mistake.summary.startswith(_VERBS) else mistake.summary


def _keys(document: dict[str, Any]) -> Iterator[Path]:
    todo: list[tuple[Path, Any]] = [((), document)]
    while todo:
        path, item = todo.pop()
        if isinstance(item, dict):
            for key, value in item.items():
                if OPENS in key:
                    yield (*path, key)
                todo.append(((*path, key), value))
        elif isinstance(item, list):
            todo.extend(((*path, index), value) for index, value in enumerate(item))


def _open(document: Any, path: Path) -> bool:
    """Whether an expression determines the value at `path`: the value is one, or holds one directly below."""
    value = document
    for part in path:
        if isinstance(value, str):
            break
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
    around = value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
    return any(isinstance(part, str) and OPENS in part for part in around)
