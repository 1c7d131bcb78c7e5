"""The retriever that a project serves with: a canary beside what is live, and what is recorded.

While no canary runs it is a `Retriever` whose searches are recorded.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from reindex.errors import CollectionNotFound, ReindexError
from reindex.protocols import Store
from reindex.records import Condition, Hit
from reindex.registry.canaries import Canary
from reindex.registry.interactions import Feedback, Search
from reindex.retriever import Health, Lease, Loader, Request, Resolver, Results, Retriever, Side
from reindex.rollout.feedback import checked_feedback
from reindex.rollout.interleaving import interleave
from reindex.rollout.recorder import Recorder
from reindex.rollout.shadow import Shadow
from reindex.rollout.trials import Trial, Trials


@dataclass(frozen=True, slots=True)
class Answered:
    """The lists, and what went wrong with the candidate's, if it did.

    ``teams``: for each list of an interleaved answer, the version that gets the credit, or ''.
    """

    found: list[Results]
    error: str | None = None
    teams: list[tuple[str, ...]] | None = None


class RollingRetriever(Retriever):
    """Searches what is live, or what a canary gives this key. Thread-safe.

    Sees a flip, a canary and its weight without a restart.
    """

    def __init__(
        self, store: Store, resolve: Resolver, load: Loader, *, lease_ttl: float = 1.0,
        canary: Callable[[], Canary | None] = lambda: None, recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        """As `Retriever`; ``canary`` reads the one that runs, ``recorder`` None records nothing."""
        super().__init__(store, resolve, load, lease_ttl=lease_ttl)
        self._recorder = recorder
        self._trials = Trials(canary, self._open, every=0.0 if store.local else lease_ttl)
        self.shadow = Shadow()

    # -- searching

    def search(
        self, query: str, k: int = 10, *, offset: int = 0, where: Condition | None = None,
        exact: bool = False, key: str | None = None,
    ) -> Results:  # fmt: skip
        """As `Retriever.search`. ``key`` names whom a canary shall treat the same every time.

        A user's or a session's id, say. Without one, the same query gets the same version.
        """
        return self.search_many([query], k, offset=offset, where=where, exact=exact, key=key)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, offset: int = 0,
        where: Condition | None = None, exact: bool = False, key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """`search` for several queries, all answered for one key."""
        request = Request(queries, k, offset, where, exact)
        unit = key if key is not None else "\n".join(queries)
        lease = self.lease()
        trial = self._trials.current(lease)
        side: Side = trial.side_of(unit) if trial else "live"
        began = time.perf_counter()
        try:
            answered = self._answered(lease, trial, side, request, unit)
        except Exception as error:
            self._record_failure(lease, trial, side, request, unit, error)
            raise
        taken = (time.perf_counter() - began) * 1000 / max(1, len(queries))
        found = self._recorded(answered, trial, side, request, unit, taken)
        if trial is not None and not trial.canary.weight:
            self._beside(trial, request, unit, found)
        return found

    def _answered(
        self, lease: Lease, trial: Trial | None, side: Side, request: Request, unit: str
    ) -> Answered:
        if trial is None or side == "live":
            return Answered(self._answer(lease, request))
        try:
            if side == "candidate":
                return Answered(self._search(trial.lease, request))
            return self._interleaved(lease, trial, request, unit)
        except Exception as error:  # the candidate's fault is no reason to fail a user
            if isinstance(error, CollectionNotFound):
                self._leases.pop(trial.canary.collection, None)
                self._trials.drop(str(error))
            return Answered(self._answer(lease, request), str(error) or type(error).__name__)

    def _interleaved(self, lease: Lease, trial: Trial, request: Request, unit: str) -> Answered:
        """Lists drafted by both; a later page goes on where the first one ended."""
        deep = replace(request, k=request.offset + request.k, offset=0)
        theirs = self._search(trial.lease, deep)
        ours = self._answer(lease, deep)
        found, teams = [], []
        for query, live, candidate in zip(request.queries, ours, theirs, strict=True):
            seed = f"{trial.canary.experiment}\n{unit}\n{query}"
            hits, credited = _drafted(live, candidate, deep.k, seed)
            found.append(replace(live, hits=hits[request.offset :]))
            teams.append(credited[request.offset :])
        return Answered(found, None, teams)

    def _beside(
        self, trial: Trial, request: Request, unit: str, answered: Sequence[Results]
    ) -> None:
        """Ask the candidate too, after the answer and in another thread."""

        def ask() -> None:
            began = time.perf_counter()
            try:
                found = self._search(trial.lease, request)
                error = None
            except Exception as failed:
                found, error = [], str(failed) or type(failed).__name__
            taken = (time.perf_counter() - began) * 1000 / max(1, len(request.queries))
            for number, (query, live) in enumerate(zip(request.queries, answered, strict=True)):
                hits = found[number].hits if found else ()
                row = _row(trial.canary.version, "shadow", unit, query, hits, request.offset, taken)
                agreed = None if error else overlap(live.hits, hits)
                self._put(replace(row, phase=trial.canary.phase, overlap=agreed, error=error))

        self.shadow.submit(ask)

    def ask(self, collection: str, request: Request) -> list[Results]:
        """Search this very collection with its own encoder; counts for nothing, unrecorded.

        Raises:
            CollectionNotFound, ArtifactError, SpaceMismatch: it cannot be searched.
        """
        try:
            return self._search(self._open(collection), request)
        except CollectionNotFound:
            self._leases.pop(collection, None)
            raise

    # -- how it stands

    def health(self) -> Health:
        """As `Retriever.health`; ``degraded`` also where a canary's pair cannot be loaded."""
        found = super().health()
        return "degraded" if found == "ready" and self._trials.error else found

    @property
    def last_error(self) -> str | None:
        """Why the new target or the canary could not be loaded, if one could not."""
        return self._last_error or self._trials.error

    def wait_until_settled(self, timeout: float | None = None) -> None:
        """Wait until no new pair is being loaded, a canary's neither."""
        super().wait_until_settled(timeout)
        with suppress(ReindexError):
            self._trials.settle(self.lease(), timeout)

    # -- what is recorded

    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """Tell what became of an answer. Returns at once; it is written within a second or so.

        Args:
            search: the results, or their ``search_id``.
            clicked: ids of documents that were opened.
            used: ids of documents that served, for instance as sources of a generated answer.
            grade: what somebody said of the whole answer, from 0 (bad) to 1 (good).

        Raises:
            FeedbackError: nothing was said, or it is not of this form.
        """
        identity = search if isinstance(search, str) else search.search_id
        for kind, document, value in checked_feedback(identity, clicked, used, grade):
            self._put(Feedback(identity, time.time(), kind, document, value))

    def _put(self, row: Search | Feedback) -> None:
        if self._recorder is not None and self._recorder.on:
            self._recorder.put(row)

    def _recorded(
        self, answered: Answered, trial: Trial | None, side: Side, request: Request, unit: str,
        taken: float,
    ) -> list[Results]:  # fmt: skip
        if self._recorder is None or not self._recorder.on:
            return [replace(item, side=side) for item in answered.found]
        done = []
        for number, (query, item) in enumerate(zip(request.queries, answered.found, strict=True)):
            row = _row(item.version, side, unit, query, item.hits, request.offset, taken)
            teams = answered.teams[number] if answered.teams else None
            phase = trial.canary.phase if trial else None
            self._recorder.put(replace(row, phase=phase, teams=teams, error=answered.error))
            done.append(replace(item, side=side, search_id=row.id))
        return done

    def _record_failure(
        self, lease: Lease, trial: Trial | None, side: Side, request: Request, unit: str,
        error: Exception,
    ) -> None:  # fmt: skip
        for query in request.queries:
            row = _row(lease.version, side, unit, query, (), request.offset, 0.0)
            phase = trial.canary.phase if trial else None
            self._put(replace(row, phase=phase, error=f"{type(error).__name__}: {error}"))


