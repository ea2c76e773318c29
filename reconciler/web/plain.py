"""Routes that take a request as it is: for what machines ask many times a second.

To find out what a route takes, and to pass a request on to it, costs the framework more than such a request does. These
stand in front of the app, behind the guard alone. Each says itself what it takes and how it answers, which goes into
the description of the API, and errors have the same shape as all others.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.web.api.auth import DOCUMENTED
from reconciler.web.api.errors import KNOWN, as_api_error
from reconciler.web.api.parameters import refuse_body, refuse_unknown

Endpoint = Callable[[Request], Awaitable[Response]]
_Model = TypeVar("_Model", bound=BaseModel)
_OPEN = re.compile(r"\{(\w+)\}")
_REFERENCE = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class PlainRoute:
    """A route below a prefix, as in `/pools/{space}/{name}/claim`. `answer` is None where it is no JSON."""

    method: str
    path: str
    endpoint: Endpoint
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | str | None = None
    """What the body has to be, or its media type where the route reads it itself; None: there is none."""
    query: type[BaseModel] | None = None

    async def respond(self, request: Request) -> Response:
        """Answer a request; errors as the endpoint raises them."""
        if request.scope["query_string"]:
            refuse_unknown(request.query_params, _names(self.query))
        if self.body is None:
            await refuse_body(request)
        return await self.endpoint(request)


class PlainRoutes:
    """Answers for routes in front of an app; everything else is the app's."""

    def __init__(self, app: ASGIApp, prefix: str, routes: Sequence[PlainRoute]) -> None:
        """Stand in front of `app`, for `routes` below `prefix`."""
        self._app = app
        self._prefix = prefix
        self._fixed = {(it.method, prefix + it.path): it for it in routes if "{" not in it.path}
        self._open = [(it.method, _pattern(prefix + it.path), it) for it in routes if "{" in it.path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        route = self._find(scope) if scope["type"] == "http" and scope["path"].startswith(self._prefix) else None
        if route is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await route.respond(request)
        except KNOWN as error:
            response = as_api_error(error).response()
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> PlainRoute | None:
        method, path = scope["method"], scope["path"]
        found = self._fixed.get((method, path))
        if found is not None:
            return found
        for wanted, pattern, route in self._open:
            match = pattern.fullmatch(path) if wanted == method else None
            if match is not None:
                scope["path_params"] = match.groupdict()
                return route
        return None


def described(routes: Sequence[PlainRoute], tag: str) -> APIRouter:
    """Return the routes as the framework describes them. It would also answer, if nobody stood in front of it."""
    router = APIRouter(tags=[tag], dependencies=[DOCUMENTED])
    for route in routes:
        router.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            response_model=route.answer,
            response_class=Response if route.answer is None else JSONResponse,
            openapi_extra=_extra(route),
        )
    return router


def read_json(data: bytes, shape: type[_Model]) -> _Model:
    """Read the body of a request; RequestValidationError where it is not of that shape."""
    try:
        return shape.model_validate_json(data)
    except ValidationError as error:
        raise _invalid("body", error) from None


def read_query(request: Request, shape: type[_Model]) -> _Model:
    """Read the parameters of a request; RequestValidationError where they are not of that shape."""
    try:
        return shape.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise _invalid("query", error) from None


def json_of(answer: BaseModel) -> Response:
    """Return the response with an answer as JSON."""
    return Response(answer.model_dump_json(), media_type="application/json")


def _invalid(where: str, error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**each, "loc": (where, *each["loc"])} for each in error.errors()])


def _pattern(path: str) -> re.Pattern[str]:
    pattern, _, _ = compile_path(path)
    return pattern


def _names(query: type[BaseModel] | None) -> list[str]:
    return [] if query is None else [field.alias or name for name, field in query.model_fields.items()]


def _extra(route: PlainRoute) -> dict[str, Any]:
    """Return what the framework cannot see of a route: its parameters, and its body."""
    parameters = [
        _parameter("path", name, {"title": name.title(), "type": "string"}) for name in _OPEN.findall(route.path)
    ]
    if route.query is not None:
        schema = route.query.model_json_schema(ref_template=_REFERENCE)
        needed = schema.get("required", [])
        parameters += [
            _parameter("query", name, of, required=name in needed) for name, of in schema["properties"].items()
        ]
    extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if isinstance(route.body, str):
        extra["requestBody"] = {"content": {route.body: {}}, "required": True}
    elif route.body is not None:
        shape = {"$defs": {route.body.__name__: route.body.model_json_schema(ref_template=_REFERENCE)}}
        reference = {"$ref": _REFERENCE.format(model=route.body.__name__)}
        extra["requestBody"] = {"content": {"application/json": {"schema": shape | reference}}, "required": True}
    return extra


def _parameter(where: str, name: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}
