"""``reindex.toml`` -> `Settings`. Every key has its default and its meaning here.

Secrets never stand in the file: they come from the environment, whose variable the file names.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reindex.errors import ConfigError

CONFIG_NAME = "reindex.toml"
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectSettings(_Section):
    """What this project is called, and where it keeps what it makes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = Field(
        "docs", description="Prefix of the collections' names: <name>--v1, <name>--v2, …"
    )
    alias: str = Field("", description="The alias that searches use. Empty: the project's name.")
    home: Path = Field(
        Path(".reindex"), description="Folder of the registry, the artifacts and the runs."
    )


class SourceSettings(_Section):
    """Where the documents come from."""

    kind: Literal["beir", "jsonl", "csv", "parquet"] = Field(
        "beir", description="beir: a folder with corpus.jsonl; otherwise a file or a glob."
    )
    path: Path = Field(Path("data"), description="Folder (beir), file or glob.")
    id_field: str = Field("_id", description="The field that holds the document's id.")
    text_fields: tuple[str, ...] = Field(
        ("title", "text"), description="Fields that are embedded, joined in this order."
    )
    separator: str = Field("\n", description="Between the text fields; empty ones are left out.")
    payload: Literal["plain", "langchain", "llamaindex", "haystack"] = Field(
        "plain", description="Shape of the stored payload, as the framework's own store writes it."
    )
    max_bad_rows: Share = Field(
        0.01, description="Stop when more than this share of the rows is bad (after 100 rows)."
    )


class StoreSettings(_Section):
    """The vector store."""

    kind: Literal["embedded", "server"] = Field(
        "embedded", description="embedded: Qdrant Edge in this process; server: a Qdrant server."
    )
    path: Path = Field(
        Path(".reindex/store"), description="Folder of the embedded store's collections."
    )
    layout: Literal["two-stage", "single"] = Field(
        "two-stage",
        description="two-stage: full vector + a truncated one to search first; single: full only.",
    )
    prefix_dim: Positive | None = Field(
        None, description="First-stage dimension. Unset: chosen per version at export."
    )


class QdrantSettings(_Section):
    """Connection to a Qdrant server (store.kind = "server")."""

    url: str = Field("http://localhost:6333", description="The server's address.")
    prefer_grpc: bool = Field(True, description="Use gRPC where the server offers it.")
    grpc_port: Positive = Field(6334, description="The server's gRPC port.")
    timeout: Positive = Field(30, description="Seconds before a request is given up.")
    api_key_env: str = Field(
        "QDRANT_API_KEY", description="Environment variable that holds the API key."
    )
    attempts: Positive = Field(6, description="Tries per request, with growing pauses.")


class TrainSettings(_Section):
    """Fine-tuning: MNRL inside MatryoshkaLoss."""

    base: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Hub id, local folder, or package:NAME for a model that a package carries.",
    )
    pairs: Path | None = Field(
        None, description="Training pairs (JSONL/CSV/Parquet). Unset: the source's qrels/train.tsv."
    )
    epochs: Annotated[float, Field(gt=0)] = Field(1.0, description="Passes over the pairs.")
    batch_size: Positive = Field(64, description="Pairs per batch; each brings its negatives.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        5e-5, description="Peak learning rate. 5e-5 suits small encoders, 2e-5 base-sized ones."
    )
    warmup_ratio: Share = Field(0.1, description="Share of the steps spent warming up.")
    temperature: Annotated[float, Field(gt=0)] = Field(
        0.05, description="MNRL's softmax temperature (its scale is 1 / temperature)."
    )
    matryoshka_dims: tuple[Positive, ...] = Field(
        (), description="Empty: full, 2/3, 1/3 and 1/6 of the dimension, rounded to 8."
    )
    max_length: Positive | None = Field(
        None, description="Tokens per text. Unset: the base model's own, at most 256."
    )
    query_prompt: str = Field("", description="Put before every query.")
    document_prompt: str = Field("", description="Put before every document.")
    max_pairs: Positive | None = Field(None, description="Use a random sample of this many pairs.")
    dev_documents: Positive = Field(
        1000, description="Documents in the dev evaluation during training (judged ones first)."
    )
    dev_queries: Positive = Field(300, description="Queries in the dev evaluation.")
    evaluations: Positive = Field(3, description="Dev evaluations during training.")
    patience: Positive = Field(3, description="Stop after this many evaluations without a gain.")
    seed: int = Field(13, description="Seed of everything random.")


class ExportSettings(_Section):
    """Tolerances of the exported artifact."""

    min_fp32_cosine: Share = Field(
        0.9999, description="Lowest cosine between the fp32 graph and the checkpoint."
    )
    min_int8_cosine: Share = Field(
        0.97, description="Lowest mean cosine between the int8 graph and the checkpoint."
    )
    min_ranking_overlap: Share = Field(
        0.85, description="Lowest share of the checkpoint's top 10 that int8 finds, on dev queries."
    )
    keep_recall: Share = Field(
        0.99, description="The first-stage dimension, rescored, keeps this share of recall."
    )


class EmbedSettings(_Section):
    """Embedding documents and queries."""

    threads: Positive | None = Field(None, description="Encoding threads. Unset: all cores.")
    batch_size: Positive = Field(256, description="Documents per unit of work in a build.")


class BuildSettings(_Section):
    """Converging a collection with its source."""

    allow_deletes: Share = Field(
        0.2, description="Refuse to delete more than this share of the collection in one build."
    )
    flush_every: Positive = Field(4096, description="Points between two durable flushes.")


