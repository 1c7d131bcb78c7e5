"""`reindex.connect`: a server and a project on this host answer the same, blocking and not."""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import reindex
from reindex import errors
from reindex.connection import Connection, conversation
from reindex.connection.http import HttpConnection
from reindex.records import Document
from reindex.registry.api_keys import ApiKeys
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.server.app import make_app
from reindex.stages.building import build
from reindex.stages.searching import settle
from tests import fault_proxy as faults
from tests.fault_proxy import FaultProxy, Rules
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project, write_documents
from tests.http_fixtures import listening

TEXTS = [f"text number {n}" for n in range(40)]
WRITES = r"POST /v1/documents"


WRONG: list[tuple[type[Exception], str, str, list[Any], dict[str, Any]]] = [
    (errors.FilterRefused, "beyond", "search", ["a"], {"where": {"n": {"beyond": 3}}}),
    (errors.FilterRefused, "as a condition", "search", ["a"], {"where": "n=3"}),
    (errors.RequestRefused, "k", "search", ["a", 0], {}),
    (errors.RequestRefused, "query|queries", "search", [""], {}),
    (errors.RequestRefused, "one text", "search_many", ["a"], {}),
    (errors.RequestRefused, "none empty", "embed", [["a", ""]], {"kind": "query"}),
    (errors.RequestRefused, "one text", "embed", ["a"], {"kind": "query"}),
    (errors.RequestRefused, "'query' or", "embed", [["a"]], {"kind": "passage"}),
    (errors.RequestRefused, f"v1 has {DIM}", "embed", [["a"]], {"kind": "query", "dimensions": 99}),
    (errors.UnknownVersion, "v9", "embed", [["a"]], {"kind": "query", "model": "v9"}),
    (errors.WriteRefused, "'x'", "upsert", [[("x", "  ", {})]], {}),
    (errors.WriteRefused, "'x'", "upsert", [[("x", "a", {"n": float("nan")})]], {}),
    (errors.WriteRefused, "'x'", "upsert", [[("x", "a\ud800", {})]], {}),
    (errors.FeedbackError, "Feedback needs", "feedback", ["abc"], {}),
    (errors.FeedbackError, "take lists", "feedback", ["abc"], {"clicked": "d1"}),
]


class Way:
    """A connection, asked with or without asyncio."""

    def __init__(self, connection: Connection, runner: asyncio.Runner | None) -> None:
        self._connection, self._runner = connection, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._runner is None:
            asked: Callable[..., Any] = getattr(self._connection, name)
            return asked
        run, method = self._runner.run, getattr(self._connection, f"a{name}")
        return lambda *args, **kwargs: run(method(*args, **kwargs))


@contextmanager
def asked(connection: Connection, *, asynchronous: bool) -> Iterator[Way]:
    with asyncio.Runner() as runner:
        way = Way(connection, runner if asynchronous else None)
        yield way
        way.close()


@contextmanager
def a_project(folder: Path) -> Iterator[HashWorkspace]:
    """v1 is live, v2 is built."""
    write_documents(folder, TEXTS)
    limits = {"max_texts": 7, "max_body_mb": 0.01}
    with hash_project(folder, server=limits) as project:
        for version in ("v1", "v2"):
            build(project, version)
        project.promote("v1")
        yield project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HashWorkspace]:
    with a_project(tmp_path_factory.mktemp("connection")) as project:
        yield project


@pytest.fixture(scope="module")
def key(project: HashWorkspace) -> str:
    return ApiKeys(project.registry).add("tester", ["write", "search", "read"], "nobody")


@pytest.fixture(scope="module")
def url(project: HashWorkspace) -> Iterator[str]:
    with listening(make_app(project)) as url:
        yield url


@pytest.fixture(params=["http", "local", "http-async", "local-async"])
def way(
    request: pytest.FixtureRequest, project: HashWorkspace, url: str, key: str
) -> Iterator[Way]:
    kind, _, asynchronous = request.param.partition("-")
    connection = reindex.connect(url if kind == "http" else project, api_key=key)
    with asked(connection, asynchronous=bool(asynchronous)) as way:
        yield way


