"""Before stage 1: training pairs for a corpus that has none, or too few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reindex import __version__
from reindex.config.synthesis import SynthesisSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.frameworks import stored_text
from reindex.corpus.origins import check_ours, write_rows
from reindex.datasets.reading import read_examples
from reindex.errors import ConfigError, DataError
from reindex.protocols import Progress
from reindex.records import TrainingExample
from reindex.stages.leaking import judged_hashes, judged_texts, near_judged
from reindex.stages.reading import documents_of
from reindex.stages.searching import search
from reindex.stages.supervision import supervised
from reindex.synthesis.endpoint import host_of
from reindex.synthesis.passages import Passages, choose
from reindex.synthesis.plainly import cloze_pairs, title_pairs
from reindex.synthesis.prompts import Prompt, make_prompt
from reindex.synthesis.records import How, MadePair, Tally
from reindex.synthesis.roundtrip import (
    RoundTripReport,
    Search,
    bm25_search,
    corpus_of,
    round_trip,
)
from reindex.synthesis.sifting import sift, without_judged
from reindex.synthesis.writing import Estimate, Writing, Written, check_settings
from reindex.workspace import Workspace

PASSAGES = 1000
"""Of a run with a language model, where nothing else is asked."""
ASKED_AT_ONCE = 256
"""Queries per search with a model."""


@dataclass(frozen=True, slots=True)
class Synthesized:
    """The pairs that were made, and what was dropped on the way for which reason.

    ``written`` is None without a language model, ``round_trip`` where it was off.
    """

    how: How
    output: Path
    passages: Passages
    pairs: int
    queries: Tally
    round_trip: RoundTripReport | None
    written: Written | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        passages = self.passages
        return {
            "from": self.how,
            "output": str(self.output),
            "documents": passages.read,
            "passages": len(passages.chosen),
            "passages_dropped": dict(passages.dropped),
            "queries": self.queries.total,
            "queries_dropped": dict(self.queries.dropped),
            "pairs": self.pairs,
            "round_trip": _trip(self.round_trip),
            "answers": None if self.written is None else self.written.as_dict(),
        }


def _trip(report: RoundTripReport | None) -> dict[str, Any] | None:
    return None if report is None else {**asdict(report), "share": report.share}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: ``how``, as the settings say, into the file ``output``.

    ``first_pause``: seconds before a request is tried again (see `Endpoint`).
    """

    how: How
    settings: SynthesisSettings
    output: Path
    first_pause: float = 1.0


def estimate(workspace: Workspace, wanted: Wanted) -> Estimate:
    """What asking a language model would cost. Nothing is asked.

    Raises:
        ConfigError: it is not a language model that is asked for.
    """
    if wanted.how != "llm":
        raise ConfigError(
            f"--from {wanted.how} asks nobody and costs nothing: there is no estimate."
        )
    prompt = _prompt(workspace, wanted.settings)
    passages = _passages(workspace, wanted)
    with Writing(workspace.settings.home, wanted.settings, prompt) as writing:
        return writing.estimate(passages.chosen)


def synthesize(workspace: Workspace, wanted: Wanted) -> Synthesized:
    """Make training pairs and write them, with their origin beside them.

    What a language model answered is kept in the project's home; the same call goes on where the
    last one ended, and asks nothing twice.

    Raises:
        ConfigError: a setting cannot be used. DataError: nothing came of it.
        EndpointRefused: the endpoint refuses whatever it is asked. SynthesisError: it fails.
        Locked: another run makes pairs in this project.
    """
    check_ours(wanted.output)
    with supervised(workspace, "synthesize", None, locks=["synthesis"]) as job:
        made = _synthesize(workspace, wanted, job.progress)
        job.details.update(pairs=made.pairs, output=str(made.output.name))
        return made


def _synthesize(workspace: Workspace, wanted: Wanted, progress: Progress) -> Synthesized:
    settings, tally = wanted.settings, Tally()
    prompt = None
    if wanted.how == "llm":
        check_settings(settings)  # before a large source is read
        prompt = _prompt(workspace, settings)
    version = _searching(workspace, settings)
    passages = _passages(workspace, wanted)
    written = None
    if prompt is not None:
        with Writing(workspace.settings.home, settings, prompt) as writing:
            made, written = writing.write(passages.chosen, progress, wanted.first_pause)
    else:
        made = list(_plainly(wanted, passages, tally))
    kept = sift(made, tally)
    kept = without_judged(kept, judged_hashes(workspace), set(judged_texts(workspace)), tally)
    trip = None
    if kept and settings.round_trip != "off":
        kept, trip = _round_trip(workspace, settings, kept, tally, version, progress)
    if not kept:
        raise DataError(_nothing(passages, tally, written))
    done = Synthesized(wanted.how, wanted.output, passages, len(kept), tally, trip, written)
    write_rows(wanted.output, _rows(kept, wanted), _origin(workspace, done, settings, prompt))
    return done


def _prompt(workspace: Workspace, settings: SynthesisSettings) -> Prompt:
    resolve = workspace.settings.resolve
    return make_prompt(
        None if settings.prompt is None else resolve(settings.prompt),
        n=settings.queries_per_passage,
        language=settings.language,
        examples=_examples(workspace, settings),
    )