class EvaluationSettings(_Section):
    """The judged queries, and how the comparison treats them."""

    queries: Path | None = Field(
        None, description="Queries (BEIR JSONL). Unset: queries.jsonl of a beir source."
    )
    qrels: Path | None = Field(
        None, description="Judgements of the comparison. Unset: qrels/test.tsv of a beir source."
    )
    dev_qrels: Path | None = Field(
        None, description="Judgements for choices (training, export). Unset: qrels/dev.tsv."
    )
    k: Positive = Field(10, description="Cut-off of recall, nDCG and MRR.")
    max_queries: Positive | None = Field(None, description="Judge a random sample this large.")
    resamples: Positive = Field(2000, description="Bootstrap resamples and sign-flip permutations.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95, description="Two-sided confidence of the intervals."
    )
    subset_documents: Positive = Field(
        1000, description="Judged documents + distractors in the fp32 and per-dimension rows."
    )
    bm25: bool = Field(False, description="Add a BM25 row (needs the [train] extra).")
    variants: dict[str, Path] = Field(
        {}, description="Other wordings of the same queries, each a row: label -> queries file."
    )
    note: str = Field("", description="Printed under the comparison, e.g. that it is a proxy task.")
    seed: int = Field(13, description="Seed of resampling and sampling.")


class GateSettings(_Section):
    """What a candidate must show before the alias moves."""

    metric: Literal["recall", "ndcg", "mrr"] = Field("recall", description="The judged metric.")
    min_effect: Annotated[float, Field(ge=0)] = Field(
        0.05, description="Relative gain over live that must be shown (superiority)."
    )
    mode: Literal["superiority", "non-inferiority"] = Field(
        "superiority", description="non-inferiority: lose at most `margin`."
    )
    margin: Annotated[float, Field(ge=0)] = Field(
        0.01, description="Relative loss that non-inferiority allows."
    )
    max_two_stage_loss: Share = Field(
        0.01, description="Two-stage recall may be lower than full search by this share."
    )
    max_latency_ms: Annotated[float, Field(gt=0)] = Field(
        50.0, description="Median of query encoding plus two-stage search, in milliseconds."
    )
    min_coverage: Share = Field(1.0, description="Share of the source that the collection holds.")
    max_drift: Share = Field(
        0.01, description="Share of the collection that may have changed since the comparison."
    )


class RetentionSettings(_Section):
    """What `gc` keeps."""

    hold_over_days: Annotated[float, Field(ge=0)] = Field(
        7.0, description="Nothing younger than this is removed, nor the live and previous version."
    )


class ServingSettings(_Section):
    """The retriever."""

    lease_ttl: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Seconds after which a server alias is read again, in the background."
    )


class Settings(_Section):
    """All of ``reindex.toml``. ``root`` is the folder that relative paths start from."""

    project: ProjectSettings = ProjectSettings()
    source: SourceSettings = SourceSettings()
    store: StoreSettings = StoreSettings()
    qdrant: QdrantSettings = QdrantSettings()
    train: TrainSettings = TrainSettings()
    export: ExportSettings = ExportSettings()
    embed: EmbedSettings = EmbedSettings()
    build: BuildSettings = BuildSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gate: GateSettings = GateSettings()
    retention: RetentionSettings = RetentionSettings()
    serving: ServingSettings = ServingSettings()
    root: Path = Field(Path(), exclude=True)

    @model_validator(mode="after")
    def _alias_is_no_collection(self) -> Settings:
        if self.alias.startswith(f"{self.project.name}--v"):
            raise ValueError(
                f"project.alias {self.alias!r} looks like a collection of this project; "
                "an alias cannot have a collection's name. Choose another."
            )
        return self

    @property
    def alias(self) -> str:
        """The alias that searches use."""
        return self.project.alias or self.project.name

    @property
    def home(self) -> Path:
        """Absolute folder of the registry, the artifacts and the runs."""
        return self.resolve(self.project.home)

    def resolve(self, path: Path) -> Path:
        """``path`` as seen from the config file's folder."""
        return path if path.is_absolute() else self.root / path

    def collection(self, version: str) -> str:
        """The collection's name of a version: ``<project>--v2``."""
        return f"{self.project.name}--{version}"

    def qdrant_api_key(self) -> str | None:
        """The API key from the environment, or None."""
        return os.environ.get(self.qdrant.api_key_env) or None


def load_settings(path: Path) -> Settings:
    """Read ``reindex.toml`` (or the folder that holds it).

    Raises:
        ConfigError: the file is missing, is no TOML, or has a wrong or unknown key; the message
            names every wrong key and the nearest right one.
    """
    file = path / CONFIG_NAME if path.is_dir() else path
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {file}. Run `reindex init` to make one, or pass --config PATH."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}.") from None
    if "root" in raw:
        raise ConfigError(f"{file}: unknown key 'root'.")
    try:
        return Settings.model_validate({**raw, "root": file.resolve().parent})
    except ValidationError as error:
        lines = [_explain(item) for item in error.errors()]
        raise ConfigError(f"{file}:\n" + "\n".join(f"  {line}" for line in lines)) from None


def _explain(item: Any) -> str:
    """One pydantic error as one line that says what to do."""
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    if item["type"] != "extra_forbidden":
        return f"{key or 'config'}: {item['msg']} (got {item.get('input')!r})."
    nearest = difflib.get_close_matches(location[-1], _known(location[:-1]), n=1, cutoff=0.4)
    hint = f" Did you mean '{'.'.join([*location[:-1], nearest[0]])}'?" if nearest else ""
    return f"unknown key '{key}'.{hint}"


def _known(section: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for name in section:
        annotation = model.model_fields[name].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [name for name, info in model.model_fields.items() if not info.exclude]
