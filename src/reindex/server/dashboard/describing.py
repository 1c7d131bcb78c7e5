"""The API for people: what `/openapi.json` says, as a page that loads nothing from elsewhere.

A viewer from a CDN would run others' code beside the dashboard's forms.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
Kind = list[tuple[str, str]]
"""What is written of a type: (words, the object that they name, or nothing)."""

_SAMPLES: dict[str, Any] = {"string": "…", "integer": 1, "number": 0.5, "boolean": True}
_REF = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Item:
    """A parameter, or a field of an object."""

    name: str
    kind: Kind
    about: str
    needed: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. ``gives``: status -> what the body is; ``example``: a line for a shell."""

    method: str
    path: str
    about: str
    scope: str
    parameters: list[Item]
    takes: Kind
    gives: list[tuple[str, Kind]]
    example: str


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that is sent or answered."""

    name: str
    about: str
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page."""

    about: str
    groups: dict[str, list[Operation]]
    things: list[Thing]


def reference(schema: Json, address: str) -> Reference:
    """What ``schema`` (OpenAPI) describes; ``address`` is where examples go to."""
    things = schema["components"]["schemas"]
    groups: dict[str, list[Operation]] = {}
    for path, method, said in _operations(schema):
        found = _operation(method, path, said, things, address)
        groups.setdefault(said["tags"][0], []).append(found)
    return Reference(
        schema["info"]["description"].strip(), groups,
        [_thing(name, things[name]) for name in sorted(things)],
    )  # fmt: skip


def _operations(schema: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in schema["paths"].items():
        for method, said in methods.items():
            yield path, method.upper(), said


def _operation(method: str, path: str, said: Json, things: Json, address: str) -> Operation:
    body = _content(said.get("requestBody", {}))
    allowed = said.get("security", [])
    scopes = sorted({scope for way in allowed for found in way.values() for scope in found})
    return Operation(
        method, path, said.get("description", said["summary"]),
        ", ".join(scopes) + (" (open)" if {} in allowed else ""),
        [_item(one["name"], one["schema"], one["required"]) for one in said.get("parameters", [])],
        _kind(body) if body else [],
        [(status, _given(gives)) for status, gives in said["responses"].items()],
        _example(method, address + path, _sample(body, things) if body else None, scopes),
    )  # fmt: skip


def _given(said: Json) -> Kind:
    return _kind(_content(said)) if "content" in said else [("nothing", "")]


def _content(said: Json) -> Json:
    found: Json = said.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _example(method: str, url: str, body: Any, scopes: list[str]) -> str:
    line = "curl" if method in ("GET", "POST") else f"curl -X {method}"
    line += ' -H "Authorization: Bearer $KEY"' if scopes else ""
    if body is None:
        return f"{line} {'-X POST ' if method == 'POST' else ''}'{url}'"
    sent = json.dumps(body, ensure_ascii=False)
    return f"{line} -H 'Content-Type: application/json' '{url}' -d '{sent}'"


def _sample(schema: Json, things: Json) -> Any:
    """The least that is taken, with a word for every text."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _sample(things[schema["$ref"].removeprefix(_REF)], things)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], things)
    if schema.get("type") == "array":
        return [_sample(schema["items"], things)]
    if "properties" in schema:
        needed = schema.get("required", ())
        return {name: _sample(schema["properties"][name], things) for name in needed}
    return _SAMPLES.get(schema.get("type", ""), {})


def _thing(name: str, schema: Json) -> Thing:
    needed = schema.get("required", ())
    items = [
        _item(field, said, field in needed) for field, said in schema.get("properties", {}).items()
    ]
    return Thing(name, schema.get("description", ""), items)


def _item(name: str, schema: Json, required: bool) -> Item:
    default = json.dumps(schema["default"]) if "default" in schema else ""
    return Item(name, _kind(schema), schema.get("description", ""), "yes" if required else default)


def _kind(schema: Json) -> Kind:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return [(name, name)]
    if "anyOf" in schema:
        several = [_kind(one) for one in schema["anyOf"]]
        return several[0] + [piece for one in several[1:] for piece in [(" or ", ""), *one]]
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema["const"]]
        return [(" or ".join(json.dumps(value) for value in values), "")]
    if schema.get("type") == "array":
        return [("list of ", ""), *_kind(schema.get("items", {}))]
    if isinstance(schema.get("additionalProperties"), dict):
        return [("object of ", ""), *_kind(schema["additionalProperties"])]
    return [(schema.get("type", "any"), "")]
