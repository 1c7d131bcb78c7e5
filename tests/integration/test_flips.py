"""Flips: one winner, no mismatched answer, history that agrees with the alias."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import AliasConflict, Conflict, PromotionRefused, SpaceMismatch, StoreBusy
from reindex.promotion import Flip, flip, reconcile
from reindex.retriever import Retriever, Serving
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.searching import open_retriever
from reindex.stages.upkeep import collect_garbage, history, status
from tests.copying import copy_project
from tests.hash_encoder import HashEncoder
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(200)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three built versions, v1 live; closed, so that it can be copied."""
    folder = tmp_path_factory.mktemp("template")
    write_documents(folder, TEXTS)
    with hash_project(folder, versions=3) as workspace:
        for name in ("v1", "v2", "v3"):
            build(workspace, name)
        promote(workspace, "v1")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Iterator[HashWorkspace]:
    folder = tmp_path / "project"
    copy_project(template, folder)
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def plan(workspace: HashWorkspace, version: str, expected: str | None) -> Flip:
    target = workspace.settings.collection(version)
    built = workspace.registry.collection(target)
    assert built is not None
    return Flip("promote", workspace.settings.alias, expected, target, version, built.build)


def test_the_first_version_needs_no_comparison_but_coverage(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        with pytest.raises(PromotionRefused, match="reindex build v1"):
            promote(workspace, "v1")
        build(workspace, "v1")
        assert promote(workspace, "v1").promotion is not None
        assert workspace.live_collection() == "docs--v1"


def test_the_second_version_needs_a_comparison(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="never compared"):
        promote(project, "v2")
    assert project.live_collection() == "docs--v1"


def test_force_needs_a_reason_which_is_kept(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="--reason"):
        promote(project, "v2", force=True)
    done = promote(project, "v2", force=True, reason="fire drill").promotion
    assert done is not None
    assert (done.forced, done.reason) == (True, "fire drill")
    assert history(project)[0].conditions[1]["verdict"] == "fail"
    assert project.live_collection() == "docs--v2"


def test_a_dry_run_changes_nothing(project: HashWorkspace) -> None:
    outcome = promote(project, "v2", dry_run=True)
    assert outcome.promotion is None
    assert outcome.decision.verdict == "fail"
    assert [item.kind for item in history(project)] == ["promote"]


def test_what_is_live_cannot_be_promoted_again(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="live already"):
        promote(project, "v1")


def test_rollback_goes_to_the_previous_and_to_a_named_version(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="nothing to go back to"):
        rollback(project)
    promote(project, "v2", force=True, reason="x")
    promote(project, "v3", force=True, reason="x")
    assert rollback(project).to_collection == "docs--v2"
    assert rollback(project, "v1", reason="older still").reason == "older still"
    assert project.live_collection() == "docs--v1"


def test_rollback_refuses_a_version_that_was_never_live(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="never live"):
        rollback(project, "v3")


@pytest.mark.parametrize("now", [False, True])
def test_rollback_takes_what_was_written_since(project: HashWorkspace, now: bool) -> None:
    promote(project, "v2", force=True, reason="x")
    write_documents(project.settings.root, [*TEXTS, "written after the flip"])
    rollback(project, now=now)
    hits = project.retriever().search("written after the flip", k=1)
    assert hits.version == "v1"
    assert hits[0].id == f"d{len(TEXTS)}"
    assert hits[0].score == pytest.approx(1, abs=1e-4)


def test_a_flip_decided_on_another_live_collection_is_refused(project: HashWorkspace) -> None:
    late = plan(project, "v3", project.live_collection())
    promote(project, "v2", force=True, reason="first")
    with pytest.raises(Conflict, match=r"moved it to docs--v2 at \d{4}"):
        flip(project.registry, project.store, late)
    assert project.live_collection() == "docs--v2"
    assert [item.state for item in history(project)] == ["abandoned", "done", "done"]


def test_a_flip_to_a_rebuilt_collection_is_refused(project: HashWorkspace) -> None:
    wrong = plan(project, "v2", "docs--v1")
    project.registry.update_collection("docs--v2", build="another")
    with pytest.raises(Conflict, match="rebuilt"):
        flip(project.registry, project.store, wrong)
    assert project.live_collection() == "docs--v1"


def test_a_flip_outside_the_registry_is_detected(project: HashWorkspace) -> None:
    project.store.point_alias("docs", "docs--v3")
    assert any("outside this registry" in item for item in status(project).differences)


def test_status_names_what_is_missing_and_what_is_unknown(project: HashWorkspace) -> None:
    assert status(project).differences == ()
    project.store.drop("docs--v3")
    project.registry.remove_collection("docs--v2")
    text = "\n".join(status(project).differences)
    assert "docs--v3 is in the registry but not in the store" in text
    assert "docs--v2 is in the store but not in the registry" in text


def test_status_names_other_counts_and_metadata(project: HashWorkspace) -> None:
    project.store.set_metadata("docs--v2", {"build": "someone else's"})
    some = next(project.store.scroll("docs--v3", page=1))[0]
    assert some.stamp is not None
    project.store.delete("docs--v3", {some.id: some.stamp})
    text = "\n".join(status(project).differences)
    assert "docs--v2: build is someone else's in the store" in text
    assert "docs--v3: 199 points in the store, 200 after the last build" in text


def test_gc_keeps_live_previous_and_young(project: HashWorkspace, tmp_path: Path) -> None:
    promote(project, "v2", force=True, reason="x")
    assert collect_garbage(project).removed == ()
    old = "2020-01-01T00:00:00.000000+00:00"
    for name in ("docs--v1", "docs--v2", "docs--v3"):
        project.registry.update_collection(name, built_at=old)
    planned = collect_garbage(project, dry_run=True)
    assert planned.removed == ("docs--v3",)
    assert "docs--v3" in project.store.collections()
    done = collect_garbage(project)
    assert done.removed == ("docs--v3",)
    assert dict(done.kept) == {"docs--v1": "previous", "docs--v2": "live"}
    assert project.store.collections() == ["docs--v1", "docs--v2"]
    build(project, "v3")  # a dropped collection can be built again
    assert project.store.count("docs--v3") == len(TEXTS)


def test_a_build_that_cannot_open_the_collection_changes_no_record(project: HashWorkspace) -> None:
    project.store.info("docs--v2")  # held by this store from now on
    with HashWorkspace(project.settings) as other, pytest.raises(StoreBusy, match="docs--v2"):
        build(other, "v2")
    built = project.registry.collection("docs--v2")
    assert built is not None
    assert built.complete


def test_what_is_live_cannot_be_dropped(project: HashWorkspace) -> None:
    with pytest.raises(AliasConflict):
        project.store.drop("docs--v1")


def test_a_dead_process_s_intent_is_closed(project: HashWorkspace) -> None:
    def intent() -> int:
        return project.registry.add_intent(
            kind="promote", conditions=[], alias="docs", from_collection="docs--v1",
            to_collection="docs--v2", version="v2", comparison=None, forced=False, reason="",
            who="me@elsewhere",
        ).id  # fmt: skip

    long_ago = "2020-01-01T00:00:00.000000+00:00"
    left = intent()
    assert reconcile(project.registry, project.store) == []  # may still be about to act
    project.registry._update("promotions", "id", left, created_at=long_ago)
    assert [item.state for item in reconcile(project.registry, project.store)] == ["abandoned"]
    arrived = intent()
    project.registry._update("promotions", "id", arrived, created_at=long_ago)
    project.store.point_alias("docs", "docs--v2")  # its write came through, its record did not
    assert [item.state for item in reconcile(project.registry, project.store)] == ["done"]


def _promote(folder: str, version: str, barrier: Any, answers: Any) -> None:
    with HashWorkspace(load_settings(Path(folder))) as workspace:
        mine = plan(workspace, version, workspace.live_collection())
        barrier.wait(60)
        try:
            flip(workspace.registry, workspace.store, mine)
            answers.put((version, "won", ""))
        except Conflict as error:
            answers.put((version, "lost", str(error)))


def test_of_two_promoters_exactly_one_wins(project: HashWorkspace) -> None:
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        live = project.live_collection()
        versions = [name for name in ("v1", "v2", "v3") if f"docs--{name}" != live][:2]
        barrier, answers = context.Barrier(2), context.Queue()
        folder = str(project.settings.root)
        workers = [
            context.Process(target=_promote, args=(folder, name, barrier, answers))
            for name in versions
        ]
        for worker in workers:
            worker.start()
        outcome = sorted((answers.get(timeout=120) for _ in workers), key=lambda item: item[1])
        for worker in workers:
            worker.join()
        (_, lost, why), (winner, won, _) = outcome
        assert (lost, won) == ("lost", "won")
        assert f"moved it to docs--{winner} at 20" in why
        assert project.live_collection() == f"docs--{winner}"
    assert project.registry.promotions(state="intent") == []


def _flip_often(folder: str, flips: int, answered: dict[str, Any]) -> None:
    """Flip to and fro, as fast as it goes; the first time to each version until it has answered."""
    waiting = set(answered)
    with HashWorkspace(load_settings(Path(folder))) as workspace:
        for _ in range(flips):
            live = workspace.live_collection()
            target = "v2" if live == "docs--v1" else "v1"
            flip(workspace.registry, workspace.store, plan(workspace, target, live))
            if target in waiting:
                assert answered[target].wait(timeout=300), f"no search saw the flip to {target}"
                waiting.remove(target)


class Searcher(threading.Thread):
    """Searches known texts until told to stop, and keeps whatever goes wrong."""

    def __init__(self, retriever: Retriever, start: int, told: dict[str, Any]) -> None:
        super().__init__()
        self.retriever, self.number, self.told = retriever, start, told
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.wrong: list[str] = []
        self.answered: Counter[str] = Counter()

    def run(self) -> None:
        while not self.stop.is_set():
            self.number = (self.number + 7) % len(TEXTS)
            try:
                results = self.retriever.search(TEXTS[self.number], k=3)
            except BaseException as error:
                self.errors.append(error)
                return
            if results[0].id != f"d{self.number}" or abs(results[0].score - 1) > 1e-3:
                self.wrong.append(f"{results.version}: {results.hits}")
            if not self.answered[results.version]:
                self.told[results.version].set()
            self.answered[results.version] += 1


def test_searching_threads_through_200_flips(project: HashWorkspace) -> None:
    retriever, spawn = open_retriever(project), multiprocessing.get_context("spawn")
    told = {version: spawn.Event() for version in ("v1", "v2")}
    searchers = [Searcher(retriever, start, told) for start in range(4)]
    for searcher in searchers:
        searcher.start()
    worker = spawn.Process(target=_flip_often, args=(str(project.settings.root), 200, told))
    worker.start()
    worker.join()
    for searcher in searchers:
        searcher.stop.set()
        searcher.join()
    answered = sum((searcher.answered for searcher in searchers), Counter())
    assert worker.exitcode == 0
    assert [searcher.errors for searcher in searchers] == [[]] * 4
    assert [searcher.wrong for searcher in searchers] == [[]] * 4
    assert min(answered["v1"], answered["v2"]) > 0
    assert len(project.registry.promotions(state="done")) == 201


def test_the_retriever_sees_a_flip_of_another_process(project: HashWorkspace) -> None:
    retriever = open_retriever(project)
    assert retriever.search(TEXTS[3]).version == "v1"
    worker = multiprocessing.get_context("spawn").Process(
        target=_flip_often, args=(str(project.settings.root), 1, {})
    )
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    retriever.search(TEXTS[3])  # the new pair is loaded in the background meanwhile
    retriever.wait_until_settled()
    results = retriever.search(TEXTS[3])
    assert results.version == "v2"
    assert results[0].score == pytest.approx(1, abs=1e-3)
    assert retriever.health() == "ready"


def test_a_wrong_encoder_is_never_served(project: HashWorkspace) -> None:
    def load(_: str, metadata: Any) -> Serving:
        return Serving(HashEncoder(32, seed=99), 10, frozenset())

    retriever = Retriever(project.store, lambda: "docs--v1", load)
    with pytest.raises(SpaceMismatch, match="docs--v1"):
        retriever.search("anything")
    assert retriever.health() == "not ready"


def test_a_new_target_that_cannot_load_leaves_the_old_pair_serving(project: HashWorkspace) -> None:
    def load(_: str, metadata: Any) -> Serving:
        if metadata["version"] == "v2":
            return Serving(HashEncoder(32, seed=99), 10, frozenset())
        return Serving(encoder_of(metadata["version"]), 10, frozenset())

    retriever = Retriever(project.store, lambda: str(project.live_collection()), load)
    retriever.search(TEXTS[0])
    flip(project.registry, project.store, plan(project, "v2", "docs--v1"))
    retriever.search(TEXTS[0])
    retriever.wait_until_settled()
    assert retriever.search(TEXTS[0]).version == "v1"
    assert retriever.health() == "degraded"
    assert "docs--v2" in (retriever.last_error or "")
    flip(project.registry, project.store, plan(project, "v1", "docs--v2"))
    assert retriever.search(TEXTS[0])[0].id == "d0"
    assert retriever.health() == "ready"


def test_an_uncertified_encoding_of_the_same_space_is_refused(project: HashWorkspace) -> None:
    other = HashEncoder(32, seed=1, encoding="fp32 graph")
    retriever = Retriever(
        project.store, lambda: "docs--v1", lambda *_: Serving(other, 10, frozenset())
    )
    with pytest.raises(SpaceMismatch, match="certify"):
        retriever.search("x")
    certified = frozenset({encoder_of("v1").encoding})
    retriever = Retriever(
        project.store, lambda: "docs--v1", lambda *_: Serving(other, 10, certified)
    )
    assert retriever.search(TEXTS[5])[0].id == "d5"


def test_searching_with_offset_filter_and_exact(project: HashWorkspace) -> None:
    retriever = project.retriever()
    all_hits = retriever.search(TEXTS[9], k=5, exact=True)
    assert retriever.search(TEXTS[9], k=3, offset=2, exact=True).hits == all_hits.hits[2:5]
    only = retriever.search(TEXTS[9], k=5, where={"text": TEXTS[4]})
    assert [hit.id for hit in only] == ["d4"]
    assert [r[0].id for r in retriever.search_many([TEXTS[1], TEXTS[2]], k=1)] == ["d1", "d2"]