def recorded(project: HashWorkspace, search: str) -> set[tuple[Any, ...]]:
    """(kind, document, grade) of a search's feedback."""
    project.recorder.flush()
    with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as file:
        rows = file.execute("SELECT kind, document, grade FROM feedback WHERE search = ?", [search])
        return {(kind, None if kind == "grade" else json.loads(document), grade)
                for kind, document, grade in rows}  # fmt: skip


@pytest.fixture
def flipping(project: HashWorkspace) -> Iterator[Callable[[], None]]:
    """What flips to v2; v1 is live again afterwards."""

    def flip() -> None:
        project.promote("v2", force=True, reason="a test")
        settle(project)

    yield flip
    project.promote("v1", force=True, reason="a test")
    settle(project)


class TestEveryWay:
    def test_a_search_is_what_the_retriever_answers(self, way: Way, project: HashWorkspace) -> None:
        where = {"_id": {f"d{n}" for n in range(20)}}
        found = way.search(TEXTS[3], 5, where=where, key="somebody")
        expected = project.retriever().search(TEXTS[3], 5, where=where, key="somebody")
        assert found == expected
        assert (found.version, found.collection, found.side) == ("v1", "docs--v1", "live")
        assert found[0].payload["text"] == TEXTS[3]

    def test_more_queries_than_a_request_takes(self, way: Way) -> None:
        found = way.search_many(TEXTS[:30], 1)
        assert [item[0].id for item in found] == [f"d{n}" for n in range(30)]
        assert {item.version for item in found} == {"v1"}
        assert way.search_many([]) == []

    def test_a_flip_is_followed(self, way: Way, flipping: Callable[[], None]) -> None:
        assert way.search(TEXTS[0]).version == "v1"
        flipping()
        assert way.search(TEXTS[0]).version == "v2"
        assert way.embed(["a"], kind="query").version == "v2"

    @pytest.mark.parametrize("kind", ["query", "document"])
    def test_vectors_are_those_of_what_is_live(self, way: Way, kind: Any) -> None:
        found = way.embed(TEXTS[:20], kind=kind)
        expected = encoder_of("v1").encode_queries(TEXTS[:20])
        assert (found.version, found.vectors.dtype) == ("v1", np.float32)
        np.testing.assert_array_equal(found.vectors, expected)

    def test_a_model_and_dimensions(self, way: Way) -> None:
        found = way.embed(["a"], kind="query", model="v2", dimensions=8)
        expected = encoder_of("v2").encode_queries(["a"])[:, :8]
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found.vectors, expected, rtol=1e-6)
        assert way.embed(["a"], kind="query", model="docs").version == "v1"
        assert way.embed([], kind="query").vectors.shape == (0, 0)

    def test_documents_come_and_go(self, way: Way) -> None:
        documents = [Document(f"new-{n}", f"news {n}", {"tenant": "a"}) for n in range(17)]
        acks = way.upsert(documents)
        assert [ack.id for ack in acks] == [f"new-{n}" for n in range(17)]
        assert {ack.collection for ack in acks} == {"docs--v1"}
        hit = way.search("news 16", 1)[0]
        assert (hit.id, hit.payload["tenant"]) == ("new-16", "a")
        assert len(way.delete([f"new-{n}" for n in range(17)])) == 17
        assert way.search("news 16", 1)[0].id != "new-16"
        assert way.upsert([]) == []
        assert way.delete([]) == []

    def test_documents_are_found_by_their_payload(self, way: Way, project: HashWorkspace) -> None:
        assert set(way.find({"_id": ["d3", "d5", "nowhere"]})) == {"d3", "d5"}
        assert len(way.find({"_id": [f"d{n}" for n in range(40)]}, 4)) == 4
        way.upsert([Document(n, f"number {n}", {"kind": "number"}) for n in range(9)])
        assert sorted(way.find({"kind": "number"})) == list(range(9))
        either = {"$or": ({"_id": {"d3", "d5"}}, {"kind": "number", "$not": {"kind": ("x", "y")}})}
        assert set(way.find(either)) == {"d3", "d5", *range(9)}
        assert set(way.find({"$not": {"_id": {"empty": False}}})) == set(range(9))
        for wrong in ({}, {"a": None}):
            with pytest.raises((errors.FilterRefused, errors.RequestRefused)):
                way.find(wrong)

    def test_documents_are_read_by_id_and_by_page(self, way: Way) -> None:
        ids = [f"d{n}" for n in range(19, -1, -1)]
        found = way.fetch([*ids, "nowhere", "d3"])
        assert [item.id for item in found] == ids
        assert found[0] == Document("d19", TEXTS[19], found[0].payload, found[0].rev)
        assert found[0].payload["text"] == TEXTS[19]
        assert way.fetch([]) == []
        read, page = [], way.page(limit=17)
        while page.following is not None:
            read.append(page)
            page = way.page(page.following, 17)
        read.append(page)
        sizes = [len(item.documents) for item in read]
        assert (set(sizes[:-1]), sum(sizes)) == ({17}, way.count())
        assert {d.id for item in read for d in item.documents} >= {f"d{n}" for n in range(40)}
        with pytest.raises((errors.DataError, errors.RequestRefused), match="following"):
            way.page("d3")

    def test_one_document_alone(self, way: Way) -> None:
        assert [ack.id for ack in way.upsert(Document("one", "one text", {}))] == ["one"]
        assert [ack.id for ack in way.upsert(("two", "two texts", {}))] == ["two"]
        assert [ack.id for ack in way.delete("one")] == ["one"]

    def test_feedback_is_recorded(self, way: Way, project: HashWorkspace) -> None:
        found = way.search(TEXTS[7])
        way.feedback(found, clicked=["d7"], grade=0.5)
        with pytest.raises(errors.FeedbackError):
            way.feedback(found, grade=7)
        assert recorded(project, found.search_id) == {("clicked", "d7", 1.0), ("grade", None, 0.5)}

    def test_the_status(self, way: Way) -> None:
        found = way.status()
        assert (found["live_version"], found["alias"]) == ("v1", "docs")
        assert {item["version"] for item in found["collections"]} == {"v1", "v2"}

    def test_errors_are_the_same(self, way: Way) -> None:
        for error, said, method, given, named in WRONG:
            with pytest.raises(error, match=said) as raised:
                getattr(way, method)(*given, **named)
            assert type(raised.value) is error


