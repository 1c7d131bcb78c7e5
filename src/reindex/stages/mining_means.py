"""What a mining works with: the model that judges and finds, a collection, a cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from reindex.config import TrainSettings
from reindex.corpus.frameworks import stored_text
from reindex.errors import ConfigError, DataError, UnknownVersion
from reindex.mining.candidates import NONE, Candidates
from reindex.mining.judging import PairScorer
from reindex.mining.miner import Means
from reindex.mining.snapshot import Snapshot, text_key
from reindex.protocols import Encoder
from reindex.registry.ledger import Version
from reindex.retriever import Results
from reindex.stages.bases import base_spec
from reindex.stages.searching import search
from reindex.vector_cache import VectorCache, cache_file
from reindex.workspace import Workspace

_ASKED = 128
"""Queries per search of a collection."""


@dataclass(frozen=True, slots=True)
class Named:
    """Means, and names for all that decides what they give."""

    means: Means
    names: dict[str, str]


@contextmanager
def means_of(
    workspace: Workspace, settings: TrainSettings, tuned: Encoder | None = None
) -> Iterator[Named]:
    """What these settings need, loaded. ``tuned`` takes the place of the model that they name.

    Raises:
        ConfigError: a collection is to be searched, but the model is no version that has one.
        ModelError, ArtifactError, MissingExtra: a model cannot be had.
    """
    wanted = settings.negatives
    names: dict[str, str] = {}
    with ExitStack() as stack:
        encoder: Encoder | None = None
        find, scorer, scores = None, None, None
        version = None if tuned is not None else _version(workspace, settings)
        collection = wanted.search == "collection" and "dense" in wanted.sources and not tuned
        if collection:
            find, names["collection"] = _searcher(workspace, version)
        if wanted.cross_encoder is not None:
            scorer = _scorer(workspace, wanted.cross_encoder)
            scores = _scores(workspace, scorer, wanted.cache_mb)
            stack.callback(scores.close)
            names["cross_encoder"] = scorer.key
        judged = wanted.judges and scorer is None
        if judged or ("dense" in wanted.sources and not collection):
            model = tuned or _model(workspace, settings, version)
            encoder = stack.enter_context(workspace.remembering(model))
            names["model"] = f"{encoder.space}/{encoder.encoding}"
        yield Named(Means(encoder, find, scorer, scores), names)


def _scorer(workspace: Workspace, spec: str) -> PairScorer:
    from reindex.training.cross_encoder import PairScorer as Scorer

    return Scorer(base_spec(workspace, spec))


def _scores(workspace: Workspace, scorer: PairScorer, cache_mb: int) -> VectorCache:
    """A pair's score is kept as a vector of one dimension."""
    folder = workspace.settings.home / "mined"
    return VectorCache(cache_file(folder, "pairs", scorer.key, 1), 1, cache_mb * 10**6)


def _model(workspace: Workspace, settings: TrainSettings, version: Version | None) -> Encoder:
    if version is not None:
        return workspace.encoder(version, tune=True)
    from reindex.training.embedding import ModelEncoder
    from reindex.training.prompts import prompts_of

    own = settings.negatives.model is None  # the base, as it will be trained
    return ModelEncoder(
        base_spec(workspace, settings.negatives.model or settings.base),
        max_length=settings.max_length if own else None,
        prompts=prompts_of(settings, base_spec(workspace, settings.base)) if own else None,
        pooling=settings.pooling if own else None,
    )


def _version(workspace: Workspace, settings: TrainSettings) -> Version | None:
    """The exported version that is meant, or that is the base itself under these settings."""
    spec = settings.negatives.model or settings.base
    try:
        version = workspace.registry.version(spec)
        return version if version.artifact else None
    except UnknownVersion:
        pass
    from reindex.training.prompts import prompts_of

    query, document = prompts_of(settings, base_spec(workspace, spec))
    recipe = {
        "base": spec,
        "max_length": settings.max_length,
        "query_prompt": query,
        "document_prompt": document,
        "pooling": settings.pooling,
    }
    same = [
        version
        for version in workspace.registry.versions()
        if version.kind == "base"
        and version.artifact
        and {key: version.recipe.get(key) for key in recipe} == recipe
    ]
    return same[0] if same else None


def _searcher(
    workspace: Workspace, version: Version | None
) -> tuple[Callable[[Sequence[str], Snapshot, int], Candidates], str]:
    """Finds dense candidates in the version's collection, and what its points are now."""
    built = None
    if version is not None:
        built = workspace.registry.collection(workspace.collection_of(version.name))
    if version is None or built is None:
        raise ConfigError(
            'train.negatives.search = "collection" needs a version whose collection is built. '
            'Name one in train.negatives.model (reindex build makes it), or leave "vectors".'
        )
    text, name = stored_text(workspace.settings.source), version.name

    def find(queries: Sequence[str], snapshot: Snapshot, depth: int) -> Candidates:
        found = Candidates(
            "dense",
            np.full((len(queries), depth), NONE, np.int64),
            np.full((len(queries), depth), -np.inf, np.float32),
        )
        for start in range(0, len(queries), _ASKED):
            part = list(queries[start : start + _ASKED])
            for row, results in enumerate(search(workspace, part, depth, version=name), start):
                _fill_in(found, row, results, [text(hit.payload) for hit in results], snapshot)
        if (found.numbers == NONE).all():
            raise DataError(
                f"No text in {built.name} is one of the source's. Was it built from another "
                'source? Build it again, or set train.negatives.search = "vectors".'
            )
        return found

    return find, f"{built.name}/{built.build}/{built.encoding}"


def _fill_in(
    found: Candidates, row: int, results: Results, texts: Sequence[str], snapshot: Snapshot
) -> None:
    """One query's hits, as far as the corpus has their texts."""
    numbers = snapshot.find([text_key(text) for text in texts])
    known = [at for at, number in enumerate(numbers) if number != NONE]
    for place, at in enumerate(known):
        found.numbers[row, place] = numbers[at]
        found.scores[row, place] = results[at].score
