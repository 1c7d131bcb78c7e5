"""A hash project on a server, its whole protocol, and the check of what the server holds then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from qdrant_client import QdrantClient

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.errors import ReindexError
from reindex.records import point_id
from reindex.stages.building import build
from reindex.stages.comparing import compare_with_live
from reindex.stages.promoting import promote, rollback
from reindex.stores.server import ServerStore
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents

Result = TypeVar("Result")
TEXTS = [f"the text of document number {number}" for number in range(120)]
HURRIED = 0.02
"""How much of each pause between two tries the tests wait: the rules stay, the seconds do not."""


def server_project(
    folder: Path,
    url: str,
    texts: Sequence[str] = TEXTS,
    **qdrant: Any,
) -> HashWorkspace:
    """A project whose store is the server at ``url``, with judged queries."""
    folder.mkdir(exist_ok=True)
    write_documents(folder, texts)
    write_judgements(folder / "data", texts)
    return hash_project(
        folder,
        store={"kind": "server"},
        qdrant={"url": url, "prefer_grpc": False, "timeout": 2, **qdrant},
        embed={"batch_size": 8},
        serving={"lease_ttl": 0.2},
        build={"allow_deletes": 1.0},
    )


def write_judgements(data: Path, texts: Sequence[str]) -> None:
    """Some documents' own texts as queries: few, because the stand-in searches slowly."""
    chosen = range(0, len(texts), 15)
    rows = [json.dumps({"_id": f"q{i}", "text": texts[i]}) for i in chosen]
    (data / "queries.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    (data / "qrels").mkdir(exist_ok=True)
    judged = "".join(f"q{i}\td{i}\t1\n" for i in chosen)
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, "utf-8")


def hurried_store(url: str, *, attempts: int, timeout: int = 10) -> ServerStore:
    """A store that waits between its tries, but not as long."""
    client = QdrantClient(url, timeout=timeout, check_compatibility=False)
    return ServerStore(
        client, attempts=attempts, sleep=lambda seconds: time.sleep(HURRIED * seconds)
    )


@contextmanager
def direct(url: str) -> Iterator[ServerStore]:
    """A store to look at the server with, past the proxy."""
    store = hurried_store(url, attempts=1)
    yield store
    store.close()


def edit_source(folder: Path) -> None:
    """The next state: a seventh of the texts edited, of the payloads too, ten deleted, five new."""
    rows: list[dict[str, Any]] = [{"_id": f"d{n}", "text": t} for n, t in enumerate(TEXTS[:-10])]
    for row in rows[3::7]:
        row["text"] += ", edited"
    for row in rows[4::7]:
        row["tenant"] = "another"
    rows += [{"_id": f"n{number}", "text": f"a new text, {number}"} for number in range(5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data" / "corpus.jsonl").write_text(lines, "utf-8")


Step = Callable[[HashWorkspace], Any]
PROTOCOL: dict[str, Step] = {
    "build v1": lambda workspace: build(workspace, "v1"),
    "promote v1": lambda workspace: promoted(workspace, "v1"),
    "build v2": lambda workspace: build(workspace, "v2"),
    "edit": lambda workspace: edit_source(workspace.settings.root),
    "build v2 again": lambda workspace: build(workspace, "v2"),
    "compare v2": lambda workspace: compare_with_live(workspace, "v2"),
    "promote v2": lambda workspace: promoted(workspace, "v2"),
    "rollback": lambda workspace: returned(workspace, "v1"),
}
"""Every stage of a version's life on a server; both collections end equal to the edited source."""


def promoted(workspace: HashWorkspace, version: str) -> None:
    """Promote, unless an earlier try did and only its answer was lost."""
    if workspace.live_collection() != workspace.settings.collection(version):
        promote(workspace, version, force=True, reason="test")


def returned(workspace: HashWorkspace, version: str) -> None:
    """Roll back, unless an earlier try did."""
    if workspace.live_collection() != workspace.settings.collection(version):
        rollback(workspace)


def until_done(
    step: Callable[[], Result], errors: list[ReindexError], *, tries: int = 60, pause: float = 0
) -> Result:
    """Run a step again after each failure, as an operator would; any other exception is a bug."""
    for _ in range(tries):
        try:
            return step()
        except ReindexError as error:
            errors.append(error)
            time.sleep(pause)
    raise AssertionError(f"not done after {tries} tries; at last: {errors[-1]}")


def check_contents(workspace: HashWorkspace, store: ServerStore, version: str) -> None:
    """Nothing lost, nothing doubled, nothing stale: the collection is what the source says."""
    collection, encoder = workspace.settings.collection(version), encoder_of(version)
    documents = {point_id(doc.id): doc for doc in workspace.source.documents(IgnoredLetters())}
    pages = store.scroll(collection, with_payload=True, with_vector=True)
    points = [point for page in pages for point in page]
    assert sorted(map(str, documents)) == sorted(str(point.id) for point in points)
    texts = [documents[point.id].text for point in points]
    vectors = encoder.encode_documents(texts)
    for point, vector in zip(points, vectors, strict=True):
        assert point.payload == documents[point.id].payload
        assert point.stamp is not None
        assert (point.stamp.id, point.stamp.space) == (documents[point.id].id, encoder.space)
        np.testing.assert_allclose(np.asarray(point.vector), vector, atol=1e-6)
    assert store.missing_vectors(collection) == set()
