"""Does the exported graph agree with the checkpoint, and with itself? Figures, then a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reindex.encoder import SAME_HOST_TOLERANCE, truncate
from reindex.encoder.pooling import Head, pool
from reindex.encoder.runtime import OUTPUT, open_session, unit
from reindex.errors import ParityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reindex.config import ExportSettings
    from reindex.encoder import OnnxEncoder
    from reindex.export.model import Checkpoint
    from reindex.records import Document, Judgements, Vector

K = 10
FIRST_STAGE = 2
"""Candidates per result in the sample's first stage: 5 % of its documents, so that a dimension
that only works where the first stage takes nearly everything is not chosen."""
TORCH_DOCUMENTS = 160
"""Documents that torch embeds too: some seconds on two cores."""
FP32_TEXTS = 32
INT8_DOCUMENTS, QUERIES = 400, 150
"""What the first-stage dimension is chosen on; a third are distractors, which it must withstand."""

PROBE_TEXTS = (
    "a",
    "What is retrieval-augmented generation?",
    "Wie ändert man das Einbettungsmodell, ohne die Suche anzuhalten?",
    "L'été dernier, la température a dépassé 40 °C à Séville.",
    "数据库中的向量必须来自同一个模型。",
    "كيف يمكن استبدال نموذج التضمين بأمان؟",
    "def flatten(rows):\n    return [cell for row in rows for cell in row]",
    "3.14159 0xFF 2024-02-29T23:59:60Z a/b?c=d&e=%20 <b>bold</b> 🙂 ＦＵＬＬ",
    "The same text must give the same vector, whatever it is batched with. " * 8,
    "Long documents are cut at the maximum length, and what follows must not matter. " * 60,
)
"""Lengths from one token to more than fit, and scripts that tokenizers treat differently."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts to check on. ``relevant`` holds, per query, rows of ``documents``; judged ones first.

    Without judgements there are no queries, and without documents the probes stand in.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    relevant: tuple[frozenset[int], ...]


def make_sample(dev: Judgements | None, documents: Sequence[Document]) -> Sample:
    """Up to 150 judged queries, their documents, and distractors up to 400 documents in all."""
    texts = {str(document.id): document.text for document in documents}
    rows: dict[str, int] = {}
    queries: list[str] = []
    relevant: list[frozenset[int]] = []
    for query in dev.queries if dev else ():
        judged = dev.qrels.get(query.id, {}) if dev else {}
        found = [key for key, grade in judged.items() if grade > 0 and key in texts]
        fits = len(rows) + len(found) <= INT8_DOCUMENTS * 2 // 3
        if found and fits and len(queries) < QUERIES:
            queries.append(query.text)
            relevant.append(frozenset(rows.setdefault(key, len(rows)) for key in found))
    keys = [*rows, *(key for key in texts if key not in rows)][:INT8_DOCUMENTS]
    chosen = tuple(texts[key] for key in keys) or PROBE_TEXTS
    return Sample(tuple(queries), chosen, tuple(relevant))


@dataclass(frozen=True, slots=True)
class DimensionRecall:
    """Recall@10 of int8 vectors cut to a dimension, and with a rescoring second stage."""

    alone: float
    rescored: float


def parity_figures(
    checkpoint: Checkpoint, int8: OnnxEncoder, fp32: OnnxEncoder, sample: Sample
) -> tuple[dict[str, float], dict[int, DimensionRecall]]:
    """Cosines and rankings of both graphs against torch, and recall@10 by Matryoshka dimension.

    The figures by name; the recalls are empty where no query is judged.
    """
    head = sample.documents[:TORCH_DOCUMENTS]
    torch_docs = checkpoint.encode(head, int8.manifest.document_prompt)
    int8_docs = int8.encode_documents(sample.documents)
    fp32_docs = fp32.encode_documents(head[:FP32_TEXTS])
    fp32_cosine = (fp32_docs * torch_docs[:FP32_TEXTS]).sum(axis=1)
    int8_cosine = (int8_docs[: len(head)] * torch_docs).sum(axis=1)
    figures = {
        "texts": float(len(head)),
        "fp32_cosine_min": float(fp32_cosine.min()),
        "int8_cosine_mean": float(int8_cosine.mean()),
        "int8_cosine_min": float(int8_cosine.min()),
    }
    if not sample.queries:
        return figures, {}
    queries = int8.encode_queries(sample.queries)
    figures |= _ranking_figures(checkpoint, int8, sample, (torch_docs, int8_docs, queries))
    return figures, _recalls(int8, queries, int8_docs, sample)


def recalls_by_dim(encoder: OnnxEncoder, sample: Sample) -> dict[int, DimensionRecall]:
    """Recall@10 on the sample by Matryoshka dimension; empty where no query is judged."""
    if not sample.queries:
        return {}
    documents = encoder.encode_documents(sample.documents)
    return _recalls(encoder, encoder.encode_queries(sample.queries), documents, sample)


def _recalls(
    encoder: OnnxEncoder, queries: Vector, documents: Vector, sample: Sample
) -> dict[int, DimensionRecall]:
    return {
        dim: _dimension_recall(queries, documents, sample.relevant, dim)
        for dim in encoder.manifest.matryoshka_dims
    }


def _dimension_recall(
    queries: Vector, documents: Vector, relevant: Sequence[frozenset[int]], dim: int
) -> DimensionRecall:
    first = _top(truncate(queries, dim), truncate(documents, dim), FIRST_STAGE * K)
    second = [
        sorted(rows, key=lambda row: -float(query @ documents[row]))[:K]
        for query, rows in zip(queries, first, strict=True)
    ]
    return DimensionRecall(
        _recall([rows[:K] for rows in first], relevant), _recall(second, relevant)
    )


