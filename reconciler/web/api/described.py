"""What OpenAPI says of errors: the one shape that all of them have, with the media type that is sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reconciler.web.api.errors import MEDIA_TYPE
from reconciler.web.once import HEADER, PATTERN

_EVERYWHERE = {
    HTTPStatus.UNAUTHORIZED: "There is no valid token.",
    HTTPStatus.NOT_FOUND: "It does not exist, or the caller may not know of it, or may not do this.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path has no such method; the header Allow names those that it has.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter or the body is wrong; `errors` names each field.",
    HTTPStatus.TOO_MANY_REQUESTS: "The token makes more requests than it may; Retry-After says when to go on.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be used now, or nothing is in force yet.",
}
_CHANGING = {HTTPStatus.CONFLICT: "It cannot be done as things are; `reason` says why."}
_IF_MATCH = {HTTPStatus.PRECONDITION_FAILED: "What it is about is not as If-Match says any more."}

_PROBLEM = {
    "title": "Problem",
    "description": "Why a request was not answered (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "reason", "detail"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The phrase of the status."},
        "status": {"type": "integer"},
        "reason": {"type": "string", "description": "One CamelCase word."},
        "detail": {"type": "string", "description": "One sentence for a person."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_ONCE = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "A new random text for each request: one that is sent again with it is not done again.",
    "schema": {"type": "string", "pattern": PATTERN},
}
_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what the request is about, as the client read it: if it is another one now, nothing is "
    "done. That is the path itself, or, for an action at its end, the path without it.",
    "schema": {"type": "string"},
}
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def describe_errors(app: FastAPI, *prefixes: str) -> None:
    """Have the app's description name the errors that the paths below the prefixes answer with."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = made["components"]["schemas"]
            schemas["Problem"] = _PROBLEM
            # The framework's own shape of an error, which is never sent.
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path, methods in made["paths"].items():
                if path.startswith(prefixes):
                    for method, operation in methods.items():
                        _describe(operation, path, changes=method != "get")
            _gather(made["paths"], schemas)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # how the framework wants it done


def _gather(part: Any, schemas: dict[str, Any]) -> None:
    """Move the shapes that a route's own description brings along to where all others are."""
    match part:
        case dict():
            for name, shape in part.pop("$defs", {}).items():
                _gather(shape, schemas)
                schemas[name] = shape
            for inner in part.values():
                _gather(inner, schemas)
        case list():
            for inner in part:
                _gather(inner, schemas)
        case _:
            pass


def _describe(operation: dict[str, Any], path: str, *, changes: bool) -> None:
    ordinary = changes and "/tfstate" not in path and "/runner/" not in path
    told = _EVERYWHERE | (_CHANGING if changes else {}) | (_IF_MATCH if ordinary else {})
    answers = {str(int(status)): {"description": text, "content": _CONTENT} for status, text in told.items()}
    if ordinary:
        operation.setdefault("parameters", []).extend((_ONCE, _MATCH))
    if not changes:
        answers["304"] = {"description": "The client has this answer already, as its If-None-Match says."}
    operation["responses"] = {**operation["responses"], **dict(sorted(answers.items()))}
