"""Models: training, export, embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from reindex.artifact import POOLINGS
from reindex.config.section import Positive, Section, Share
from reindex.config.training_data import ClickSettings, DataSettings
from reindex.config.training_losses import AveragingSettings, LoraSettings, LossName
from reindex.config.training_negatives import NegativeSettings


def _pooling(value: str) -> str:
    modes = value.split("+")
    if not set(modes) <= set(POOLINGS) or len(set(modes)) < len(modes):
        raise ValueError(f"expected some of {', '.join(POOLINGS)}, joined by +; found {value!r}")
    return value


class TrainSettings(Section):
    """Fine-tuning."""

    base: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        description="Hub id, local folder, or package:NAME for a model that a package carries.",
    )
    pairs: Path | None = Field(
        None, description="Training pairs (JSONL/CSV/Parquet). Unset: the source's qrels/train.tsv."
    )
    data: tuple[DataSettings, ...] = Field(
        (), description="Training data as tables [[train.data]], of any kinds, instead of pairs."
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
    matryoshka_weights: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="Of the losses at matryoshka_dims, in their order. Empty: all the same."
    )
    max_length: Positive | None = Field(
        None, description="Tokens per text. Unset: the base model's own, at most 256."
    )
    training_length: Positive | None = Field(
        None,
        description="Tokens per text in training steps, where their beginnings are enough to learn "
        "from: a step's time falls with them. Evaluations and serving keep max_length.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None,
        description="Of the model's layers in training steps. 0 costs about a third less time on a "
        "CPU. Unset: the base's own.",
    )
    compile: bool = Field(
        False,
        description="torch.compile for the layers on a GPU: a minute or more at the start, then "
        "faster steps. Without effect on a CPU.",
    )
    pooling: Annotated[str, AfterValidator(_pooling)] | None = Field(
        None,
        description="How token vectors become one: mean, cls, lasttoken, max, weightedmean, or "
        "several joined by +. Unset: the base model's own; of a decoder without one: lasttoken.",
    )
    query_prompt: str | None = Field(
        None, description="Put before every query. Unset: what the base model declares, if it does."
    )
    document_prompt: str | None = Field(
        None, description="Put before every document. Unset: as the base model declares."
    )
    max_pairs: Positive | None = Field(None, description="Use a random sample of this many pairs.")
    dev_documents: Positive = Field(
        1000, description="Documents in the dev evaluation during training (judged ones first)."
    )
    dev_queries: Positive = Field(300, description="Queries in the dev evaluation.")
    evaluations: Positive = Field(3, description="Dev evaluations during training.")
    patience: Positive = Field(3, description="Stop after this many evaluations without a gain.")
    seed: int = Field(13, description="Seed of everything random.")
    loss: LossName | None = Field(
        None, description="What is lowered; docs/losses.md has all. Unset: by the kind of the data."
    )
    matryoshka: Literal["1d", "2d", "off"] = Field(
        "1d", description="The loss at all matryoshka_dims; 2d: of earlier layers too; or neither."
    )
    rotate: bool = Field(
        False,
        description="Turn the trained vectors so that their prefixes (matryoshka_dims) rank more "
        "like the whole vectors, whose cosines stay the same. Adds a dense layer.",
    )
    margin: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Of triplet losses and contrastive, in cosine distance. Unset: 0.2, 0.5."
    )
    hold_out: Share = Field(
        0.1, description="Share of scored, labelled and class rows that measure, and do not train."
    )
    teacher: str | None = Field(
        None, description="Scores queries with documents for margin-mse and kl: a cross-encoder or "
        "a larger bi-encoder (Hub id, folder, package:NAME or a version).",
    )  # fmt: skip
    freeze_layers: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Layers that stay as they are, with the embeddings. 0: these alone."
    )
    guide: str | None = Field(
        None, description="What tells false negatives for the loss gist. Unset: the base."
    )
    negatives: NegativeSettings = NegativeSettings()
    clicks: ClickSettings = ClickSettings()
    lora: LoraSettings = LoraSettings()
    averaging: AveragingSettings = AveragingSettings()

    @model_validator(mode="after")
    def _a_weight_per_dimension(self) -> TrainSettings:
        if self.matryoshka_weights and len(self.matryoshka_weights) != len(self.matryoshka_dims):
            raise ValueError(
                f"matryoshka_weights: expected one for each of matryoshka_dims "
                f"{list(self.matryoshka_dims)}, got {list(self.matryoshka_weights)}"
            )
        return self


class ExportSettings(Section):
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


class EmbedSettings(Section):
    """Embedding documents and queries."""

    device: str = Field(
        "cpu",
        pattern=r"^(cpu|cuda|cuda:\d+(,cuda:\d+)*)$",
        description="What embeds documents in a build: cpu (the int8 graph), cuda (torch in fp16, "
        "on all cards), or cards by name: cuda:0,cuda:1. Queries are embedded on the CPU.",
    )
    threads: Positive | None = Field(None, description="Encoding threads. Unset: all cores.")
    batch_size: Positive = Field(
        256, description="Documents per unit of work in a build; on CUDA 4096 at least."
    )
    cache: bool = Field(
        True,
        description="Keep the documents' vectors in the project's home, so that a collection that "
        "is built again embeds nothing again.",
    )
    cache_mb: Positive = Field(
        4096, description="Most MB that kept vectors may take on disk; the oldest go first."
    )