def _ranking_figures(
    checkpoint: Checkpoint,
    int8: OnnxEncoder,
    sample: Sample,
    vectors: tuple[Vector, Vector, Vector],
) -> dict[str, float]:
    """Torch's rankings against int8's, over the documents that torch embedded.

    Only queries whose relevant documents are all among these count.
    """
    torch_docs, int8_docs, int8_queries = vectors
    kept = [i for i, rows in enumerate(sample.relevant) if max(rows) < len(torch_docs)]
    if not kept:
        return {}
    prompt = int8.manifest.query_prompt
    relevant = [sample.relevant[i] for i in kept]
    torch_queries = checkpoint.encode([sample.queries[i] for i in kept], prompt)
    torch_top = _top(torch_queries, torch_docs)
    int8_top = _top(int8_queries[kept], int8_docs[: len(torch_docs)])
    return {
        "queries": float(len(kept)),
        "ranking_overlap": _overlap(torch_top, int8_top),
        "recall_torch": _recall(torch_top, relevant),
        "recall_int8": _recall(int8_top, relevant),
    }


def invariance_figures(checkpoint: Checkpoint, encoder: OnnxEncoder) -> dict[str, float]:
    """How far a probe's vector moves with its batch mates: here, and in a padded batch.

    The first must be nothing; the second is what a loader that batches gets from this graph.
    """
    texts = list(PROBE_TEXTS)
    alone = np.concatenate([encoder.encode_documents([text]) for text in texts])
    together = encoder.encode_documents(texts)
    turned = encoder.encode_documents([*texts[:3], *texts[::-1]])[3:][::-1]
    padded = _padded_batch(checkpoint, encoder, texts)
    return {
        "invariance": float(max(np.abs(together - alone).max(), np.abs(turned - alone).max())),
        "padded_batch_cosine_min": float((padded * alone).sum(axis=1).min()),
    }


def raise_out_of_tolerance(figures: dict[str, float], settings: ExportSettings) -> None:
    """Raise ParityError that names every figure out of tolerance."""
    bounds = {
        "fp32_cosine_min": settings.min_fp32_cosine,
        "int8_cosine_mean": settings.min_int8_cosine,
        "ranking_overlap": settings.min_ranking_overlap,
    }
    wrong = [
        f"{name} is {figures[name]:.5f}, expected at least {bound}"
        for name, bound in bounds.items()
        if not figures.get(name, 1.0) >= bound  # so that a NaN is wrong too
    ]
    if not figures["invariance"] <= SAME_HOST_TOLERANCE:
        wrong.append(
            f"vectors move by {figures['invariance']:.2g} with their batch, expected at most "
            f"{SAME_HOST_TOLERANCE:g}"
        )
    if wrong:
        raise ParityError(
            f"The exported graph does not agree with the checkpoint: {'; '.join(wrong)}. Nothing "
            "was published. Look at the checkpoint, or change the tolerances in [export]."
        )


def choose_prefix_dim(recalls: Mapping[int, DimensionRecall], keep: float) -> int:
    """The smallest dimension that, rescored, keeps ``keep`` of the full dimension's recall.

    A first stage is for fewer dimensions: the full one is taken only where there is no other.
    """
    full = max(recalls)
    shorter = [dim for dim in recalls if dim < full] or [full]
    enough = [dim for dim in shorter if recalls[dim].rescored >= keep * recalls[full].alone]
    return min(enough) if enough else max(shorter)


def _top(queries: Vector, documents: Vector, k: int = K) -> list[list[int]]:
    """Rows of the ``k`` nearest documents per query, ties by row."""
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")
    ranked: list[list[int]] = order[:, :k].tolist()
    return ranked


def _overlap(expected: list[list[int]], found: list[list[int]]) -> float:
    shares = [len(set(a) & set(b)) / len(a) for a, b in zip(expected, found, strict=True)]
    return float(np.mean(shares))


def _recall(ranked: list[list[int]], relevant: Sequence[frozenset[int]]) -> float:
    """Mean share of the relevant documents within the first ``K``."""
    shares = [
        len(rows.intersection(top)) / len(rows) for top, rows in zip(ranked, relevant, strict=True)
    ]
    return float(np.mean(shares))


def _padded_batch(checkpoint: Checkpoint, encoder: OnnxEncoder, texts: list[str]) -> Vector:
    """All texts in one padded ``run()`` call, as batching loaders do it: ``(n, dim)``."""
    batch = checkpoint.tokenizer(
        [encoder.manifest.document_prompt + text for text in texts],
        padding=True,
        truncation=True,
        max_length=checkpoint.max_length,
        return_tensors="np",
    )
    mask = batch["attention_mask"]
    feed = {
        "input_ids": batch["input_ids"],
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
        "position_ids": np.maximum(mask.cumsum(axis=1) - 1, 0),
    }
    session = open_session(encoder.file)
    names = [item.name for item in session.get_inputs()]
    hidden = session.run([OUTPUT], {name: feed[name].astype(np.int64) for name in names})[0]
    behind, skipped = Head(encoder.folder, encoder.manifest), encoder.manifest.skipped[1]
    rows = (row[kept == 1] for row, kept in zip(hidden, mask, strict=True))
    return np.stack([unit(behind(pool(row, encoder.manifest.pooling, skipped))) for row in rows])
