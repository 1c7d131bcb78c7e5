"""What the server says of itself: OpenAPI, the page for people, the guide."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from reindex.server.app import make_app
from tests.http_fixtures import key, served_project

TEXTS = [f"text number {n}" for n in range(20)]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with served_project(tmp_path, TEXTS) as project, TestClient(make_app(project)) as client:
        client.headers.update(key(project, "read", "search", "write", "operate"))
        yield client


def test_answers_are_as_described(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    forced = {"version": "v2", "force": True, "reason": "a test"}
    write = {"documents": [{"id": "new", "text": "a text"}]}
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/v1/search", {"query": "a"}),
        ("POST", "/v1/search/batch", {"queries": ["a"]}),
        ("POST", "/v1/embeddings", {"input": "a"}),
        ("POST", "/v1/promote", forced),
        ("POST", "/v1/promote", {"version": "v1", "dry_run": True}),
        ("POST", "/v1/rollback", {}),
        ("POST", "/v1/documents", write),
        ("POST", "/v1/documents/find", {"where": {"_id": "d1"}}),
        *(("GET", path, None) for path in schema["paths"] if "{" not in path),
    ]
    for method, path, body in asked:
        if method.lower() in schema["paths"][path] and path != "/metrics":
            answer = client.request(method, path, json=body)
            assert answer.status_code == 200, (path, answer.text)
            described = schema["paths"][path][method.lower()]["responses"]["200"]
            _check(answer.json(), described, schema)
    wrong = client.post("/v1/search", json={"queri": "a"})
    _check(wrong.json(), schema["paths"]["/v1/search"]["post"]["responses"]["default"], schema)


def _check(said: Any, described: dict[str, Any], schema: dict[str, Any]) -> None:
    wanted = described["content"]["application/json"]["schema"]
    Draft202012Validator({**wanted, "components": schema["components"]}).validate(said)


def test_keys_and_scopes_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    scopes = {
        path: found["security"][-1]["header"]
        for path, methods in paths.items()
        for found in methods.values()
        if "security" in found
    }
    assert set(paths) - set(scopes) == {"/health/live", "/health/ready"}
    assert {scope for several in scopes.values() for scope in several} == {
        "search", "read", "write", "operate",
    }  # fmt: skip
    assert {} in paths["/v1/search"]["post"]["security"]
    assert {} not in paths["/v1/promote"]["post"]["security"]
    assert "422" not in paths["/v1/search"]["post"]["responses"]


def test_the_page_for_people_has_every_route_and_examples_that_work(client: TestClient) -> None:
    page = client.get("/docs").text
    schema = client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        assert all(f"<code>{method.upper()} {path}</code>" in page for method in methods), path
    for name in schema["components"]["schemas"]:
        assert f'id="object-{name}"' in page
    for example in re.findall(r"<code>(curl [^<]* -d [^<]*)</code>", page):
        where, body = re.findall(r"'http://testserver(\S*)' -d '(.*)'", html.unescape(example))[0]
        answer = client.post(where, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code not in (400, 422) or where == "/v1/feedback", (where, answer.text)


def test_the_guide_names_every_route_and_figure(client: TestClient) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "server.md").read_text("utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"{path}`" in guide or f"{path.rsplit('/', 1)[0]}" in guide, path
    figures = {
        line.split()[2] for line in client.get("/metrics").text.splitlines()
        if line.startswith("# TYPE") and not line.split()[2].endswith("_created")
    }  # fmt: skip
    assert {name for name in figures if name not in guide} == set()
