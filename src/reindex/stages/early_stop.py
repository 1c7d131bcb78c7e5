"""Before a full build: embed a few documents and stop where the candidate is clearly worse."""

from __future__ import annotations

from reindex.errors import ClearlyWorse, ComparisonError
from reindex.evaluation.compare import judged_set_of
from reindex.evaluation.early import EarlyLook, judge_early
from reindex.evaluation.paired import score_runs
from reindex.evaluation.subset import exact_scores
from reindex.measures import parse_measure
from reindex.protocols import Encoder
from reindex.records import Judgements
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.ledger import Version
from reindex.stages.choosing import choose_few, embed_few
from reindex.stages.supervision import Job
from reindex.workspace import Workspace


def asked_to_look(workspace: Workspace, asked: bool | None) -> bool:
    """Whether to look: as ``asked``, or (None) as the configuration says where there is something
    to look at, so that a first version is built without.
    """
    if asked is not None or not workspace.settings.build.early_stop:
        return bool(asked)
    return workspace.live_version() is not None and workspace.judgements("test") is not None


def look_early(
    workspace: Workspace, version: Version, encoder: Encoder, documents: Encoder, job: Job
) -> EarlyLook | None:
    """Compare a version with what is live on judged documents, hard distractors and a sample.

    ``encoder`` embeds queries, ``documents`` documents; their vectors are kept where the build
    finds them. None where there is nothing to look for: the version is live, or built already.

    Raises:
        ComparisonError: nothing is live, or there are no judged queries.
        ClearlyWorse: so it is.
    """
    own = workspace.registry.collection(workspace.collection_of(version.name))
    live = workspace.live_version()
    if (own is not None and own.complete) or (live is not None and live.name == version.name):
        return None
    judged = workspace.judgements("test")
    if live is None or judged is None:
        lacking = "no judged queries are configured" if live else "nothing is live"
        raise ComparisonError(
            f"An early stop compares with what is live on judged queries, but {lacking}. Leave "
            "out --early-stop (build.early_stop)."
        )
    look = _look(workspace, encoder, documents, judged, job)
    job.details["early_look"] = seen = {"look": str(look), "worse": look.worse}
    JudgedUses(workspace.registry).add(
        judged_set_of(judged), "early look", version.name, details=seen
    )
    if look.worse:
        kept = "; the vectors are kept" if workspace.settings.embed.cache else ""
        raise ClearlyWorse(
            f"{version.name} is clearly worse than {live.name}, which is live: {look}. Fewer "
            "documents compete with the answers than in a whole collection, so it would be no "
            f"better there. Nothing was built{kept}. Build it all the same with: "
            f"reindex build {version.name} --no-early-stop"
        )
    return look


def _look(
    workspace: Workspace,
    encoder: Encoder,
    documents: Encoder,
    judgements: Judgements,
    job: Job,
) -> EarlyLook:
    settings, gate = workspace.settings.evaluation, workspace.settings.gate
    measure = parse_measure(gate.metric, settings.k)
    built = workspace.registry.collection(str(workspace.live_collection()))
    assert built is not None  # `live_version` found it
    few = choose_few(workspace, built, judgements, measure.k, job)
    with workspace.remembering(documents) as remembering:
        vectors = embed_few(remembering, few.texts, job)
    queries = encoder.encode_queries([query.text for query in few.judged.queries])
    scores = exact_scores(few.judged, queries, list(few.texts), vectors, [measure])
    served = score_runs(few.runs, few.judged.qrels, [measure])
    name = str(measure)
    return judge_early(name, few.judged, served[name], scores[name], len(few.texts), settings, gate)
