"""How a collection is spread over a cluster: from the config to what the server is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from reindex.config import QdrantSettings, load_settings
from reindex.errors import ConfigError
from reindex.records import CollectionSpec, Placement
from reindex.stages.building import build
from reindex.stores.server import ServerStore
from tests.hash_project import hash_project, write_documents
from tests.remembering_client import RememberingClient
from tests.store_fixtures import points, seen_of, stamp

CLUSTER: dict[str, Any] = {
    "shard_number": 6,
    "replication_factor": 2,
    "write_consistency_factor": 2,
    "on_disk": True,
    "on_disk_payload": True,
    "quantization": "scalar",
}


def created(
    layout: Any, placement: Placement, *, like: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a new collection, and its vectors' parameters."""
    client = RememberingClient()
    store = ServerStore(client, attempts=1)
    if like:
        client.create_collection(
            like,
            models.VectorParams(size=16, distance=models.Distance.COSINE),
            shard_number=3,
            replication_factor=3,
            quantization_config=models.BinaryQuantization(
                binary=models.BinaryQuantizationConfig(always_ram=True)
            ),
        )
    spec = CollectionSpec(
        "new", 16, layout, 8 if layout == "two-stage" else None, {},
        like=store.describe(like) if like else None, placement=placement,
    )  # fmt: skip
    store.create(spec)
    found = store.describe("new")
    return dict(found.settings), {vector.name: dict(vector.params) for vector in found.vectors}


@pytest.mark.parametrize(("layout", "searched"), [("two-stage", "prefix"), ("single", "")])
def test_a_collection_is_created_as_the_config_says(layout: Any, searched: str) -> None:
    settings, vectors = created(layout, QdrantSettings(**CLUSTER).placement)
    for name in ("shard_number", "replication_factor", "write_consistency_factor"):
        assert settings[name] == CLUSTER[name]
    assert settings["on_disk_payload"] is True
    assert vectors[searched]["quantization_config"] == {
        "scalar": {"type": "int8", "always_ram": True}
    }
    assert all(params["on_disk"] for params in vectors.values())


def test_without_a_word_in_the_config_nothing_is_asked_for() -> None:
    placement = QdrantSettings().placement
    assert placement == Placement()
    settings, vectors = created("two-stage", placement)
    plain, _ = created("two-stage", Placement())
    assert settings == plain
    assert vectors[""]["on_disk"] is True
    assert "on_disk" not in vectors["prefix"]


def test_the_config_wins_over_what_is_taken_over() -> None:
    kept, _ = created("single", Placement(), like="old")
    assert (kept["shard_number"], kept["replication_factor"]) == (3, 3)
    settings, vectors = created(
        "single", Placement(shard_number=12, quantization="none", on_disk=False), like="old"
    )
    assert (settings["shard_number"], settings["replication_factor"]) == (12, 3)
    assert "quantization_config" not in settings
    assert "quantization_config" not in vectors[""]
    assert vectors[""]["on_disk"] is False


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"replication_factor": 1}, None),
        ({"replication_factor": 2}, models.WriteOrdering.MEDIUM),
        ({"replication_factor": 2, "write_ordering": "strong"}, models.WriteOrdering.STRONG),
        ({"write_ordering": "weak"}, models.WriteOrdering.WEAK),
    ],
)
def test_every_write_bears_the_ordering(given: dict[str, Any], expected: Any) -> None:
    asked: list[Any] = []

    class Listening(RememberingClient):
        def upsert(self, *args: Any, **given: Any) -> Any:
            asked.append(given.pop("ordering", None))
            return super().upsert(*args, **given)

        def delete(self, *args: Any, **given: Any) -> Any:
            asked.append(given.pop("ordering", None))
            return super().delete(*args, **given)

        def batch_update_points(self, *args: Any, **given: Any) -> Any:
            asked.append(given.pop("ordering", None))
            return super().batch_update_points(*args, **given)

    store = ServerStore(Listening(), attempts=1, ordering=QdrantSettings(**given).ordering)
    store.create(CollectionSpec("c", 16, "two-stage", 8, {}))
    made = points([1, 2])
    store.insert("c", made)
    store.update("c", made, seen_of([1, 2]))
    store.delete("c", {id: stamp(f"doc-{id}") for id in (1, 2)})
    assert asked == [expected] * 3


def test_more_confirmations_than_copies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text(
        "[qdrant]\nreplication_factor = 2\nwrite_consistency_factor = 3\n", "utf-8"
    )
    with pytest.raises(ConfigError, match="no write could ever be confirmed"):
        load_settings(tmp_path)


def test_a_build_creates_its_collection_so(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two"])
    client = RememberingClient()
    with hash_project(tmp_path, versions=1, qdrant=CLUSTER) as workspace:
        workspace.__dict__["store"] = ServerStore(client, attempts=1)
        build(workspace, "v1")
        found = workspace.store.describe("docs--v1")  # type: ignore[attr-defined]
    assert found.settings["shard_number"] == 6
    assert found.points == 2
