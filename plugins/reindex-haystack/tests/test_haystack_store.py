"""`ReindexDocumentStore` by Haystack's own suites, over HTTP, and what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from haystack import Document
from haystack.components.writers import DocumentWriter
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DocumentStore, DuplicatePolicy
from haystack.testing.document_store import (
    CountDocumentsTest,
    DeleteDocumentsTest,
    FilterDocumentsTest,
    WriteDocumentsTest,
)
from haystack.utils import Secret
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.haystack_project import TEXTS, live_haystack_project, meta_of
from tests.http_fixtures import listening

from haystack_integrations.document_stores.reindex import ReindexDocumentStore
from haystack_integrations.document_stores.reindex.converters import to_document
from reindex.errors import AccessDenied, ConfigError
from reindex.records import point_id
from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app


class Served:
    """A project behind HTTP, and a store over it with a key to write."""

    def __init__(self, project: HashWorkspace, url: str) -> None:
        self.project, self.url = project, url
        self.key = ApiKeys(project.registry).add("writer", ["write"], "nobody@nowhere")
        self.store = ReindexDocumentStore(url, api_key=Secret.from_token(self.key))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Nothing is in it: what the files had is deleted."""
    folder = tmp_path_factory.mktemp("haystack-empty")
    with (
        live_haystack_project(folder, versions=1, count=1) as project,
        listening(make_app(project)) as url,
    ):
        yield Served(project, url)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The 30 documents of files."""
    folder = tmp_path_factory.mktemp("haystack-full")
    with (
        live_haystack_project(folder) as project,
        listening(make_app(project)) as url,
    ):
        yield Served(project, url)


class TestHaystacksSuites(
    CountDocumentsTest, DeleteDocumentsTest, FilterDocumentsTest, WriteDocumentsTest
):
    """Vectors are not given back, and the order is that of the points: both are let go here."""

    @pytest.fixture
    def document_store(self, empty: Served) -> ReindexDocumentStore:
        empty.store.delete_documents([item.id for item in empty.store.filter_documents()])
        return empty.store

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        assert all(item.embedding is None for item in received)
        assert plain(received) == plain(expected)

    def test_write_documents(self, document_store: DocumentStore) -> None:
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError, match="1 of 1 documents are there already"):
            document_store.write_documents([document])
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document], policy=DuplicatePolicy.NONE)


def plain(documents: list[Document]) -> list[tuple[str, str | None, str]]:
    return sorted((item.id, item.content, repr(sorted(item.meta.items()))) for item in documents)


def test_files_documents_come_as_haystacks(full: Served) -> None:
    found = full.store.filter_documents({"field": "meta.number", "operator": "==", "value": 7})
    assert found == [Document(id="d7", content=TEXTS[7], meta={"_id": "d7", **meta_of(7)})]
    assert full.store.count_documents() == 30
    assert len(full.store.filter_documents()) == 30


def test_more_than_a_page_and_a_request_hold(empty: Served) -> None:
    many = [Document(id=f"m{n}", content=f"one of many: {n}", meta={"n": n}) for n in range(700)]
    store = empty.store
    try:
        assert store.write_documents(many, DuplicatePolicy.OVERWRITE) == 700
        found = store.filter_documents({"field": "meta.n", "operator": ">=", "value": 0})
        assert plain(found) == plain(many)
        assert store.write_documents([*many, Document(content="new")], DuplicatePolicy.SKIP) == 1
    finally:
        store.delete_documents([item.id for item in store.filter_documents()])
    assert store.count_documents() == 0


def test_a_document_of_the_files_is_overwritten_in_its_place(full: Served) -> None:
    changed = Document(id="d3", content="another text", meta={"number": 3})
    with pytest.raises(DuplicateDocumentError, match="'d3'"):
        full.store.write_documents([changed])
    try:
        assert full.store.write_documents([changed], DuplicatePolicy.OVERWRITE) == 1
        assert full.store.count_documents() == 30
        numbers = {"field": "meta.number", "operator": "==", "value": 3}
        assert full.store.filter_documents(numbers) == [changed]
    finally:
        before = Document(id="d3", content=TEXTS[3], meta={"_id": "d3", **meta_of(3)})
        full.store.write_documents([before], DuplicatePolicy.OVERWRITE)


def test_what_was_written_is_in_the_next_version(full: Served) -> None:
    """Also where the rows' text field is called otherwise than the payloads'."""
    written = Document(id="news", content="written beside the files", meta={"number": 99})
    full.store.write_documents([written])
    try:
        report = full.project.build("v2")
        assert (report.complete, report.dead) == (True, 0)
        stored = full.project.store.retrieve("docs--v2", [point_id("news")], with_payload=True)
        assert to_document("news", stored[point_id("news")].payload) == written
    finally:
        full.store.delete_documents(["news"])


def test_of_one_id_twice_the_last_is_written(empty: Served) -> None:
    twice = [Document(id="x", content="first"), Document(id="x", content="second")]
    try:
        assert empty.store.write_documents(twice, DuplicatePolicy.OVERWRITE) == 1
        assert [item.content for item in empty.store.filter_documents()] == ["second"]
    finally:
        empty.store.delete_documents(["x"])


def test_a_writer_writes_blocking_and_not(empty: Served, caplog: pytest.LogCaptureFixture) -> None:
    writer = DocumentWriter(empty.store, policy=DuplicatePolicy.OVERWRITE)
    documents = [Document(id="w", content="a text", embedding=[0.5] * 4)]
    try:
        assert writer.run(documents)["documents_written"] == 1
        assert "vectors of 1 documents are not stored" in caplog.text
        assert asyncio.run(again(empty.store, writer, documents)) == (1, ["a text"])
    finally:
        empty.store.delete_documents(["w"])


async def again(
    store: ReindexDocumentStore, writer: DocumentWriter, documents: list[Document]
) -> tuple[int, list[str | None]]:
    written = await writer.run_async(documents)
    found = await store.filter_documents_async()
    assert await store.count_documents_async() == len(found)
    await store.delete_documents_async(["nowhere"])
    await writer.close_async()
    return written["documents_written"], [item.content for item in found]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (Document(id="x"), "'x' has no text"),
        (Document(id="x", content=" \n"), "'x' has no text"),
    ],
)
def test_a_document_without_text_is_refused(empty: Served, document: Document, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        empty.store.write_documents([Document(content="fine"), document])
    assert empty.store.count_documents() == 0


def test_what_is_no_list_or_policy_is_refused(empty: Served) -> None:
    """A text is a list of letters, and each letter might be an id."""
    single = [Document(id="a", content="a"), Document(id="b", content="b")]
    empty.store.write_documents(single)
    try:
        with pytest.raises(ValueError, match="list of documents' ids, got 'ab'"):
            empty.store.delete_documents("ab")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="DuplicatePolicy, got 'skip'"):
            empty.store.write_documents(single, "skip")  # type: ignore[arg-type]
        assert empty.store.count_documents() == 2
    finally:
        empty.store.delete_documents(["a", "b"])


def test_metadata_that_is_no_json_is_refused(empty: Served) -> None:
    from reindex.errors import WriteRefused

    with pytest.raises(WriteRefused, match="'x'"):
        empty.store.write_documents([Document(id="x", content="a", meta={"when": object()})])


def test_reading_needs_no_key_and_writing_does(full: Served) -> None:
    store = ReindexDocumentStore(full.url)
    assert store.count_documents() == 30
    with pytest.raises(AccessDenied, match="scope 'write'"):
        store.write_documents([Document(content="a text")])


def test_payloads_of_another_layout_are_read_but_not_written(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("haystack-plain")
    write_documents(folder, TEXTS[:3])
    with hash_project(folder, versions=1) as project:
        project.build("v1")
        project.promote("v1")
        with listening(make_app(project)) as url:
            served = Served(project, url)
            found = sorted(served.store.filter_documents(), key=lambda item: item.id)
            assert [(item.id, item.content) for item in found] == [
                (f"d{n}", TEXTS[n]) for n in range(3)
            ]
            with pytest.raises(ConfigError, match=r'payload = "haystack"'):
                served.store.write_documents([Document(content="a text")])
            served.store.delete_documents(["d1"])
            assert served.store.count_documents() == 2
