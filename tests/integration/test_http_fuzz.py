"""Requests made at random from the server's own description: none is an accident."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from reindex.server.app import make_app
from tests.http_fixtures import key, served_project

TEXTS = [f"text number {n}" for n in range(20)]
REQUESTS = 4000
NAMES = ["a", "_id", "text", "$or", "$and", "$not", "gte", "lt", "empty", "a.b", "", "a[]", "a b"]
ODD: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 2**70, -(2**63), 1e308, 0.5, "", " ", "v1", "v2",
    "docs", "d1", "text number 3", "é", "\x00", "../../etc", "9" * 30, "x" * 300, [], {}, [None],
]  # fmt: skip


class Maker:
    """Values as a schema has them, and now and then not."""

    def __init__(self, things: dict[str, Any], seed: int) -> None:
        self.things, self.dice = things, random.Random(seed)

    def odd(self, depth: int = 0) -> Any:
        """Anything at all."""
        dice = self.dice.random()
        if dice < 0.6 or depth > 3:
            return self.dice.choice(ODD)
        several = range(self.dice.randint(0, 3))
        if dice < 0.8:
            return [self.odd(depth + 1) for _ in several]
        return {self.dice.choice(NAMES): self.odd(depth + 1) for _ in several}

    def made(self, schema: dict[str, Any]) -> Any:
        """Of a schema, in seven of eight."""
        if self.dice.random() < 0.12:
            return self.odd()
        if "$ref" in schema:
            return self.made(self.things[schema["$ref"].rpartition("/")[2]])
        if "anyOf" in schema or "enum" in schema:
            several = schema.get("anyOf") or [{"const": value} for value in schema["enum"]]
            return self.made(self.dice.choice(several))
        return self._plain(schema)

    def _plain(self, schema: dict[str, Any]) -> Any:
        if "properties" in schema:
            needed = schema.get("required", ())
            return {
                name: self.made(said)
                for name, said in schema["properties"].items()
                if name in needed or self.dice.random() < 0.5
            }
        if schema.get("type") == "array":
            return [self.made(schema["items"]) for _ in range(self.dice.randint(0, 4))]
        if schema.get("type") == "object":
            return {self.dice.choice(NAMES): self.odd(1) for _ in range(self.dice.randint(0, 3))}
        fitting = [value for value in ODD if type(value).__name__[:3] == schema.get("type", "")[:3]]
        return schema.get("const", self.dice.choice(fitting or ODD))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_request_is_an_accident(tmp_path: Path, seed: int) -> None:
    with (
        served_project(tmp_path, TEXTS) as project,
        TestClient(make_app(project), raise_server_exceptions=False) as client,
    ):
        client.headers.update(key(project, "read", "search", "write", "operate"))
        client.headers["Content-Type"] = "application/json"
        schema = client.get("/openapi.json").json()
        maker = Maker(schema["components"]["schemas"], seed)
        operations = [
            (method, path, said)
            for path, methods in schema["paths"].items()
            for method, said in methods.items()
        ]
        codes = set()
        for _ in range(REQUESTS):
            method, path, said = maker.dice.choice(operations)
            query = {}
            for item in said.get("parameters", []):
                value = maker.made(item["schema"])
                if item["in"] == "path":
                    path = path.replace(f"{{{item['name']}}}", quote(str(value), safe="") or "x")
                elif value is not None:
                    query[item["name"]] = value if isinstance(value, str) else json.dumps(value)
            body = None
            if "requestBody" in said:
                wanted = said["requestBody"]["content"]["application/json"]["schema"]
                body = json.dumps(maker.made(wanted))
            answer = client.request(method, path, params=query, content=body)
            codes.add(answer.status_code)
            assert answer.status_code < 500, (method, path, query, body, answer.text)
        assert {200, 202, 204, 400, 404, 409, 422} <= codes
