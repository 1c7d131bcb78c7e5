"""A server's collection read in parts: by its slice filter, and by ranges of ids before 1.19."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from reindex.config.stores import QdrantSettings
from reindex.errors import CollectionNotFound, ConfigError
from reindex.point_ids import pack_id
from reindex.records import PointId, PointSlice
from reindex.stores.server import ServerStore
from reindex.stores.server_client import connect
from tests.qdrant_server import serving
from tests.store_fixtures import points, spec, stamp, uuid_of

INTEGERS, UUIDS = 700, 900
IDS: list[PointId] = [*range(0, 3 * INTEGERS, 3), *map(uuid_of, range(UUIDS))]


@pytest.fixture(scope="module", params=["1.17.1", "1.19.0"])
def store(request: pytest.FixtureRequest) -> Iterator[ServerStore]:
    """1,600 points under integers and UUIDs; the version decides how they are divided."""
    client = QdrantClient(":memory:")
    store = ServerStore(client, attempts=1)
    store.version = request.param
    store.create(spec("docs"))
    store.create(spec("empty"))
    store.insert("docs", points(IDS))
    yield store
    store.close()


def read(store: ServerStore, part: PointSlice, size: int) -> list[PointId]:
    found: list[PointId] = []
    after: PointId | None = None
    while True:
        page, after = store.page("docs", part, after, size=size)
        assert len(page) <= size
        found += [point.id for point in page]
        if after is None:
            return found


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_parts_are_disjoint_and_all_there_is(store: ServerStore, count: int) -> None:
    parts = store.slices("docs", count)
    assert len(parts) == count
    found = [read(store, part, 50) for part in parts]
    for ids in found:
        assert ids == sorted(ids, key=pack_id)
        assert len(IDS) / count / 2 < len(ids) < 2 * len(IDS) / count
    together = [id for ids in found for id in ids]
    assert sorted(together, key=pack_id) == sorted(IDS, key=pack_id)


def test_the_version_says_how(store: ServerStore) -> None:
    by_hash = {part.total for part in store.slices("docs", 4)}
    assert by_hash == ({4} if store.version == "1.19.0" else {1})


def test_a_range_may_begin_where_no_point_is_and_end_with_a_page(store: ServerStore) -> None:
    assert read(store, PointSlice(4, 16), 4) == [6, 9, 12, 15]
    assert read(store, PointSlice(4, 16), 3) == [6, 9, 12, 15]
    assert read(store, PointSlice(2_097, uuid_of(0)), 3)[:1] == [2_097]
    assert read(store, PointSlice(7, 8), 3) == []


def test_payloads_come_where_they_are_asked_for(store: ServerStore) -> None:
    [bare], _ = store.page("docs", PointSlice(3, 4), None)
    [full], _ = store.page("docs", PointSlice(3, 4), None, with_payload=True)
    assert (bare.payload, full.payload) == ({}, {"text": "text 3"})
    assert bare.stamp == full.stamp == stamp("doc-3")


def test_nothing_is_one_empty_part_or_several(store: ServerStore) -> None:
    for part in store.slices("empty", 3):
        assert store.page("empty", part, None) == ([], None)
    with pytest.raises(CollectionNotFound):
        store.slices("nowhere", 3)


def test_the_same_store_opens_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path / "log") as url:
        settings = QdrantSettings(url=url, prefer_grpc=False)
        store = connect(settings, "secret")
        store.create(spec("docs"))
        pickled = pickle.dumps(store.elsewhere())
        assert b"secret" not in pickled
        monkeypatch.setenv("QDRANT_API_KEY", "secret")
        other = pickle.loads(pickled)()
        assert other.collections() == ["docs"]
        other.close()
        monkeypatch.delenv("QDRANT_API_KEY")
        with pytest.raises(ConfigError, match=r"QDRANT_API_KEY.*is not set on"):
            pickle.loads(pickled)()
        store.close()
