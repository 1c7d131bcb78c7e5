"""What a report says, from the registry alone: so it works beside an owner of the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from reindex import __version__
from reindex.config import Settings
from reindex.errors import ComparisonError
from reindex.evaluation.figure import Figure
from reindex.evaluation.front import Front
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_queries import Results
from reindex.evaluation.unjudged import NOT_JUDGED, UnjudgedComparison
from reindex.gate import Condition, GateDecision, decide, known_figures
from reindex.measures import LABELS, label
from reindex.plain import from_plain, to_plain
from reindex.promotion import latest_done
from reindex.registry import Registry
from reindex.registry.adoptions import collection_of
from reindex.registry.catalog import RegistryCatalog
from reindex.registry.ledger import BuiltCollection, Promotion, StoredComparison, Version
from reindex.registry.result_book import ResultBook
from reindex.registry.serving_plans import ServingPlans
from reindex.registry.watches import WatchRecord
from reindex.report.evidence import FamilyRow, family_rows, rollout_of, watch_of
from reindex.rollout.standing import Standing


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judged comparison as it is recorded: its number, its time, and how it was judged."""

    id: int
    created_at: str
    leaked: int
    judged_set_uses: int
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Unjudged:
    """An unjudged comparison as it is recorded."""

    id: int
    created_at: str
    comparison: UnjudgedComparison


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of a version's comparison with what is, or was, live.

    ``flip`` is the promotion that followed; the gate's conditions are then those that it was
    decided by. ``lineage`` goes from the version to the one it was trained from, and on. ``front``
    is what was measured for the serving plan, where there is one; ``family`` are the candidates
    that were compared at once, ``rollout`` is how the version's canary stands, ``watch`` what
    became of it after its flip.
    """

    project: str
    version: str
    made_at: str
    release: str
    decision: GateDecision
    flip: Promotion | None
    judged: Judgement | None
    unjudged: Unjudged | None
    figures: tuple[Figure, ...]
    lineage: tuple[Version, ...]
    collection: BuiltCollection | None
    front: Front | None = None
    family: tuple[FamilyRow, ...] = ()
    rollout: Standing | None = None
    watch: WatchRecord | None = None

    @property
    def verdict(self) -> str:
        """The gate's, or "not judged" where people have to say first what is right."""
        if self._open:
            return NOT_JUDGED
        return self.decision.verdict

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self._open and self.unjudged is not None:
            return f"{self.version} is not judged. {self.unjudged.comparison.reason}"
        count = len(self.decision.conditions)
        if self.verdict == "pass":
            told = f"{self.version} passes the gate: {_all(count)}"
        else:
            names = ", ".join(named(item.name) for item in self.decision.failed)
            word = "fails" if self.verdict == "fail" else "is inconclusive at"
            told = f"{self.version} {word} the gate: {len(self.decision.failed)} of {count} "
            told += f"conditions did not pass ({names})"
        return f"{told}. {self._why}".rstrip()

    @property
    def _open(self) -> bool:
        """Whether people have to judge first: the gate does not decide without."""
        judged = self.judged is not None or self.decision.unjudged is not None
        return self.unjudged is not None and not judged

    @property
    def _why(self) -> str:
        if self.judged is None:
            return ""
        first = next(iter(self.decision.conditions), None)
        if first is None:
            return self.judged.comparison.reason
        return f"{named(first.name)}: {first.figure[:1].lower()}{first.figure[1:]}"

    def as_dict(self) -> dict[str, Any]:
        """One JSON document: all of it, with verdict and sentence first."""
        return {"verdict": self.verdict, "sentence": self.sentence, **to_plain(self)}


def named(condition: str) -> str:
    """A condition's name for people: ``nDCG@10`` where it is a metric's."""
    metric, at, _ = condition.partition("@")
    return label(condition) if at and metric in LABELS else condition


def _all(count: int) -> str:
    return "its one condition holds" if count == 1 else f"all {count} conditions hold"


