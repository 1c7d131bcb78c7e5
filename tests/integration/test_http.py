"""The HTTP server over the real engine: what it answers, to whom, and what it refuses."""

from __future__ import annotations

import gc
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app
from reindex.stages.building import build
from reindex.stages.searching import settle
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents
from tests.http_fixtures import error, key, served_project
from tests.owner_fixtures import until

TEXTS = [f"text number {n}" for n in range(60)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    with served_project(tmp_path, TEXTS) as project:
        yield project


@pytest.fixture
def client(project: HashWorkspace) -> Iterator[TestClient]:
    with TestClient(make_app(project), raise_server_exceptions=False) as client:
        yield client


class TestSearch:
    def test_an_answer_names_the_version_and_the_collection(self, client: TestClient) -> None:
        found = client.post("/v1/search", json={"query": TEXTS[7], "k": 3}).json()
        assert (found["version"], found["collection"], found["side"]) == ("v1", "docs--v1", "live")
        assert len(found["hits"]) == 3
        assert found["hits"][0]["id"] == "d7"
        assert found["hits"][0]["score"] == pytest.approx(1)
        assert found["hits"][0]["payload"]["text"] == TEXTS[7]

    def test_it_is_what_the_library_answers(
        self, client: TestClient, project: HashWorkspace
    ) -> None:
        asked: dict[str, Any] = {
            "query": TEXTS[3],
            "k": 5,
            "offset": 2,
            "where": {"_id": [f"d{n}" for n in range(30)]},
        }
        found = client.post("/v1/search", json=asked).json()["hits"]
        expected = project.retriever().search(TEXTS[3], 5, offset=2, where=asked["where"])
        assert [(hit["id"], hit["score"]) for hit in found] == [
            (hit.id, pytest.approx(hit.score)) for hit in expected
        ]

    def test_a_flip_is_followed(self, client: TestClient, project: HashWorkspace) -> None:
        assert client.post("/v1/search", json={"query": "a"}).json()["version"] == "v1"
        project.promote("v2", force=True, reason="test")
        settle(project)
        assert client.post("/v1/search", json={"query": "a"}).json()["version"] == "v2"

    def test_a_version_by_name(self, client: TestClient) -> None:
        found = client.post("/v1/search", json={"query": TEXTS[1], "version": "v2", "k": 1}).json()
        assert (found["version"], found["hits"][0]["id"]) == ("v2", "d1")

    def test_several_at_once(self, client: TestClient) -> None:
        asked = {"queries": TEXTS[:3], "k": 1, "payload": False}
        found = client.post("/v1/search/batch", json=asked).json()["results"]
        assert [item["hits"][0]["id"] for item in found] == ["d0", "d1", "d2"]
        assert found[0]["hits"][0]["payload"] is None

    def test_feedback_is_recorded(self, client: TestClient, project: HashWorkspace) -> None:
        found = client.post("/v1/search", json={"query": TEXTS[7]}).json()
        said = {"search_id": found["search_id"], "clicked": ["d7"]}
        assert client.post("/v1/feedback", json=said).status_code == 204
        assert client.post("/v1/feedback", json={"search_id": "x"}).status_code == 422

    @pytest.mark.parametrize(
        ("asked", "status", "message"),
        [
            ({}, 400, "query: Field required"),
            ({"query": ""}, 400, "query"),
            ({"query": "a", "k": 0}, 400, "k: "),
            ({"query": "a", "k": 900, "offset": 200}, 400, "server.max_k"),
            ({"query": "a", "version": "v9"}, 404, "v9"),
            ({"query": "a", "where": {"n": {"beyond": 3}}}, 422, "beyond"),
            ({"query": "a", "where": {"n": 2**70}}, 422, "'n'"),
            ({"query": "a", "filter": {"tenant": "a"}}, 400, "filter: There is no such field"),
        ],
    )
    def test_wrong_input(
        self, client: TestClient, asked: dict[str, Any], status: int, message: str
    ) -> None:
        answer = client.post("/v1/search", json=asked)
        assert (answer.status_code, message in error(answer)["message"]) == (status, True), (
            answer.text
        )

    def test_too_many_queries(self, client: TestClient) -> None:
        answer = client.post("/v1/search/batch", json={"queries": ["a"] * 9})
        assert "server.max_texts" in error(answer)["message"]

    @pytest.mark.parametrize("chunked", [False, True])
    def test_too_large_a_body(self, client: TestClient, chunked: bool) -> None:
        body = json.dumps({"query": "a" * 20_000}).encode()
        content: Any = iter([body[:5000], body[5000:]]) if chunked else body
        answer = client.post("/v1/search", content=content)
        assert answer.status_code == 413
        assert "server.max_body_mb" in error(answer)["message"]


class TestDocuments:
    def test_a_write_is_found_by_the_next_search(
        self, client: TestClient, project: HashWorkspace
    ) -> None:
        headers = key(project, "write")
        document = {"id": "new", "text": "quite another text", "payload": {"tenant": "a"}}
        answer = client.post("/v1/documents", json={"documents": [document]}, headers=headers)
        [ack] = answer.json()["acknowledged"]
        assert (ack["id"], ack["collection"]) == ("new", "docs--v1")
        found = client.post("/v1/search", json={"query": "quite another text", "k": 1}).json()
        assert found["hits"][0]["id"] == "new"
        assert found["hits"][0]["payload"]["tenant"] == "a"
        assert client.delete("/v1/documents/new", headers=headers).status_code == 200
        found = client.post("/v1/search", json={"query": "quite another text", "k": 1}).json()
        assert found["hits"][0]["id"] != "new"
        asked = {"documents": [{**document, "id": "guide/a b"}]}
        assert client.post("/v1/documents", json=asked, headers=headers).status_code == 200
        assert client.delete("/v1/documents/guide%2Fa%20b", headers=headers).status_code == 200
        found = client.post("/v1/documents/get", json={"ids": ["guide/a b"]}).json()
        assert found["documents"] == []
        answer = client.post("/v1/documents/delete", json={"ids": ["d1"]}, headers=headers)
        assert answer.status_code == 200
        assert client.post("/v1/search", json={"query": TEXTS[1]}).json()["hits"][0]["id"] != "d1"

    def test_the_same_request_twice_is_written_once(
        self, client: TestClient, project: HashWorkspace
    ) -> None:
        headers = {**key(project, "write"), "Idempotency-Key": "once"}
        asked = {"documents": [{"id": "new", "text": "a text"}]}
        revs = {
            client.post("/v1/documents", json=asked, headers=headers).json()["acknowledged"][0][
                "rev"
            ]
            for _ in range(2)
        }
        assert len(revs) == 1
        for other in ([{"id": "new", "text": "another"}], [{"id": n, "text": "x"} for n in "ab"]):
            answer = client.post("/v1/documents", json={"documents": other}, headers=headers)
            assert (answer.status_code, error(answer)["code"]) == (422, "WriteRefused")
        answer = client.post("/v1/documents/delete", json={"ids": ["new"]}, headers=headers)
        assert answer.status_code == 422

    def test_one_that_cannot_be_stored(self, client: TestClient, project: HashWorkspace) -> None:
        headers = key(project, "write")
        asked = {"documents": [{"id": "a", "text": "good", "metadata": {"tenant": "a"}}]}
        answer = client.post("/v1/documents", json=asked, headers=headers)
        assert (answer.status_code, error(answer)["param"]) == (400, "documents.0.metadata")
        asked = {"documents": [{"id": "a", "text": "good"}, {"id": "b"}]}
        answer = client.post("/v1/documents", json=asked, headers=headers)
        assert answer.status_code == 422
        assert error(answer)["code"] == "WriteRefused"
        assert (
            client.post("/v1/search", json={"query": "good", "k": 1}).json()["hits"][0]["id"] != "a"
        )


class TestDecisions:
    def test_a_refusal_is_no_accident_in_the_log(
        self, client: TestClient, project: HashWorkspace, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = client.post("/v1/promote", json={"version": "v2"}, headers=key(project, "operate"))
        assert answer.status_code == 409
        gc.collect()
        assert [item for item in caplog.records if item.name == "asyncio"] == []

    def test_promote_and_roll_back_name_the_key(
        self, client: TestClient, project: HashWorkspace
    ) -> None:
        headers = key(project, "operate", name="ci")
        answer = client.post("/v1/promote", json={"version": "v2"}, headers=headers)
        assert answer.status_code == 409
        assert "does not pass the gate" in error(answer)["message"]
        mistyped = {"version": "v2", "force": True, "reason": "a test", "dryrun": True}
        assert client.post("/v1/promote", json=mistyped, headers=headers).status_code == 400
        assert project.live_collection() == "docs--v1"
        forced = {"version": "v2", "force": True, "reason": "a test"}
        assert client.post("/v1/promote", json=forced, headers=headers).status_code == 200
        assert project.live_collection() == "docs--v2"
        assert client.post("/v1/rollback", json={}, headers=headers).status_code == 200
        flips = client.get("/v1/history").json()["history"]
        host = socket.gethostname()
        assert [(flip["version"], flip["who"]) for flip in flips[:2]] == [
            ("v1", f"ci over HTTP@{host}"), ("v2", f"ci over HTTP@{host}"),
        ]  # fmt: skip

    def test_a_canary(self, client: TestClient, project: HashWorkspace) -> None:
        headers = key(project, "operate")
        asked = {"version": "v2", "weight": 1.0}
        assert client.post("/v1/canary", json=asked, headers=headers).json()["weight"] == 1
        search = {"query": "a"}
        until(lambda: client.post("/v1/search", json=search).json()["version"] == "v2", "its pair")
        assert 'reindex_canary_weight{version="v2"} 1.0' in client.get("/metrics").text
        client.post("/v1/canary/end", json={"reason": "enough"}, headers=headers)
        assert client.post("/v1/search", json={"query": "a"}).json()["version"] == "v1"

    def test_what_the_registry_knows(self, client: TestClient) -> None:
        assert [item["name"] for item in client.get("/v1/versions").json()["versions"]] == [
            "v1",
            "v2",
        ]
        assert client.get("/v1/versions/v2").json()["space"] == encoder_of("v2").space
        assert client.get("/v1/versions/v3").status_code == 404
        assert client.get("/v1/status").json()["live_version"] == "v1"
        assert client.get("/v1/comparisons").json() == {"comparisons": []}


class TestKeys:
    @pytest.mark.parametrize(
        ("method", "path"),
        [("POST", "/v1/documents"), ("DELETE", "/v1/documents/a"), ("POST", "/v1/documents/delete"),
         ("POST", "/v1/promote"), ("POST", "/v1/rollback"), ("POST", "/v1/canary"),
         ("POST", "/v1/canary/end")],
    )  # fmt: skip
    def test_writing_and_operating_need_one(
        self, client: TestClient, project: HashWorkspace, method: str, path: str
    ) -> None:
        assert client.request(method, path, json={}).status_code == 401
        answer = client.request(method, path, json={}, headers={"Authorization": "Bearer sk-1"})
        assert answer.status_code == 401
        answer = client.request(method, path, json={}, headers=key(project, "search", "read"))
        assert answer.status_code == 403

    def test_reading_needs_one_where_that_is_said(self, tmp_path: Path) -> None:
        write_documents(tmp_path, TEXTS)
        with hash_project(tmp_path, server={"open_reading": False}) as project:
            build(project, "v1")
            project.promote("v1")
            with TestClient(make_app(project)) as client:
                asked = {"query": "a"}
                assert client.post("/v1/search", json=asked).status_code == 401
                assert client.get("/metrics").status_code == 401
                assert client.get("/health/ready").status_code == 200
                headers = key(project, "search")
                assert client.post("/v1/search", json=asked, headers=headers).status_code == 200
                assert client.get("/v1/versions", headers=headers).status_code == 403

    def test_a_revoked_key_opens_nothing(self, client: TestClient, project: HashWorkspace) -> None:
        headers = key(project, "write", "search")
        assert client.post("/v1/search", json={"query": "a"}, headers=headers).status_code == 200
        ApiKeys(project.registry).revoke("tester")
        assert client.post("/v1/search", json={"query": "a"}, headers=headers).status_code == 401

    def test_keys_are_nowhere_in_the_registry_or_the_log(
        self, client: TestClient, project: HashWorkspace, caplog: pytest.LogCaptureFixture
    ) -> None:
        headers = key(project, "write")
        secret = headers["Authorization"].removeprefix("Bearer ")
        with caplog.at_level(logging.DEBUG):
            client.post(
                "/v1/documents", json={"documents": [{"id": 1, "text": "private"}]}, headers=headers
            )
            client.post("/v1/search", json={"query": "private"}, headers=headers)
        lines = [
            json.loads(item.message) for item in caplog.records if item.name == "reindex.access"
        ]
        assert [(line["route"], line["status"]) for line in lines] == [
            ("/v1/documents", 200), ("/v1/search", 200),
        ]  # fmt: skip
        assert lines[0]["key"] == "tester"
        assert "private" not in caplog.text
        assert secret not in caplog.text
        assert secret.encode() not in project.registry.path.read_bytes()


class TestHealth:
    def test_nothing_is_live_yet(self, tmp_path: Path) -> None:
        with hash_project(tmp_path) as project, TestClient(make_app(project)) as client:
            assert client.get("/health/live").status_code == 200
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
            assert "reindex promote" in answer.json()["reason"]
            assert client.post("/v1/search", json={"query": "a"}).status_code == 503

    def test_ready(self, client: TestClient) -> None:
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()) == (
            200, {"status": "ready", "version": "v1", "reason": None},
        )  # fmt: skip

    def test_degraded_still_serves(self, client: TestClient, project: HashWorkspace) -> None:
        project.promote("v2", force=True, reason="test")

        def broken(*_: Any, **__: Any) -> Any:
            from reindex.errors import ArtifactError

            raise ArtifactError("its file is damaged")

        project.encoder = broken  # type: ignore[method-assign]
        settle(project)
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
        assert "damaged" in answer.json()["reason"]
        assert client.post("/v1/search", json={"query": "a"}).json()["version"] == "v1"

    def test_figures(self, client: TestClient) -> None:
        client.post("/v1/search", json={"query": "a"})
        text = client.get("/metrics").text
        assert 'reindex_live{version="v1"} 1.0' in text
        assert 'reindex_stage_seconds_count{stage="encode"} 1.0' in text
        assert 'reindex_stage_seconds_count{stage="search"} 1.0' in text
        assert 'reindex_answers_total{side="live",version="v1"} 1.0' in text
        assert 'reindex_request_seconds_count{route="/v1/search",status="200"} 1.0' in text
        assert 'reindex_collection_points{collection="docs--v2",version="v2"} 60.0' in text


def test_an_error_nobody_thought_of_tells_a_number_and_no_more(
    client: TestClient, project: HashWorkspace, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret detail")

    project.store.search = broken  # type: ignore[method-assign]
    answer = client.post("/v1/search", json={"query": "a"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    number = error(answer)["message"].split()[-1].rstrip(".")
    assert number in caplog.text
    assert "secret detail" in caplog.text
