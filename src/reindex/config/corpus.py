"""The project itself, and where its documents come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from reindex.config.section import Positive, Section, Share


class ProjectSettings(Section):
    """What this project is called, and where it keeps what it makes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = Field(
        "docs", description="Prefix of the collections' names: <name>--v1, <name>--v2, …"
    )
    alias: str = Field("", description="The alias that searches use. Empty: the project's name.")
    home: Path = Field(
        Path(".reindex"), description="Folder of the registry, the artifacts and the runs."
    )


class SourceSettings(Section):
    """Where the documents come from."""

    kind: Literal["beir", "jsonl", "csv", "parquet", "sql", "collection"] = Field(
        "beir",
        description="beir: a folder with corpus.jsonl; sql: a query; collection: the live "
        "collection's own payloads; otherwise a file or a glob.",
    )
    path: Path = Field(Path("data"), description="Folder (beir), file or glob.")
    collection: str = Field(
        "", description="collection: read this one. Empty: what the alias points at."
    )
    name: str = Field(
        "",
        description="Identity in every point's stamp. Empty: made from the kind and the path, or "
        "from the database. Give one before the data moves to another path or host.",
    )
    url_env: str = Field(
        "REINDEX_SOURCE_URL",
        description="sql: environment variable that holds the database's SQLAlchemy URL.",
    )
    url: str = Field(
        "", description="sql: the URL itself; only one without a password, e.g. sqlite:///docs.db."
    )
    query: str = Field("", description="sql: the SELECT that gives a row per document.")
    fetch_rows: Positive = Field(1000, description="sql: rows per fetch from the server's cursor.")
    id_field: str = Field("_id", description="The field that holds the document's id.")
    text_fields: tuple[str, ...] = Field(
        ("title", "text"), description="Fields that are embedded, joined in this order."
    )
    image_field: str = Field(
        "",
        description="Field that holds the path of an image, which is embedded instead of the text "
        "(text–image models). Rows without one are texts. Empty: no images.",
    )
    images: Path | None = Field(
        None, description="Folder that the images' paths start from. Unset: the source's own."
    )
    separator: str = Field("\n", description="Between the text fields; empty ones are left out.")
    payload: Literal["plain", "langchain", "llamaindex", "haystack"] = Field(
        "plain", description="Shape of the stored payload, as the framework's own store writes it."
    )
    max_bad_rows: Share = Field(
        0.01, description="Stop when more than this share of the rows is bad (after 100 rows)."
    )
