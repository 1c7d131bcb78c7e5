"""The front door: one project with all that can be done to it (``import reindex``).

with reindex.open("reindex.toml") as project:
    project.build("v2")
    project.compare("v2")
    project.promote("v2")
    hits = project.retriever().search("flatten a nested list", k=10)
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from reindex.config import CONFIG_NAME, Settings, load_settings
from reindex.config.template import render_config
from reindex.errors import ConfigError
from reindex.making import Making
from reindex.pacing import Budget
from reindex.promotion import operator
from reindex.protocols import Progress, no_progress
from reindex.registry import REGISTRY_NAME, Registry
from reindex.registry.control import Control, RunningRun, Verb
from reindex.registry.ledger import Promotion, Version

if TYPE_CHECKING:
    from reindex.advice.findings import Advice
    from reindex.build import BuildReport
    from reindex.indexing import Indexer
    from reindex.inspection.findings import Diagnosis
    from reindex.owner.owning import Owner
    from reindex.registry.canaries import Canary
    from reindex.registry.replacing import Restored
    from reindex.report import Report
    from reindex.rollout.retriever import RollingRetriever
    from reindex.rollout.standing import Standing
    from reindex.stages.adopting import Adopted, AdoptionRequest
    from reindex.stages.backing_up import BackedUp
    from reindex.stages.examining import Examination
    from reindex.stages.judging import Pooled
    from reindex.stages.owner_retriever import OwnerRetriever
    from reindex.stages.planning import BuildPlan
    from reindex.stages.promoting import Promoted
    from reindex.stages.retrying import Retried
    from reindex.stages.syncing import Synced
    from reindex.stages.tuning import Tuned
    from reindex.stages.upkeep import Cleaned, Status
    from reindex.stages.watchdog import WatchRound


class Project(Making):
    """A project: `reindex.toml`, its registry and its store. See the module's example."""

    @classmethod
    def init(
        cls, folder: str | Path = ".", *, values: Mapping[str, Mapping[str, Any]] | None = None,
        progress: Progress = no_progress,
    ) -> Self:  # fmt: skip
        """Create ``reindex.toml`` (commented) and the registry.

        A ``reindex.toml`` that is there, say from version control, is taken as it is. ``values``
        fills keys in: section -> key -> value.

        Raises:
            ConfigError: there is a registry already, or a file that ``values`` would change.
        """
        file = Path(folder) / CONFIG_NAME
        if file.exists() and values:
            raise ConfigError(f"{file} exists already. Edit it, or start in another folder.")
        if not file.exists():
            text = render_config(values or {})
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        settings = load_settings(file)
        registry = settings.home / REGISTRY_NAME
        if registry.exists():
            raise ConfigError(f"{file.parent} is a project already: its registry is {registry}.")
        Registry(registry, create=True).close()
        return cls(settings, progress=progress)

    def adopt_base(self, base: str | None = None) -> Version:
        """Register an off-the-shelf model as the next version; no training."""
        from reindex.stages.training import adopt_base

        return adopt_base(self, base or self.settings.train.base)

    @classmethod
    def for_collection(
        cls, folder: str | Path, request: AdoptionRequest, *, url: str,
        alias: str | None = None, progress: Progress = no_progress,
    ) -> Self:  # fmt: skip
        """A new project around a collection on a Qdrant server; `adopt` is the next step.

        Raises:
            AdoptionRefused: its text or its vector cannot be told; nothing was written.
            StoreError: the server does not answer, or has no such collection.
        """
        from reindex.stages.adopting import start_values

        with cls.on_server(url) as project:
            values = start_values(project, request, url=url, alias=alias)
        return cls.init(folder, values=values, progress=progress)

    @classmethod
    @contextlib.contextmanager
    def on_server(cls, url: str, *, progress: Progress = no_progress) -> Iterator[Self]:
        """A project that lasts as long as the context, to look at a server's collections with."""
        with tempfile.TemporaryDirectory() as nowhere:
            probe = {"store": {"kind": "server"}, "qdrant": {"url": url}, "root": nowhere}
            settings = Settings.model_validate(probe)
            Registry(settings.home / REGISTRY_NAME, create=True).close()
            with cls(settings, progress=progress) as project:
                yield project

    def adopt(self, request: AdoptionRequest) -> Adopted:
        """Take over a collection that somebody else made as the live version."""
        from reindex.stages.adopting import adopt

        return adopt(self, request)

    def doctor(self, asked: Examination | None = None) -> Diagnosis:
        """Look at a collection, ours or somebody else's; nothing is written. None: what is live."""
        from reindex.stages.examining import Examination, examine

        return examine(self, asked or Examination())

    def advise(
        self, *, others: Sequence[str] = (), pilot: bool = True, minutes: float | None = None
    ) -> Advice:
        """Stay, synthesise pairs, fine-tune or improve the pipeline, with what was measured.

        ``others``: further base models to measure; ``minutes``: what the pilot's trainings may
        take.
        """
        from reindex.stages.advising import Wish, advise

        return advise(self, Wish(tuple(others), pilot, minutes))

    def build(
        self, version: str, *, allow_deletes: bool = False, budget: Budget | None = None,
        engine: Literal["local", "ray"] = "local", address: str | None = None,
        early_stop: bool | None = None,
    ) -> BuildReport:  # fmt: skip
        """Make the version's collection equal to the source. Resumable, idempotent.

        ``engine`` says where texts are embedded; ``address`` which Ray cluster that is.
        ``early_stop``: look at a few documents first, and raise ClearlyWorse where that shows it
        (None: as `build.early_stop` says).
        """
        from reindex.stages.building import build
        from reindex.stages.engines import Engine

        on = Engine(engine, address)
        return build(
            self, version, allow_deletes=allow_deletes, budget=budget, engine=on,
            early_stop=early_stop,
        )  # fmt: skip

    def sync(
        self, *versions: str, every: bool = False, allow_deletes: bool = False,
        dry_run: bool = False, repair: bool = False,
    ) -> list[Synced]:  # fmt: skip
        """Bring what serves (or ``versions``, or every collection) in step with the source."""
        from reindex.stages.syncing import sync

        return sync(
            self, versions, every=every, allow_deletes=allow_deletes, dry_run=dry_run, repair=repair
        )

    def plan(self, version: str) -> BuildPlan:
        """What building a version will cost, what would fail, and what would be cheaper."""
        from reindex.stages.planning import plan

        return plan(self, version)

    def retry_failed(self, version: str | None = None) -> Retried:
        """Try the documents in the last build's dead letters again, and these alone."""
        from reindex.stages.retrying import retry_failed

        return retry_failed(self, version)

    def judge_by(self, queries: Path, qrels: Path) -> None:
        """From here on, judge by these files instead of those that ``[evaluation]`` names.

        Its other wordings are of its own queries, so they are left out, too.
        """
        files = {
            "queries": queries.resolve(), "qrels": qrels.resolve(), "pools": (), "variants": {},
        }  # fmt: skip
        evaluation = self.settings.evaluation.model_copy(update=files)
        self.settings = self.settings.model_copy(update={"evaluation": evaluation})

    def report(self, version: str, *, against: str | None = None) -> Report:
        """The version's newest comparison (or that with ``against``), from the registry alone."""
        from reindex.report import gather

        return gather(self.registry, self.settings, version, against=against)

    def pool(
        self, version: str, *, queries: int = 50, depth: int | None = None, everything: bool = False
    ) -> Pooled:
        """The results on which the version's last comparison disagrees, for people to judge."""
        from reindex.stages.judging import pool_results

        return pool_results(self, version, queries=queries, depth=depth, everything=everything)

    def tune(
        self, version: str, *, target: float | None = None, other_layouts: bool = True
    ) -> Tuned:
        """Measure how the version's collection is best searched, and freeze that.

        ``target``: recall against exact search of the same vectors.
        """
        from reindex.stages.tuning import tune

        return tune(self, version, target=target, other_layouts=other_layouts)

    def untune(self, version: str) -> bool:
        """Take back what `tune` froze; returns whether there was something."""
        from reindex.stages.tuning import untune

        return untune(self, version)

    def promote(
        self, version: str, *, dry_run: bool = False, force: bool = False, reason: str = "",
        require_approval: bool = False,
    ) -> Promoted:  # fmt: skip
        """Flip the alias to a version if the gate passes."""
        from reindex.stages.promoting import promote

        return promote(
            self, version, dry_run=dry_run, force=force, reason=reason,
            require_approval=require_approval,
        )  # fmt: skip

    def rollback(
        self, version: str | None = None, *, now: bool = False, reason: str = ""
    ) -> Promotion:
        """Flip the alias back to the previous or a named version."""
        from reindex.stages.promoting import rollback

        return rollback(self, version, now=now, reason=reason)

    def status(self) -> Status:
        """What is live and built, and where registry and store disagree."""
        from reindex.stages.upkeep import status

        return status(self)

    def gc(self, *, dry_run: bool = False, vectors: bool = False) -> Cleaned:
        """Drop what is neither live nor previous nor younger than the hold-over.

        ``vectors``: remove all kept vectors of documents too, not only those without a version.
        """
        from reindex.stages.upkeep import collect_garbage

        return collect_garbage(self, dry_run=dry_run, vectors=vectors)

    def ask(self, verb: Verb, version: str | None = None) -> list[RunningRun]:
        """Pause, resume or cancel what runs, whoever started it. Raises Conflict: nothing does."""
        return Control(self.registry).ask(verb, operator(), version)

    def throttle(self, per_second: float | None) -> None:
        """Let every run of this project embed and write at most so many documents a second."""
        Control(self.registry).set_throttle(per_second, operator())

    def indexer(self) -> Indexer:
        """The write path: upserts and deletes that no build or flip loses.

        Where another process owns the embedded store, it writes within that one.
        """
        from reindex.stages.writing import open_indexer

        return open_indexer(self)

    def retriever(self, version: str | None = None) -> RollingRetriever | OwnerRetriever:
        """A retriever over what is live, or over one version's collection.

        Where another process owns the embedded store, it searches within that one.
        """
        from reindex.stages.owner_retriever import OwnerRetriever
        from reindex.stages.searching import open_retriever

        if self.other_owner() is not None:
            return OwnerRetriever(self, version)
        return open_retriever(self, version)

    def canary(
        self, version: str | None = None, *, weight: float | None = None,
        interleave: bool | None = None,
    ) -> Canary:  # fmt: skip
        """Let a candidate answer a share of the keys beside what is live; 0 only beside, unseen.

        Again, for the same version: another ``weight`` or mode, seen by what serves without a
        restart.
        """
        from reindex.stages.rolling_out import canary

        return canary(self, version, weight=weight, interleave=interleave, who=operator())

    def end_canary(self, reason: str = "") -> Canary:
        """What is live answers everybody again."""
        from reindex.stages.rolling_out import end_canary

        return end_canary(self, reason)

    def canary_standing(self) -> Standing | None:
        """What the canary that runs, or the last one, has shown; None: there was none."""
        from reindex.stages.rolling_out import standing

        return standing(self)

    def watch_round(self, *, dry_run: bool = False) -> WatchRound:
        """Look once at what the last promotion brought; back by itself where that is due.

        `reindex watch` does this again and again; see `reindex.stages.watchdog.watch`.
        """
        from reindex.stages.watchdog import watch_round

        return watch_round(self, dry_run=dry_run)

    def backup(self, target: str | Path, *, keep: int | None = None) -> BackedUp:
        """Copy the registry to a new file, or a dated one in a folder, while others work."""
        from reindex.stages.backing_up import back_up_registry

        return back_up_registry(self, Path(target), keep=keep)

    def restore(
        self, backup: str | Path, *, force: bool = False, dry_run: bool = False
    ) -> Restored:
        """Make the registry what it was when ``backup`` was taken."""
        from reindex.stages.backing_up import restore_registry

        return restore_registry(self, Path(backup), force=force, dry_run=dry_run)

    def own(self, *, log: Callable[[str], None] | None = None) -> Owner:
        """Be the owner of the embedded store: a context within which other processes may ask.

        ``log`` gets a line per job. See `reindex.owner.owning.Owner`.
        """
        import reindex.stages.jobs  # noqa: F401 (fills the table of jobs)
        from reindex.owner.lanes import no_log
        from reindex.owner.owning import Owner

        return Owner(self, log=log or no_log)


def open_project(path: str | Path = ".", *, progress: Progress = no_progress) -> Project:
    """Open the project whose ``reindex.toml`` is at ``path`` (the file or its folder)."""
    return Project.open(path, progress=progress)


__all__ = ["Project", "Settings", "open_project"]
