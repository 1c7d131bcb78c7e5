"""`/openapi.json`: what FastAPI finds out, and what it cannot: keys, scopes, errors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from reindex.server.auth import OPEN, scope_of

Json = dict[str, Any]

SCHEMES: Json = {
    "bearer": {
        "type": "http", "scheme": "bearer",
        "description": "A key of `reindex keys add NAME --scope …`.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}  # fmt: skip


class ErrorDetails(BaseModel):
    """What went wrong, in OpenAI's form."""

    message: str = Field(description="What was expected, what came, and what to do.")
    type: str = Field(description="The kind, as OpenAI names it.")
    param: str | None = Field(description="The field that it is about.")
    code: str | None = Field(description="The name of the exception in Python.")


class Error(BaseModel):
    """The body of every answer that is none."""

    error: ErrorDetails


def describe(app: FastAPI, routers: Iterable[APIRouter], *, open_reading: bool) -> None:
    """Let ``app`` describe itself wholly, the first time that somebody asks."""
    by_fastapi = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _whole(by_fastapi(), routers, open_reading)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's guide has it


def _whole(schema: Json, routers: Iterable[APIRouter], open_reading: bool) -> Json:
    parts = schema["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(name, None)
    error = Error.model_json_schema(ref_template="#/components/schemas/{model}")
    parts["schemas"] |= {**error.pop("$defs"), "Error": error}
    parts["securitySchemes"] = SCHEMES
    for route in chain.from_iterable(router.routes for router in routers):
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _complete(schema["paths"][route.path_format][method.lower()], route, open_reading)
    return schema


def _complete(operation: Json, route: APIRoute, open_reading: bool) -> None:
    operation["responses"].pop("422", None)
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation["responses"]["default"] = {"description": "What went wrong.", "content": content}
    scope = next(filter(None, (scope_of(item.call) for item in route.dependant.dependencies)), None)
    if scope is not None:
        nobody: list[Json] = [{}] if open_reading and scope in OPEN else []
        operation["security"] = [*nobody, *({scheme: [scope]} for scheme in SCHEMES)]