def gather(
    registry: Registry, settings: Settings, version: str, *, against: str | None = None
) -> Report:
    """The report of a version: its newest comparison, or the newest with ``against``.

    Raises:
        UnknownVersion: there is no such version.
        ComparisonError: it was never compared with ``against``.
    """
    lineage = _lineage(registry, version)
    collection = collection_of(registry, version, settings.collection(version))
    stored = _newest(registry.comparisons(collection), against)
    unjudged = _unjudged(registry, collection, against)
    if against is not None and stored is None and unjudged is None:
        raise ComparisonError(
            f"{version} was never compared with {against}. Run: reindex compare {version} "
            f"--against {against}"
        )
    live = _live_of(registry, settings, collection, stored, unjudged)
    flip = _flip(registry, stored)
    decision = decide(registry, settings.gate, version=version, collection=collection, live=live)
    if flip is not None and flip.conditions:
        decision = replace(decision, conditions=tuple(_conditions(flip)))
    judged = None if stored is None else judgement(registry, stored)
    return Report(
        project=settings.project.name,
        version=version,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        release=__version__,
        decision=decision,
        flip=flip,
        judged=judged,
        unjudged=unjudged,
        figures=tuple(known_figures(registry, collection, live).values()),
        lineage=lineage,
        collection=registry.collection(collection),
        front=_front(registry, collection),
        family=()
        if stored is None or judged is None
        else family_rows(registry, stored, judged.comparison),
        rollout=rollout_of(registry, settings, version),
        watch=watch_of(registry, collection),
    )


def _front(registry: Registry, collection: str) -> Front | None:
    """The ways of searching that were measured before the serving plan was frozen."""
    found = ServingPlans(registry).front_of(collection)
    return None if found is None else from_plain(Front, found)


def _newest(found: Iterable[StoredComparison], against: str | None) -> StoredComparison | None:
    return next((item for item in found if against in (None, item.live)), None)


def _unjudged(registry: Registry, collection: str, against: str | None) -> Unjudged | None:
    book = ResultBook(registry)
    stored = next((one for one in book.unjudged(collection) if against in (None, one.live)), None)
    if stored is None:
        return None
    packed = book.of_unjudged(stored.id)
    results = Results.unpacked(packed) if packed else None
    found = replace(UnjudgedComparison.from_dict(stored.result), results=results)
    return Unjudged(stored.id, stored.created_at, found)


def judgement(registry: Registry, stored: StoredComparison) -> Judgement:
    """A recorded comparison with its scores and results."""
    packed = ResultBook(registry).of(stored.id)
    comparison = replace(
        Comparison.from_dict({**stored.result, "scores": registry.comparison_scores(stored.id)}),
        results=Results.unpacked(packed) if packed else None,
    )
    uses = registry.judged_set_uses(stored.judged_set)
    return Judgement(stored.id, stored.created_at, stored.leaked, uses, comparison)


def _live_of(
    registry: Registry,
    settings: Settings,
    collection: str,
    stored: StoredComparison | None,
    unjudged: Unjudged | None,
) -> str | None:
    """What it was compared with; else what the registry knows to be live, unless that is itself."""
    if stored is not None:
        return stored.live_collection
    if unjudged is not None:
        return unjudged.comparison.live.collection
    done = latest_done(registry, settings.alias)
    live = RegistryCatalog(registry).aliases().get(settings.alias)
    live = live or (done.to_collection if done else None)
    return None if live == collection else live


def _flip(registry: Registry, stored: StoredComparison | None) -> Promotion | None:
    """The newest promotion that this comparison led to."""
    if stored is None:
        return None
    done = registry.promotions(state="done")
    return next((item for item in done if item.comparison == stored.id), None)


def _conditions(flip: Promotion) -> Iterable[Condition]:
    for item in flip.conditions:
        yield from_plain(Condition, item)


def _lineage(registry: Registry, version: str) -> tuple[Version, ...]:
    """The version, the version that it was trained from, and so on."""
    known = {item.name: item for item in registry.versions()}
    chain = [registry.version(version)]
    while (parent := known.get(chain[-1].base)) is not None and parent not in chain:
        chain.append(parent)
    return tuple(chain)
