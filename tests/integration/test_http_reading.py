"""Reading the live documents over HTTP, and beside the process that serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from reindex.errors import CollectionNotFound, DataError
from reindex.project import Project
from reindex.server.app import make_app
from reindex.stages.fetching import count, fetch, page
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import OwnerProcess

TEXTS = [f"the text of number {number}" for number in range(12)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HashWorkspace]:
    folder = tmp_path_factory.mktemp("reading")
    write_documents(folder, TEXTS)
    with hash_project(folder, versions=1) as project:
        project.build("v1")
        project.promote("v1")
        project.indexer().upsert([("späte Post", "written alone", {"year": 2024})])
        yield project


@pytest.fixture(scope="module")
def client(project: HashWorkspace) -> Iterator[TestClient]:
    with TestClient(make_app(project), raise_server_exceptions=False) as client:
        yield client


def test_documents_come_by_their_ids_in_the_order_asked(client: TestClient) -> None:
    asked = {"ids": ["d7", "nowhere", "späte Post", "d2", "d7"]}
    found = client.post("/v1/documents/get", json=asked).json()["documents"]
    assert [item["id"] for item in found] == ["d7", "späte Post", "d2"]
    assert [item["text"] for item in found] == [TEXTS[7], "written alone", TEXTS[2]]
    assert found[1]["payload"] == {"year": 2024, "text": "written alone"}
    assert all(item["rev"] > 0 for item in found)


@pytest.mark.parametrize("limit", [1, 5, 13, 500])
def test_pages_cover_everything_once(client: TestClient, limit: int) -> None:
    ids, start = [], None
    while True:
        given = {"limit": limit} | ({} if start is None else {"start": start})
        answer = client.get("/v1/documents", params=given).json()
        assert 0 < len(answer["documents"]) <= limit
        ids += [item["id"] for item in answer["documents"]]
        start = answer["following"]
        if start is None:
            break
    assert sorted(ids) == sorted(["späte Post", *(f"d{n}" for n in range(12))])
    assert client.get("/v1/documents/count").json() == {"count": 13}


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "told"),
    [
        ("GET", "/v1/documents?limit=0", None, 400, "limit"),
        ("GET", "/v1/documents?limit=100000", None, 400, "is the most"),
        ("GET", "/v1/documents?start=d3", None, 422, "`following` of the page before"),
        ("GET", "/v1/documents?start=%C2%B2", None, 422, "`following` of the page before"),
        ("GET", f"/v1/documents?start={'9' * 5000}", None, 422, "`following` of the page before"),
        ("POST", "/v1/documents/get", {"ids": []}, 400, "ids"),
        ("POST", "/v1/documents/get", {"ids": ["d"] * 100_000}, 400, "max_texts"),
    ],
)
def test_wrong_questions_are_told(
    client: TestClient, method: str, path: str, given: Any, status: int, told: str
) -> None:
    answer = client.request(method, path, json=given)
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]


def test_it_takes_the_scope_to_read(tmp_path: Path) -> None:
    closed = hash_project(tmp_path, versions=1, server={"open_reading": False})
    with closed, TestClient(make_app(closed), raise_server_exceptions=False) as client:
        for method, path in (
            ("GET", "/v1/documents"), ("GET", "/v1/documents/count"), ("POST", "/v1/documents/get")
        ):  # fmt: skip
            assert client.request(method, path, json={"ids": ["d1"]}).status_code == 401


def test_where_nothing_is_live_that_is_said(tmp_path: Path) -> None:
    with hash_project(tmp_path, versions=1) as project:
        for read in (count, page, lambda project: fetch(project, ["d1"])):
            with pytest.raises(CollectionNotFound, match="points at nothing"):
                read(project)


def test_a_page_of_nothing_is_refused(project: HashWorkspace) -> None:
    with pytest.raises(DataError, match="at least one"):
        page(project, limit=0)


def test_beside_the_owner_it_is_the_owner_who_reads(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, versions=1) as project:
        project.build("v1")
        project.promote("v1")
    with OwnerProcess(tmp_path), Project(project.settings) as beside:
        assert beside.other_owner() is not None
        assert count(beside) == 12
        assert [item.text for item in fetch(beside, ["d3", "nowhere"])] == [TEXTS[3]]
        first = page(beside, limit=5)
        assert first == page(beside, None, 5)
        assert len(first.documents) == 5
        assert first.following is not None
        assert beside.status().source is not None