def _examples(workspace: Workspace, settings: SynthesisSettings) -> list[TrainingExample]:
    """Pairs to show. A judged query among them would come back in other words.

    Raises:
        DataError: the file cannot be read, or an example's query is (nearly) a judged one.
    """
    if settings.examples is None:
        return []
    path = workspace.settings.resolve(settings.examples)
    examples = read_examples(path)
    near = near_judged(examples, set(judged_texts(workspace)))
    if near:
        raise DataError(
            f"{path}: {len(near)} of the examples ask what a judged query asks, such as "
            f"{min(near)!r}. What judges must not teach: take other examples."
        )
    return examples


def _passages(workspace: Workspace, wanted: Wanted) -> Passages:
    settings = wanted.settings
    limit = settings.max_passages or (PASSAGES if wanted.how == "llm" else None)
    left_out = frozenset[str]() if settings.judged_documents else _judged_documents(workspace)
    text_of = stored_text(workspace.settings.source)
    with documents_of(workspace) as source:
        documents = source.documents(IgnoredLetters())
        return choose(documents, settings, limit, text_of=text_of, left_out=left_out)


def _judged_documents(workspace: Workspace) -> frozenset[str]:
    judged = [workspace.judgements(split) for split in ("dev", "test")]
    grades = [of for item in judged if item for of in item.qrels.values()]
    return frozenset(id for of in grades for id, grade in of.items() if grade > 0)


def _plainly(wanted: Wanted, passages: Passages, tally: Tally) -> Iterator[MadePair]:
    settings = wanted.settings
    if wanted.how == "titles":
        return title_pairs(passages.chosen, tally)
    return cloze_pairs(
        passages.chosen,
        per_passage=settings.queries_per_passage,
        keep_sentence=settings.keep_sentence,
        seed=settings.seed,
    )


# -- the round trip


def _searching(workspace: Workspace, settings: SynthesisSettings) -> str | None:
    """The version whose collection is searched, None where no model is asked."""
    if settings.round_trip in ("bm25", "off"):
        return None
    if settings.round_trip_model:
        version = workspace.registry.version(settings.round_trip_model).name
        if workspace.registry.collection(workspace.collection_of(version)) is None:
            raise ConfigError(
                f"synthesis.round_trip_model: {version} has no collection to search. Run: "
                f"reindex build {version}"
            )
        return version
    live = workspace.live_version()
    if live is None and settings.round_trip != "any":
        raise ConfigError(
            f"synthesis.round_trip = {settings.round_trip!r} searches with a model, but nothing is "
            "live. Name a built version (--round-trip-model v1), or take --round-trip bm25."
        )
    return None if live is None else live.name


def _round_trip(
    workspace: Workspace, settings: SynthesisSettings, pairs: Sequence[MadePair], tally: Tally,
    version: str | None, progress: Progress,
) -> tuple[list[MadePair], RoundTripReport]:  # fmt: skip
    wanted = frozenset(pair.document for pair in pairs)
    k, limit, seed = settings.round_trip_k, settings.round_trip_documents, settings.seed
    with documents_of(workspace) as source:
        texts = corpus_of(source.documents(IgnoredLetters()), wanted, limit, seed, progress)
    searches: dict[str, Search] = {}
    if settings.round_trip != "model":
        searches["bm25"] = bm25_search(texts, k)
    if version is not None:
        searches[version] = _model_search(workspace, version, k, progress)
    return round_trip(pairs, texts, searches, settings.round_trip, k, tally)


def _model_search(workspace: Workspace, version: str, k: int, progress: Progress) -> Search:
    def find(queries: Sequence[str]) -> list[list[str]]:
        found: list[list[str]] = []
        for start in range(0, len(queries), ASKED_AT_ONCE):
            part = list(queries[start : start + ASKED_AT_ONCE])
            results = search(workspace, part, k, version=version)
            found += [[str(hit.id) for hit in result.hits] for result in results]
            progress(f"searching with {version}", len(found), len(queries))
        return found

    return find


# -- what is written


def _rows(pairs: Sequence[MadePair], wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Rows that `reindex train --pairs` takes; ``document_id`` and ``made_by`` tell the origin."""
    model = f"llm:{wanted.settings.model}" if wanted.how == "llm" else wanted.how
    for pair in pairs:
        yield {
            "query": pair.query,
            "positive": pair.positive,
            "document_id": pair.document,
            "made_by": model,
        }


_NOT_TOLD = {"base_url", "api_key_env", "prompt", "examples", "concurrency", "timeout", "attempts"}
"""Settings that do not decide the pairs, or whose content's hash does."""


def _origin(
    workspace: Workspace, done: Synthesized, settings: SynthesisSettings, prompt: Prompt | None
) -> Mapping[str, Any]:
    told = {key: value for key, value in done.as_dict().items() if key != "output"}
    if prompt is not None:
        told |= {"model": settings.model, "endpoint": host_of(settings), "prompt": prompt.sha256}
    how = settings.model_dump(mode="json", exclude=_NOT_TOLD)
    return {
        "made_with": f"reindex {__version__}",
        "at": workspace.registry.now(),
        "source": workspace.source.name,
        **told,
        "settings": how,
    }


def _nothing(passages: Passages, tally: Tally, written: Written | None) -> str:
    reasons = [f"{count:,} {reason}" for reason, count in tally.dropped.items()]
    if written is not None:
        reasons += [f"{count:,} answers {reason}" for reason, count in written.unusable.items()]
        reasons += [f"{count:,} requests failed: {why}" for why, count in written.failed.items()]
    why = ", ".join(reasons) or "none made"
    return (
        f"No pair is left: {len(passages.chosen):,} passages gave {tally.total:,} queries ({why}). "
        "Nothing was written."
    )
