"""Where vectors are kept, and how a collection is converged, kept and served."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from reindex.config.section import Positive, Section, Share
from reindex.config.store_kinds import store_entry


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


class BuildSettings(Section):
    """Converging a collection with its source."""

    allow_deletes: Share = Field(
        0.2, description="Refuse to delete more than this share of the collection in one build."
    )
    flush_every: Positive = Field(4096, description="Points between two durable flushes.")


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
