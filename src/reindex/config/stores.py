"""Where vectors are kept, and how a collection is converged, kept and served."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from reindex.config.section import Positive, Section, Share
from reindex.config.store_kinds import store_entry
from reindex.records import Placement


class StoreSettings(Section):
    """The vector store."""

    kind: str = Field(
        "embedded",
        description="embedded: Qdrant Edge in this process; server: a Qdrant server; faiss: FAISS "
        "beside SQLite; or the name of an installed plug-in.",
    )
    path: Path = Field(
        Path(".reindex/store"), description="Folder of the collections, where they are local."
    )
    layout: Literal["two-stage", "single"] = Field(
        "two-stage",
        description="two-stage: full vector + a truncated one to search first; single: full only.",
    )
    prefix_dim: Positive | None = Field(
        None, description="First-stage dimension. Unset: chosen per version at export."
    )
    options: dict[str, Any] = Field({}, description="What the store of this kind asks for itself.")

    @field_validator("kind")
    @classmethod
    def _is_installed(cls, kind: str) -> str:
        store_entry(kind)
        return kind


class QdrantSettings(Section):
    """Connection to a Qdrant server (store.kind = "server")."""

    url: str = Field("http://localhost:6333", description="The server's address.")
    prefer_grpc: bool = Field(True, description="Use gRPC where the server offers it.")
    grpc_port: Positive = Field(6334, description="The server's gRPC port.")
    timeout: Positive = Field(30, description="Seconds before a request is given up.")
    api_key_env: str = Field(
        "QDRANT_API_KEY", description="Environment variable that holds the API key."
    )
    attempts: Positive = Field(6, description="Tries per request, with growing pauses.")
    shard_number: Positive | None = Field(
        None,
        description="Shards of a new collection. Unset, as for all below: those of the collection "
        "that it takes over from, else the server's default.",
    )
    replication_factor: Positive | None = Field(None, description="Copies of each shard.")
    write_consistency_factor: Positive | None = Field(
        None, description="Copies that must confirm a write; at most replication_factor."
    )
    write_ordering: Literal["weak", "medium", "strong"] | None = Field(
        None,
        description="Order of concurrent writes on the copies. Unset: medium where "
        "replication_factor is more than 1, so that copies decide conditional writes alike.",
    )
    on_disk: bool | None = Field(
        None, description="Full vectors on disk. Unset: in the two-stage layout they are."
    )
    on_disk_payload: bool | None = Field(None, description="Payloads on disk.")
    quantization: Literal["none", "scalar", "binary"] | None = Field(
        None,
        description="Of the vector that is searched first: scalar is int8, a quarter of the "
        "memory. Its originals are then on disk.",
    )

    @model_validator(mode="after")
    def _copies_suffice(self) -> QdrantSettings:
        wanted, copies = self.write_consistency_factor or 1, self.replication_factor
        if copies is not None and wanted > copies:
            raise ValueError(
                f"write_consistency_factor {wanted} is more than the replication_factor {copies}: "
                "no write could ever be confirmed"
            )
        return self

    @property
    def placement(self) -> Placement:
        """What a new collection is created with."""
        return Placement(
            **{item.name: getattr(self, item.name) for item in dataclasses.fields(Placement)}
        )

    @property
    def ordering(self) -> str | None:
        """The write ordering to ask for; None is the server's default."""
        return self.write_ordering or ("medium" if (self.replication_factor or 1) > 1 else None)


class BuildSettings(Section):
    """Converging a collection with its source."""

    allow_deletes: Share = Field(
        0.2, description="Refuse to delete more than this share of the collection in one build."
    )
    max_residual: Annotated[int, Field(ge=0)] = Field(
        100,
        description="A promotion catches up until at most so many points differed in a pass, or "
        "until that number no longer shrinks; then it flips.",
    )
    early_stop: bool = Field(
        False,
        description="Before a whole collection is built, compare the version with what is live on "
        "a few documents, and stop where it is clearly worse. Needs judged queries.",
    )
    early_documents: Positive = Field(
        2000, description="Documents of that look: judged ones, hard distractors and a sample."
    )
    flush_every: Positive = Field(4096, description="Points between two durable flushes.")
    graph_from: Positive = Field(
        100_000,
        description="Points from which a build ends with building the search graph, where the "
        "store does not do so by itself (embedded): minutes per 100,000. Below, a scan is as fast.",
    )


class RetentionSettings(Section):
    """What `gc` keeps."""

    hold_over_days: Annotated[float, Field(ge=0)] = Field(
        7.0, description="Nothing younger than this is removed, nor the live and previous version."
    )


class ServingSettings(Section):
    """The retriever."""

    lease_ttl: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Seconds after which a server alias is read again, in the background."
    )
    query_threads: Positive = Field(
        1,
        description="Cores for a query that comes while no other is embedded; the others have one "
        "each. More than 1 answers it sooner and holds the model in memory twice.",
    )


class OwnerSettings(Section):
    """The owner process of an embedded store, for those who ask it."""

    answer_timeout: Annotated[float, Field(gt=0)] = Field(
        20.0, description="Seconds without a sign of life after which it counts as stuck."
    )
