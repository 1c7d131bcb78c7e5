"""The stand-in for a Qdrant server keeps the promises that the tests above it rest on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.qdrant_server import Log, QdrantProcess, serving

NAME = "c"
COSINE = models.VectorParams(size=2, distance=models.Distance.COSINE)


def of_rev(rev: int) -> models.Filter:
    match = models.MatchValue(value=rev)
    return models.Filter(must=[models.FieldCondition(key="rev", match=match)])


def point(id: int, rev: int) -> models.PointStruct:
    return models.PointStruct(id=id, vector=[1.0, 0.0], payload={"rev": rev})


def connect(url: str) -> QdrantClient:
    return QdrantClient(url, timeout=30, check_compatibility=False)


def revs(client: QdrantClient, *ids: int) -> dict[Any, Any]:
    found = client.retrieve(NAME, ids or list(range(20)))
    return {one.id: (one.payload or {})["rev"] for one in found}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[QdrantClient]:
    with serving(tmp_path / "log") as url:
        client = connect(url)
        client.create_collection(NAME, COSINE)
        yield client
        client.close()


class TestConditions:
    """As the server documents them: which of present and absent points a write touches."""

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [
            (None, {1: 2, 2: 2}),
            (models.UpdateMode.UPSERT, {1: 2, 2: 2}),
            (models.UpdateMode.INSERT_ONLY, {1: 1, 2: 2}),
            (models.UpdateMode.UPDATE_ONLY, {1: 2}),
        ],
    )
    def test_modes(self, client: QdrantClient, mode: Any, expected: dict[int, int]) -> None:
        client.upsert(NAME, [point(1, 1)])
        client.upsert(NAME, [point(1, 2), point(2, 2)], update_mode=mode)
        assert revs(client) == expected

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [(None, {1: 9, 2: 2, 3: 9}), (models.UpdateMode.UPDATE_ONLY, {1: 9, 2: 2})],
    )
    def test_a_filter_spares_points_and_inserts_absent_ones(
        self, client: QdrantClient, mode: Any, expected: dict[int, int]
    ) -> None:
        client.upsert(NAME, [point(1, 1), point(2, 2)])
        new = [point(id, 9) for id in (1, 2, 3)]
        client.upsert(NAME, new, update_mode=mode, update_filter=of_rev(1))
        assert revs(client) == expected

    def test_a_deleted_point_is_absent(self, client: QdrantClient) -> None:
        client.upsert(NAME, [point(1, 1)])
        client.delete(NAME, [1])
        client.upsert(NAME, [point(1, 2)], update_mode=models.UpdateMode.UPDATE_ONLY)
        assert revs(client) == {}
        client.upsert(NAME, [point(1, 3)], update_mode=models.UpdateMode.INSERT_ONLY)
        assert revs(client) == {1: 3}

    def test_a_filter_by_id_and_field(self, client: QdrantClient) -> None:
        client.upsert(NAME, [point(id, id % 2) for id in range(6)])
        chosen = models.Filter(must=[models.HasIdCondition(has_id=[1, 2, 99]), *of_rev(1).must])  # type: ignore[misc]
        client.delete(NAME, models.FilterSelector(filter=chosen))
        assert sorted(revs(client)) == [0, 2, 3, 4, 5]


def test_refusals_bear_the_server_s_codes(client: QdrantClient) -> None:
    tries = {
        409: partial(client.create_collection, NAME, COSINE),
        404: partial(client.count, "other"),
        400: partial(client.upsert, NAME, [models.PointStruct(id=1, vector=[1.0] * 3)]),
    }
    for code, wrong in tries.items():
        with pytest.raises(UnexpectedResponse) as refusal:
            wrong()  # type: ignore[operator]
        assert refusal.value.status_code == code


def test_the_configuration_is_told_as_ordered(client: QdrantClient) -> None:
    client.create_collection(
        "d",
        {"": COSINE},
        hnsw_config=models.HnswConfigDiff(m=0),
        quantization_config=models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)
        ),
        shard_number=3,
        metadata={"a": 1},
    )
    client.create_payload_index("d", "tenant", models.KeywordIndexParams(type="keyword"))
    found = client.get_collection("d")
    assert found.config.params.shard_number == 3
    assert found.config.hnsw_config.m == 0
    assert isinstance(found.config.quantization_config, models.ScalarQuantization)
    assert found.config.metadata == {"a": 1}
    assert found.payload_schema["tenant"].data_type == models.PayloadSchemaType.KEYWORD


def test_sigkill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with QdrantProcess(tmp_path) as server:
        client = connect(server.url)
        client.create_collection(NAME, COSINE, metadata={"build": "b"})
        alias = models.CreateAlias(collection_name=NAME, alias_name="live")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        for id in range(10):
            client.upsert(NAME, [point(id, id)])
            if id % 4 == 3:
                client.delete(NAME, [id - 1])
                server.restart()
                client.close()
                client = connect(server.url)
        assert revs(client) == {id: id for id in range(10) if id not in (2, 6)}
        assert client.get_collection("live").config.metadata == {"build": "b"}
        client.close()


def test_a_line_cut_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = b'["PUT", "/collections/c", "{}"]\n'
    path.write_bytes(whole + b'["PUT", "/collecti')
    log = Log(path)
    assert [request.path for request in log.requests()] == ["/collections/c"]
    log.open()
    log.close()
    assert path.read_bytes() == whole