def test_nothing_is_live_yet(tmp_path: Path) -> None:
    with hash_project(tmp_path) as project, listening(make_app(project)) as url:
        for target in (url, project):
            with reindex.connect(target) as connection:
                with pytest.raises(errors.CollectionNotFound, match="reindex promote"):
                    connection.search("a")
                with pytest.raises(errors.CollectionNotFound):
                    connection.embed(["a"], kind="query")


def interrupted(url: str, talk: Any, between: Callable[[], None]) -> tuple[int, Any]:
    """Answers that it took, and the result; ``between`` happens after the first one."""
    client, asks = HttpConnection(url), [next(talk)]
    try:
        while True:
            said = client._answer(asks[-1])
            if len(asks) == 1:
                between()
            asks.append(talk.send(said))
    except StopIteration as end:
        return len(asks), end.value
    finally:
        client.close()


class TestHttp:
    def test_a_key_is_needed_for_writing(
        self, url: str, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REINDEX_API_KEY", raising=False)
        with reindex.connect(url) as connection:
            assert connection.search("a").version == "v1"
            with pytest.raises(errors.AccessDenied, match="reindex keys add"):
                connection.delete(["d1"])
        monkeypatch.setenv("REINDEX_API_KEY", key)
        with reindex.connect(f"{url}/v1/") as connection:
            assert connection.delete(["d1"])[0].id == "d1"
            assert key not in repr(connection)
        with (
            reindex.connect(url, api_key="rx_wrong") as connection,
            pytest.raises(errors.AccessDenied),
        ):
            connection.delete(["d2"])

    def test_one_that_is_too_large_for_any_request(self, url: str, key: str) -> None:
        with reindex.connect(url, api_key=key) as connection:
            with pytest.raises(errors.RequestTooLarge, match="max_body_mb"):
                connection.upsert([("a", "long " * 4000, {})])
            acks = connection.upsert([(n, f"{n} " + "long " * 500, {}) for n in range(9)])
            assert [ack.id for ack in acks] == list(range(9))

    def test_more_than_a_request_takes_lies_in_one_space(
        self, url: str, flipping: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A flip between two requests of one call must not mix vectors of two versions."""
        monkeypatch.setattr(conversation, "MOST_ITEMS", 5)
        talk = conversation.embed(TEXTS[:12], "query", None, None)
        answers, found = interrupted(url, talk, flipping)
        assert (answers, found.version) == (3, "v1")
        np.testing.assert_array_equal(found.vectors, encoder_of("v1").encode_queries(TEXTS[:12]))

    def test_searches_around_a_flip_are_asked_again(
        self, url: str, flipping: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation, "MOST_ITEMS", 5)
        talk = conversation.search_many(TEXTS[:10], 1, None, None)
        answers, found = interrupted(url, talk, flipping)
        assert (answers, [item.version for item in found]) == (4, ["v2"] * 10)

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_a_broken_connection_costs_nothing(
        self, url: str, key: str, project: HashWorkspace, asynchronous: bool
    ) -> None:
        plan = Rules([
            (WRITES, [1], faults.drop), (WRITES, [2], faults.lose_answer),
            (WRITES, [3], faults.status(503, **{"Retry-After": "0"})),
            (r"POST /v1/search", [1, 2], faults.cut_answer), (r"GET /v1/status", [1], faults.drop),
        ])  # fmt: skip
        with FaultProxy(httpx.URL(url).port or 0, plan) as proxy:
            connection = reindex.connect(proxy.url, api_key=key)
            with asked(connection, asynchronous=asynchronous) as way:
                [ack] = way.upsert([("new", "quite another text", {})])
                assert way.search("quite another text", 1)[0].id == "new"
                assert way.status()["live_version"] == "v1"
            assert len(proxy.calls(WRITES)) == 4
        [again] = project.indexer().upsert([("new", "quite another text", {})])
        assert again.rev == ack.rev + 1  # written once, though the first answer was lost

    def test_one_event_loop_after_the_other(self, url: str) -> None:
        """Scripts and notebooks call `asyncio.run` again and again."""
        connection = reindex.connect(url)

        async def search() -> str:
            try:
                return (await connection.asearch(TEXTS[1], 1)).version
            finally:
                await connection.aclose()

        assert [asyncio.run(search()) for _ in range(2)] == ["v1", "v1"]

    def test_event_loops_that_have_ended_are_let_go(self, url: str) -> None:
        with HttpConnection(url) as connection:
            for _ in range(4):
                asyncio.run(connection.asearch("a", 1))
            assert len(connection._clients) == 1

    def test_what_cannot_be_repeated_is_not(self, url: str) -> None:
        rules = [(r"POST /v1/feedback", [1], faults.lose_answer)]
        with (
            FaultProxy(httpx.URL(url).port or 0, Rules(rules)) as proxy,
            reindex.connect(proxy.url) as connection,
        ):
            found = connection.search("a")
            with pytest.raises(errors.ServerUnreachable):
                connection.feedback(found, clicked=["d1"])
            assert len(proxy.calls(r"POST /v1/feedback")) == 1

    def test_a_server_that_never_answers(self, url: str) -> None:
        rules = [(r"POST /v1/search", faults.EVERY, faults.hang)]
        with (
            FaultProxy(httpx.URL(url).port or 0, Rules(rules)) as proxy,
            reindex.connect(proxy.url, timeout=0.2) as connection,
        ):
            with pytest.raises(errors.ServerUnreachable, match=r"within 0\.2 s"):
                connection.search("a")
            assert len(proxy.calls()) == 1

    def test_nobody_is_there(self) -> None:
        with (
            reindex.connect("http://user:secret@127.0.0.1:9", timeout=1) as connection,
            pytest.raises(errors.ServerUnreachable, match="reindex serve") as raised,
        ):
            connection.search("a")
        assert "secret" not in str(raised.value)

    def test_another_path_of_a_server(self, url: str) -> None:
        with (
            reindex.connect(f"{url}/api") as connection,
            pytest.raises(errors.ServerError, match=r"Not Found.*Is this the address"),
        ):
            connection.search("a")

    def test_somebody_else_s_server(self, url: str) -> None:
        rules = [(r".*", faults.EVERY, faults.status(404, "Not Found"))]
        with (
            FaultProxy(httpx.URL(url).port or 0, Rules(rules)) as proxy,
            reindex.connect(proxy.url) as connection,
            pytest.raises(errors.ServerError, match="404"),
        ):
            connection.search("a")


class TestTargets:
    def test_a_folder_or_its_file(self, tmp_path: Path) -> None:
        hash_project(tmp_path).close()
        for target in (tmp_path, str(tmp_path / "reindex.toml")):
            with reindex.connect(target) as connection:
                assert connection.status()["versions"] == 2

    def test_a_project_stays_its_owner_s(self, project: HashWorkspace) -> None:
        reindex.connect(project).close()
        assert project.status().live_version == "v1"

    def test_through_the_owner_of_the_store(self, project: HashWorkspace) -> None:
        """Another process owns the embedded store: searches and writes run in there."""
        with project.own():
            other = HashWorkspace(project.settings)
            with other, reindex.connect(other) as connection:
                assert connection.search(TEXTS[2], 1)[0].id == "d2"
                assert connection.embed(["a"], kind="query").version == "v1"
                assert connection.upsert([("new", "news", {})])[0].collection == "docs--v1"

    def test_a_connection_is_one_already(self, project: HashWorkspace) -> None:
        connection = reindex.connect(project)
        assert reindex.connect(connection) is connection
        assert connection.target == str(project.settings.root)

    def test_a_pickled_one_is_opened_anew_with_its_key(self, url: str, key: str) -> None:
        with (
            reindex.connect(url, api_key=key, timeout=7) as connection,
            pickle.loads(pickle.dumps(connection)) as again,
        ):
            again.upsert([Document("new", "a new one", {})])
            assert again.target == connection.target == url
            assert again.search("a new one", 1)[0].id == "new"
        assert reindex.connect("http://user:secret@localhost:1/v1").target == "http://localhost:1"

    def test_a_pickled_one_of_a_project(self, tmp_path: Path) -> None:
        hash_project(tmp_path).close()
        with (
            reindex.connect(tmp_path) as connection,
            pickle.loads(pickle.dumps(connection)) as again,
        ):
            assert again.target == connection.target == str(tmp_path)

    @pytest.mark.parametrize(
        "target", ["localhost:8080", "ftp://here", "http://", "/no/such/folder", "http://a:b:c"]
    )
    def test_what_is_none(self, target: str) -> None:
        with pytest.raises(errors.ConfigError):
            reindex.connect(target)

    def test_a_server_needs_neither_torch_nor_the_server_s_packages(self, url: str) -> None:
        code = (
            f"import sys, reindex; c = reindex.connect({url!r}); assert c.search('a').version;"
            "print([m for m in ('torch', 'fastapi', 'onnxruntime', 'qdrant_client')"
            " if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
