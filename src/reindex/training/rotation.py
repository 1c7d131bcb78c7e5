"""Turning the vectors, so that their prefixes tell more and whole vectors tell what they told.

An orthogonal map keeps every cosine between whole vectors, but it decides what stands in the first
components. After the training, with the model's weights as they are, one is learned with which
ranking by a prefix comes closest to ranking by the whole vector: the Kullback-Leibler divergence
between the two distributions over documents (distillation, Hinton et al. 2015, arXiv:1503.02531),
summed over the prefixes. Learning a small map for short prefixes is the idea of Matryoshka-Adaptor
(Yoon et al. 2024, arXiv:2407.20243); as ours is orthogonal, it costs nothing at the full dimension.
It needs no judgements: texts of the training data are enough. The checkpoint, and so the artifact,
gets it as a dense layer without bias and activation.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reindex.corpus.training_sets import TrainingSet, texts_of
from reindex.errors import ConfigError, DataError
from reindex.protocols import Progress, no_progress
from reindex.training.libraries import load, quiet, sentence_transformers_part

if TYPE_CHECKING:
    from torch import Tensor

PAIRS = 4096
"""Rows whose texts are embedded; fewer gave worse prefixes of 64 (MedQuAD's dev split)."""
HELD = 0.1
"""Share of the queries that do not learn, but say what was won."""
STEPS, QUERIES, DOCUMENTS, LEARNING_RATE = 200, 256, 3072, 2e-3
"""Adam with a cosine schedule; texts per step."""
TEMPERATURE = 0.1
"""Of the distributions: 0.05 and 0.1 were alike on MedQuAD's dev split, 0.02 and 0.2 worse."""
K = 10
"""First results whose agreement is told."""
FEWEST = 32
"""Queries; with fewer nothing is learned that holds for others."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """How much of a whole vector's first `K` each prefix finds, on texts that did not learn.

    ``kept`` says whether the turn was taken: it is not where prefixes do not gain in the mean.
    """

    before: Mapping[int, float]
    after: Mapping[int, float]
    kept: bool

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        prefixes = [
            {"dim": dim, "before": self.before[dim], "after": self.after[dim]}
            for dim in self.before
        ]
        return {"kept": self.kept, "prefixes": prefixes}


def check(model: Any, dims: Sequence[int], sets: Sequence[TrainingSet]) -> None:
    """Refuse what cannot be turned, before the training.

    Raises:
        ConfigError: no prefix in ``dims``, or a model without pooled token vectors (CLIP).
        DataError: too few rows.
    """
    if not prefixes_of(dims):
        raise ConfigError(
            f"train.rotate turns vectors for the sake of their prefixes, and there is none: "
            f"train.matryoshka_dims = {list(dims)}. Add shorter ones, or leave train.rotate out."
        )
    if not any(_is(module, "Pooling") for module in model):
        raise ConfigError(
            "train.rotate needs a model of texts that pools token vectors; this base's parts are "
            f"{', '.join(type(module).__name__ for module in model)}. Leave train.rotate out."
        )
    rows = sum(len(data.rows) for data in sets)
    if rows < FEWEST:
        raise DataError(f"train.rotate needs at least {FEWEST} rows to learn from, got {rows}.")


def prefixes_of(dims: Sequence[int]) -> tuple[int, ...]:
    """Of the trained dimensions all but the full one."""
    return tuple(sorted(dims, reverse=True))[1:]


def rotate(
    model: Any,
    sets: Sequence[TrainingSet],
    dims: Sequence[int],
    *,
    seed: int,
    progress: Progress = no_progress,
) -> Rotated:
    """Turn what ``model`` gives, in place, where that helps its prefixes.

    Args:
        model: of sentence-transformers, as `check` wants it.
        sets: what it was trained on; `PAIRS` rows are drawn.
        dims: the full dimension and the prefixes.
        seed: of the draw and of the learning.
        progress: stage ``rotate``.
    """
    torch = load("torch")
    queries, documents = (_embedded(model, *side) for side in _texts(sets, seed))
    held = max(1, round(HELD * len(queries)))
    prefixes = prefixes_of(dims)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        turn = _learn(queries[held:], documents, prefixes, progress)
    before = _agreement(queries[:held], documents, prefixes)
    after = _agreement(queries[:held] @ turn.T, documents @ turn.T, prefixes)
    kept = sum(after.values()) > sum(before.values())
    if kept:
        _add(model, turn)
    return Rotated(before, after, kept)


def _texts(sets: Sequence[TrainingSet], seed: int) -> tuple[tuple[str, list[str]], ...]:
    """Queries and documents, each once, with the names of their prompts.

    A row's first text is a query and the others are documents; a lone one is both.
    """
    rows = [row for data in sets for row in data.rows]
    chosen = random.Random(seed).sample(rows, min(PAIRS, len(rows)))  # noqa: S311
    found = [texts_of(row) for row in chosen]
    queries = dict.fromkeys(texts[0] for texts in found)
    documents = dict.fromkeys(text for texts in found for text in texts[1:2] or texts)
    return ("query", list(queries)), ("document", list(documents))


def _embedded(model: Any, prompt: str, texts: list[str]) -> Tensor:
    """Unit vectors ``(n, dim)``, on the CPU."""
    with quiet():
        vectors: Tensor = model.encode(
            texts, prompt_name=prompt if prompt in model.prompts else None, batch_size=32,
            normalize_embeddings=True, show_progress_bar=False, convert_to_tensor=True,
        )  # fmt: skip
    return vectors.float().cpu().clone()


def _learn(
    queries: Tensor, documents: Tensor, prefixes: Sequence[int], progress: Progress
) -> Tensor:
    """An orthogonal ``(dim, dim)``: a vector ``v`` becomes ``turn @ v``."""
    torch = load("torch")
    layer = _orthogonal(queries.shape[1])
    optimizer = torch.optim.Adam(layer.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for step in range(STEPS):
        progress("rotate", step, STEPS)
        some = queries[torch.randint(len(queries), (QUERIES,))]
        among = documents[torch.randperm(len(documents))[:DOCUMENTS]]
        loss = _divergence(some, among, layer, prefixes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    progress("rotate", STEPS, STEPS)
    turn: Tensor = layer.weight.detach().clone()
    return turn


def _orthogonal(dim: int) -> Any:
    """A layer whose weight begins as the identity and stays orthogonal (Cayley transform)."""
    torch = load("torch")
    layer = torch.nn.Linear(dim, dim, bias=False)
    torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map="cayley")
    layer.weight = torch.eye(dim)
    return layer


def _divergence(queries: Tensor, documents: Tensor, layer: Any, prefixes: Sequence[int]) -> Any:
    """Of the prefixes' rankings from those of the whole vectors."""
    functional = load("torch").nn.functional
    whole = (queries @ documents.T / TEMPERATURE).softmax(dim=1)
    turned = layer(queries), layer(documents)
    loss: Any = 0.0
    for dim in prefixes:
        first, second = (functional.normalize(side[:, :dim], dim=1) for side in turned)
        ranking = (first @ second.T / TEMPERATURE).log_softmax(dim=1)
        loss = loss + functional.kl_div(ranking, whole, reduction="batchmean")
    return loss


def _agreement(queries: Tensor, documents: Tensor, prefixes: Sequence[int]) -> dict[int, float]:
    """Mean share of the whole vectors' first `K` that are among the prefix's first `K`."""
    functional = load("torch").nn.functional
    k = min(K, len(documents))

    def first(dim: int) -> Any:
        sides = (functional.normalize(side[:, :dim], dim=1) for side in (queries, documents))
        left, right = sides
        return (left @ right.T).topk(k, dim=1).indices

    whole = first(queries.shape[1])
    return {
        dim: float((first(dim)[:, :, None] == whole[:, None, :]).any(dim=2).float().mean())
        for dim in prefixes
    }


def _add(model: Any, turn: Tensor) -> None:
    """Behind the last layer that changes the vector; into it where it is a turn already."""
    torch = load("torch")
    place = max(n for n, module in enumerate(model) if not _is(module, "Normalize"))
    last = model[place]
    if (
        _is(last, "Dense")
        and last.linear.bias is None
        and _is(last.activation_function, "Identity")
    ):
        with torch.no_grad():
            last.linear.weight.copy_(turn.to(last.linear.weight) @ last.linear.weight)
        return
    dim = len(turn)
    layer = sentence_transformers_part("modules").Dense(
        dim, dim, bias=False, activation_function=torch.nn.Identity(), init_weight=turn
    )
    model.insert(place + 1, layer.to(model.device))


def _is(module: Any, name: str) -> bool:
    return type(module).__name__ == name
