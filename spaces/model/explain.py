"""pydantic's errors in plain words, with a hint where one is likely to help."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from spaces.model.base import WORDS, Model, Path, Problem

_WANTED = {
    "string_type": "text",
    "string_sub_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "float_type": "a number",
    "tuple_type": "a list",
    "list_type": "a list",
}
# The errors that our own validators raise.
CUSTOM_HINTS: Mapping[str, str | None] = {
    "invalid-duration": None,
    "invalid-version": 'write it as in ">=1.8,<2", "~> 1.9" or "1.9.8"',
    "invalid-cron": 'five fields, as in "*/30 * * * *" or "0 3 * * MON"',
    "invalid-timezone": "a name such as UTC or Europe/Berlin",
    "invalid-time": "write it as 2030-12-31T18:00:00Z or 2030-12-31T18:00:00+01:00, or leave it out",
    "invalid-reconcile": "write true, false or safe, without quotes around true and false",
    "invalid-branch": "no spaces, no .. and none of ~^:?*[\\, not beginning with - or ending with .lock",
    "invalid-tag": "no spaces, no .. and none of ~^:?*[\\, not beginning with - or ending with .lock",
    "invalid-range": "write it as >=1.4 <2, ^1.4, ~1.4 or 1.x",
    "invalid-url": "https://…, http://…, ssh://…, file:///… or user@host:path",
    "not-a-value": None,
    "url-with-credentials": "leave it out of the url and use spec.credentials",
}


MAX_SHOWN = 80

QUOTE = "put it into quotes"
"""What helps where text is wanted."""


def did_you_mean(word: str, known: Collection[str]) -> str | None:
    """Return "did you mean …?" with the nearest of `known`, or None if none is near."""
    if len(word) > MAX_SHOWN:  # comparing a word far longer than any key costs a lot
        return None
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelling pays for it

    near = get_close_matches(word, known, n=1, cutoff=0.6) or [name for name in known if name.lower() == word.lower()]
    return f"did you mean {near[0]}?" if near else None


def shape_of(value: object) -> str:
    """Return the type of a YAML value in words, without showing the value."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a mapping"
        case _:
            return "a list"


def explain(failure: ValidationError, model: type[Model], prefix: Path) -> Iterator[Problem]:
    """Yield the errors of `failure`, which `model` raised below `prefix` of the document, as problems."""
    for detail in failure.errors(include_url=False):
        yield _explain(detail, model, prefix)


def shown(text: str) -> str:
    """Return `text` cut to 80 characters, with everything escaped that does not print on one line."""
    short = text[:MAX_SHOWN]
    return short if short.isprintable() else repr(short)[1:-1]


def dotted(path: Path) -> str:
    """Return a path as people write it: spec.contexts[0].name."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shown(part)}"
    return text.removeprefix(".")


def _explain(detail: ErrorDetails, model: type[Model], prefix: Path) -> Problem:
    at_key = detail["loc"][-1:] == ("[key]",)
    # Parts in brackets are no keys of the document: "[key]" marks a mapping's key, the others name a value's shape.
    within: Path = tuple(part for part in detail["loc"] if not str(part).startswith("["))
    path = (*prefix, *within)
    where, value, context = dotted(path), detail["input"], detail.get("ctx", {})
    code, rule, hint = "invalid-value", detail["msg"].removeprefix("Input "), None
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(path, where, _model_at(model, within[:-1]))
        case "missing":
            return Problem(path[:-1], "missing-key", f"{where} is missing", at_key=True)
        case "enum":
            later = getattr(_model_at(model, within[:-1]), "later", {})
            return _not_one_of(path, where, value, context["expected"], later, at_key=at_key)
        case "string_pattern_mismatch" if context.get("pattern") in WORDS:
            code, rule, hint = WORDS[context["pattern"]]
        case wanted if wanted in _WANTED:
            code, rule = "wrong-type", f"must be {_WANTED[wanted]}, is {shape_of(value)}"
            hint = _type_hint(wanted, value)
        case "string_unicode":
            rule = "holds half of a surrogate pair"
        case "string_too_long":
            rule = f"is longer than {context['max_length']} characters"
        case "too_long":
            rule = f"has more than {context['max_length']} entries"
        case custom if custom in CUSTOM_HINTS:
            code, hint = custom, CUSTOM_HINTS[custom]
    return Problem(path, code, f"{where} {rule}", hint, at_key)


def _unknown_key(path: Path, where: str, model: type[Model] | None) -> Problem:
    key = str(path[-1])
    if model and key in model.later:
        summary = f"{where} is not supported by this version: {model.later[key]}"
        return Problem(path, "not-supported", summary, "leave it out", at_key=True)
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    hint = did_you_mean(key, known) or (f"known are {', '.join(known)}" if known else None)
    return Problem(path, "unknown-key", f"{where} is not known", hint, at_key=True)


def _not_one_of(
    path: Path, where: str, value: object, expected: str, later: Mapping[str, str], *, at_key: bool
) -> Problem:
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    known = [word for word in words if word not in later]
    if not isinstance(value, str):
        return Problem(path, "wrong-type", f"{where} must be text, is {shape_of(value)}", at_key=at_key)
    if value in later:
        summary = f"{where}: {value} is not supported by this version: {later[value]}"
        return Problem(path, "not-supported", summary, f"one of {', '.join(known)}", at_key)
    hint = did_you_mean(value, known) or f"one of {', '.join(known)}"
    return Problem(path, "invalid-value", f"{where}: {shown(value)} is not known", hint, at_key)


def _type_hint(wanted: str, value: object) -> str | None:
    if wanted.startswith("string") and isinstance(value, bool | int | float):
        return QUOTE
    if wanted == "bool_type" and isinstance(value, str):
        return "write true or false, without quotes"
    return None


def _model_at(model: type[Model], path: Path) -> type[Model] | None:
    """Return the model at the end of a path through fields, lists and mappings; None if there is none."""
    current: type[Model] | None = model
    for part in path:
        if current is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        current = _model_in(fields[part].annotation) if part in fields else None
    return current


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
