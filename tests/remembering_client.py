"""An in-memory Qdrant that remembers what its local mode drops: settings and payload indexes."""

from __future__ import annotations

from typing import Any

from qdrant_client import QdrantClient, models

_PARAMS = ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload",
           "sharding_method")  # fmt: skip
_PARTS = {
    "hnsw_config": "hnsw_config",
    "optimizers_config": "optimizer_config",
    "quantization_config": "quantization_config",
    "strict_mode_config": "strict_mode_config",
}
_TYPES = {
    "keyword": models.KeywordIndexParams,
    "integer": models.IntegerIndexParams,
    "text": models.TextIndexParams,
}


class RememberingClient(QdrantClient):
    """Answers ``get_collection`` as a server would that was created with these settings."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.given: dict[str, dict[str, Any]] = {}
        self.indexes: dict[str, dict[str, models.PayloadIndexInfo]] = {}

    def create_collection(self, collection_name: str, *args: Any, **given: Any) -> bool:
        self.given[collection_name] = given
        return super().create_collection(collection_name, *args, **given)

    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, *_: Any, **__: Any
    ) -> Any:
        schema = field_schema
        if isinstance(field_schema, str):
            schema = _TYPES[field_schema](type=field_schema)
        info = models.PayloadIndexInfo(data_type=schema.type.value, params=schema, points=0)
        self.indexes.setdefault(collection_name, {})[field_name] = info
        return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def get_collection(self, collection_name: str, **kwargs: Any) -> models.CollectionInfo:
        info = super().get_collection(collection_name, **kwargs)
        given = self.given.get(collection_name, {})
        for name in _PARAMS:
            if name in given:
                setattr(info.config.params, name, given[name])
        for name, part in _PARTS.items():
            if given.get(name) is not None:
                current = getattr(info.config, part)
                setattr(info.config, part, _merged(current, given[name]))
        info.payload_schema = dict(self.indexes.get(collection_name, {}))
        return info


def _merged(current: Any, given: Any) -> Any:
    if current is None:
        return given
    return current.model_copy(update=given.model_dump(exclude_none=True))
