"""The comparison and the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reindex.config.conditions import parse_rule
from reindex.config.section import Positive, Section, Share
from reindex.config.slicing import SliceSettings
from reindex.measures import parse_measure

ANY_K = 10  # to check a name alone


def _metric_name(text: str) -> str:
    measure = parse_measure(text, ANY_K)
    return str(measure) if "@" in text else measure.metric


MetricAtK = Annotated[str, AfterValidator(_metric_name)]
"""``ndcg@10``, or ``ndcg`` for the section's own k."""


def _condition(text: str) -> str:
    parse_rule(text)
    return text


Condition = Annotated[str, AfterValidator(_condition)]


class EvaluationSettings(Section):
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
    k: Positive = Field(
        10, description="Results that a search asks for; cut-off of metrics named without @k."
    )
    metrics: Annotated[tuple[MetricAtK, ...], Field(min_length=1)] = Field(
        ("recall", "ndcg", "mrr", "map", "hit_rate"),
        description="Rows of the comparison: recall, ndcg, mrr, map, precision, f1, hit_rate, each "
        "at k, or at any cut-off as in recall@100. The gate's metric is always among them.",
    )
    pools: tuple[Path, ...] = Field(
        (),
        description="Pools that people judged (`reindex judge`): their queries and grades are "
        "added to the judgements.",
    )
    unjudged: Literal["auto", "bound", "count"] = Field(
        "auto",
        description="Results that nobody judged count as not relevant. bound: a verdict that they "
        "could reverse is inconclusive. count: they are counted and reported. auto: bound where "
        "the judgements say what is not relevant, too; count where they only name what is.",
    )
    max_queries: Positive | None = Field(None, description="Judge a random sample this large.")
    resamples: Positive = Field(2000, description="Bootstrap resamples and sign-flip permutations.")
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95, description="Two-sided confidence of the intervals."
    )
    folds: Annotated[int, Field(ge=2)] = Field(
        5, description="Folds of a small judged set, groups of queries kept whole."
    )
    folds_below: Annotated[int, Field(ge=0)] = Field(
        300,
        description="A judged set of fewer independent groups is small: the comparison shows its "
        "folds, and the best of several candidates must hold on queries that did not choose it. "
        "0: never.",
    )
    subset_documents: Positive = Field(
        1000, description="Judged documents + distractors in the fp32 and per-dimension rows."
    )
    bm25: bool = Field(False, description="Add a BM25 row (needs the [train] extra).")
    variants: dict[str, Path] = Field(
        {}, description="Other wordings of the same queries, each a row: label -> queries file."
    )
    protected: Path | None = Field(
        None,
        description="Queries whose answers must stay in the top k (JSONL or CSV: query or "
        "query_id, documents, k).",
    )
    slices: SliceSettings = SliceSettings()
    note: str = Field("", description="Printed under the comparison, e.g. that it is a proxy task.")
    seed: int = Field(13, description="Seed of resampling and sampling.")


class GateSettings(Section):
    """What a candidate must show before the alias moves."""

    metric: MetricAtK = Field(
        "recall", description="The judged metric: `name`, or `name@k` as in ndcg@10."
    )
    judged: bool = Field(
        True,
        description="false: no judged metric; gate.conditions decide, beside the default ones. For "
        "where nobody judged: a recorded comparison of the build is needed all the same, "
        "`reindex compare v2 --queries FILE` will do.",
    )
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
    max_unstamped: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Points that other clients wrote to the live collection of a server, where it "
        "was built from files or tables; `reindex sync --repair` takes them in.",
    )
    max_drift: Share = Field(
        0.01, description="Share of the collection that may have changed since the comparison."
    )
    max_leaked_positives: Share = Field(
        1.0,
        description="Share of the judged queries whose answers the training may have seen as "
        "answers of other queries; 1.0: all, for serving has the same documents.",
    )
    slice_margin: Share = Field(
        0.02,
        description="Relative loss of the judged metric in any one slice that fails the gate where "
        "it is shown, by intervals that hold for all slices at once.",
    )
    require_approval: bool = Field(
        False,
        description="Promote only what somebody approved (`reindex approve`): this very build, "
        "upon this very comparison.",
    )
    conditions: tuple[Condition, ...] = Field(
        (),
        description="More conditions, over any figure of a comparison, in the gate language: "
        "'ndcg@10.change >= -1% shown'. See docs/promotion.md.",
    )

    @model_validator(mode="after")
    def _something_decides(self) -> Self:
        if not self.judged and not self.conditions:
            raise ValueError(
                "gate.judged = false leaves nothing to decide by. Name conditions, for example "
                "gate.conditions = ['overlap@10 >= 0.6 shown', 'latency.change <= 10%']"
            )
        return self