def overlap(one: Sequence[Hit], other: Sequence[Hit]) -> float:
    """Share of the documents of the longer list that both have; 1 for two empty ones."""
    longest = max(len(one), len(other))
    both = {hit.id for hit in one} & {hit.id for hit in other}
    return len(both) / longest if longest else 1.0


def _drafted(
    live: Results, candidate: Results, k: int, seed: str
) -> tuple[tuple[Hit, ...], tuple[str, ...]]:
    """The drafted hits, each as its team found it, and the versions that get the credit."""
    by_team = {
        "live": {hit.id: hit for hit in live.hits},
        "candidate": {hit.id: hit for hit in candidate.hits},
    }
    drafted = interleave(list(by_team["live"]), list(by_team["candidate"]), k, seed)
    versions = {"live": live.version, "candidate": candidate.version, "": ""}
    either = by_team["candidate"] | by_team["live"]
    hits = tuple(
        by_team.get(team, either)[item]
        for item, team in zip(drafted.items, drafted.teams, strict=True)
    )
    return hits, tuple(versions[team] for team in drafted.teams)


def _row(
    version: str, side: str, unit: str, query: str, hits: Sequence[Hit], offset: int, taken: float
) -> Search:
    return Search(
        id=uuid.uuid4().hex, at=time.time(), version=version, phase=None, side=side, unit=unit,
        query=query, logged=None, latency_ms=taken, position=offset + 1,
        documents=tuple(hit.id for hit in hits), top_score=hits[0].score if hits else None,
    )  # fmt: skip
