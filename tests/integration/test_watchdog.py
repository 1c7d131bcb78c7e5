"""The watch after a flip: back by itself where production disagrees, once, and else not at all."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import Conflict, WatchRefused
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.registry.watches import Watches
from reindex.retriever import Request
from reindex.stages import watchdog
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.searching import open_retriever
from reindex.stages.upkeep import history
from reindex.stages.watchdog import WatchRound, watch, watch_round
from tests.copying import copy_project
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import OwnerProcess, run, start

TEXTS = [f"the text of document number {number}" for number in range(200)]
LIMITS = {"interval": 0.01, "rounds": 3, "sample": 40, "min_searches": 20}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with judged queries and three built versions; v1 is live."""
    folder = tmp_path_factory.mktemp("template")
    write_documents(folder, TEXTS)
    queries = [json.dumps({"_id": f"q{n}", "text": TEXTS[n]}) for n in range(60)]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n", "utf-8")
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\td{n}\t1" for n in range(60))]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    evaluation = {"queries": Path("queries.jsonl"), "qrels": Path("qrels.tsv")}
    with hash_project(folder, versions=3, evaluation=evaluation, watch=LIMITS) as workspace:
        for name in ("v1", "v2", "v3"):
            build(workspace, name)
        promote(workspace, "v1")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return copy_project(template, tmp_path / "project")


@pytest.fixture
def project(folder: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def promoted(workspace: HashWorkspace, version: str = "v2") -> int:
    done = promote(workspace, version, force=True, reason="test").promotion
    assert done is not None
    return done.id


def spoil(workspace: HashWorkspace, collection: str = "docs--v2") -> None:
    """Lose every point of a collection."""
    for page in workspace.store.scroll(collection):
        workspace.store.delete(collection, {point.id: point.stamp for point in page})


def rounds(workspace: HashWorkspace, count: int, **options: Any) -> list[WatchRound]:
    return [watch_round(workspace, **options) for _ in range(count)]


def kinds(workspace: HashWorkspace) -> list[str]:
    return [f"{item.kind} {item.version} {item.state}" for item in reversed(history(workspace))]


HEALTHY = ["promote v1 done", "promote v2 done"]
TAKEN_BACK = [*HEALTHY, "rollback v1 done"]


def test_a_healthy_version_stays(project: HashWorkspace) -> None:
    promotion = promoted(project)
    for done in rounds(project, 6):
        assert done.state == "watching"
        assert {item.name for item in done.signals} == {
            "asked: errors", "asked: empty", "asked: scores", "asked: overlap"
        }  # fmt: skip
        assert not any(item.broken for item in done.signals)
    assert kinds(project) == HEALTHY
    record = Watches(project.registry).of(promotion)
    assert record is not None
    assert (record.state, record.progress["rounds"]) == ("watching", 6)


def test_a_version_that_loses_its_points_is_taken_back_once(project: HashWorkspace) -> None:
    promotion = promoted(project)
    rounds(project, 2)
    spoil(project)
    first, second, third = rounds(project, 3)
    assert (first.state, second.state, third.state) == ("watching", "watching", "rolled back")
    assert first.streaks["asked: empty"] == 1
    assert third.rollback is not None
    assert third.rollback.who.startswith("watch by ")
    assert "asked: empty" in third.rollback.reason
    assert "3 rounds in a row" in third.rollback.reason
    assert kinds(project) == TAKEN_BACK
    assert open_retriever(project).search(TEXTS[0], 1)[0].payload["text"] == TEXTS[0]
    record = Watches(project.registry).of(promotion)
    assert record is not None
    assert record.state == "rolled back"
    for _ in range(3):
        with pytest.raises(WatchRefused, match="came back by a rollback"):
            watch_round(project)
    assert kinds(project) == TAKEN_BACK


def test_a_blip_is_no_breach(project: HashWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(project)
    real = project.store.search

    def failing(name: str, vector: Any, plan: Any) -> Any:
        if name == "docs--v2":
            raise Conflict("out of order")
        return real(name, vector, plan)

    for _ in range(3):
        with monkeypatch.context() as broken:
            broken.setattr(project.store, "search", failing)
            assert [item.streaks for item in rounds(project, 2)] == [
                {"asked: errors": 1}, {"asked: errors": 2}
            ]  # fmt: skip
        assert rounds(project, 1)[0].streaks == {}
    assert kinds(project) == HEALTHY


def test_a_dry_run_says_it_and_does_nothing(project: HashWorkspace) -> None:
    promotion = promoted(project)
    spoil(project)
    memory: dict[str, Any] = {}
    done = rounds(project, 3, dry_run=True, memory=memory)[-1]
    assert done.state == "would roll back"
    assert "asked: empty" in done.why
    assert kinds(project) == HEALTHY
    record = Watches(project.registry).of(promotion)
    assert record is not None
    assert (record.state, record.progress) == ("baseline", {})


def test_it_goes_on_where_a_killed_one_stopped(project: HashWorkspace) -> None:
    promotion = promoted(project)
    spoil(project)
    rounds(project, 2)
    watches = Watches(project.registry)
    watches.move(promotion, "rolling back", why="it was empty", who="a watch that was killed")
    done = watch_round(project)
    assert done.state == "rolled back"
    assert done.rollback is not None
    assert done.rollback.reason == "watch: it was empty"
    assert kinds(project) == TAKEN_BACK


def test_of_two_watches_one_rolls_back(project: HashWorkspace, folder: Path) -> None:
    promoted(project)
    spoil(project)
    rounds(project, 2)
    with project.own():
        ended: list[WatchRound] = []

        def look() -> None:
            def opened() -> HashWorkspace:
                return HashWorkspace(load_settings(folder))

            ended.append(watch(opened, tell=lambda _: None, stop=threading.Event()))

        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [item.state for item in ended] == ["rolled back"] * 2
    assert [name for name in kinds(project) if name.endswith("done")] == TAKEN_BACK


def test_a_newer_promotion_is_left_alone(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody promotes v3 between the last look and the rollback."""
    promoted(project)
    spoil(project)
    rounds(project, 2)
    real = rollback

    def late(workspace: Any, *args: Any, **given: Any) -> Any:
        monkeypatch.setattr(watchdog, "rollback", real)
        promoted(project, "v3")
        return real(workspace, *args, **given)

    monkeypatch.setattr(watchdog, "rollback", late)
    done = watch_round(project)
    assert (done.state, done.rollback) == ("superseded", None)
    assert "not docs--v2" in done.why
    assert kinds(project) == [*HEALTHY, "promote v3 done"]


def test_what_there_is_to_watch_is_said(project: HashWorkspace) -> None:
    with pytest.raises(WatchRefused, match="first to go live"):
        watch_round(project)
    memory: dict[str, Any] = {}
    promoted(project)
    watch_round(project, memory=memory)
    promoted(project, "v3")
    done = watch_round(project, memory=memory)
    assert (done.state, done.version) == ("superseded", "v2")
    rollback(project, now=True)
    with pytest.raises(WatchRefused, match="rollback"):
        watch_round(project)


def test_after_its_hours_it_counts_as_healthy(project: HashWorkspace) -> None:
    promoted(project)
    project.registry.execute("UPDATE promotions SET finished_at = '2020-01-01T00:00:00+00:00'")
    assert watch_round(project).state == "healthy"
    assert watch_round(project).state == "healthy"
    assert kinds(project) == HEALTHY


def use(
    workspace: HashWorkspace, success: float, *, first: int, keys: int = 120, age: float = 7200
) -> None:
    """Keys that search once and click with some probability; recorded so many seconds ago."""
    import random

    rng = random.Random(first)
    retriever = open_retriever(workspace)
    for number in range(first, first + keys):
        found = retriever.search(TEXTS[number % 60], 5, key=f"user {number}")
        if rng.random() < success:
            retriever.feedback(found, clicked=[found[0].id])
    workspace.recorder.flush()
    with closing(sqlite3.connect(workspace.settings.home / INTERACTIONS_NAME)) as file, file:
        file.execute("UPDATE searches SET at = at - ? WHERE at > ?", (age, time.time() - 600))
        file.execute("UPDATE feedback SET at = at - ? WHERE at > ?", (age, time.time() - 600))


def flipped(workspace: HashWorkspace, hours: float) -> None:
    """As if the last flip had been so long ago."""
    from datetime import UTC, datetime, timedelta

    moment = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    workspace.registry.execute(
        "UPDATE promotions SET finished_at = ? WHERE id = (SELECT max(id) FROM promotions)",
        [moment],
    )


@pytest.mark.parametrize(("after", "expected"), [(0.15, TAKEN_BACK), (0.6, HEALTHY)])
def test_users_who_disagree_take_it_back(
    project: HashWorkspace, after: float, expected: list[str]
) -> None:
    use(project, 0.6, first=0, age=20_000)
    promoted(project)
    flipped(project, 4)
    use(project, after, first=1000, keys=200)
    done = rounds(project, 3)
    signal = {item.name: item for item in done[-1].signals}["feedback: success"]
    assert signal.observations == 200
    assert signal.baseline == pytest.approx(0.6, abs=0.15)
    assert kinds(project) == expected


def test_recorded_errors_of_services_count(project: HashWorkspace) -> None:
    promoted(project)
    flipped(project, 4)
    last: list[WatchRound] = []
    for start_at in (0, 100, 200):  # every round needs searches of its own
        use(project, 0.0, first=start_at, keys=30, age=0)
        with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as file, file:
            file.execute("UPDATE searches SET error = 'StoreError: no' WHERE number % 2")
        last += rounds(project, 1)
    broken = [[item.name for item in done.signals if item.broken] for done in last]
    assert broken == [["searches: errors"]] * 3
    assert kinds(project) == TAKEN_BACK


def test_a_canary_that_fails_does_not_count_against_what_is_live(project: HashWorkspace) -> None:
    promoted(project)
    project.canary("v3", weight=1.0)
    retriever = open_retriever(project)
    retriever.wait_until_settled()
    spoil(project, "docs--v3")
    project.store.drop("docs--v3")
    use(project, 0.0, first=0, keys=40, age=0)
    with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as file:
        failed = "SELECT count(*) FROM searches WHERE error IS NOT NULL AND version = 'v2'"
        assert file.execute(failed).fetchone()[0] > 0
    done = watch_round(project)
    assert not any(item.broken for item in done.signals)


def test_searches_are_judged_once(project: HashWorkspace) -> None:
    promoted(project)
    use(project, 0.0, first=0, keys=30, age=0)
    one, two = rounds(project, 2)
    assert any(item.name.startswith("searches") for item in one.signals)
    assert not any(item.name.startswith("searches") for item in two.signals)


def test_asking_leaves_no_trace(project: HashWorkspace) -> None:
    promoted(project)
    rounds(project, 2)
    found = open_retriever(project).ask("docs--v1", Request([TEXTS[0]], 1))
    assert found[0].version == "v1"
    with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as file:
        assert file.execute("SELECT count(*) FROM searches").fetchone() == (0,)


def test_processes_production_disagrees_beside_an_owner(folder: Path) -> None:
    """`reindex watch` in a process of its own, the store owned by another one."""
    with HashWorkspace(load_settings(folder)) as workspace:
        promoted(workspace)
        spoil(workspace)
    with OwnerProcess(folder):
        out, _ = run(folder, "watch", "--dry-run", code=3)
        assert "would roll back" in out
        out, _ = run(folder, "watch", code=3)
        assert "docs -> docs--v1 (was docs--v2)" in out
        _, err = run(folder, "watch", code=1)
        assert "came back by a rollback" in err
    with HashWorkspace(load_settings(folder)) as workspace:
        assert kinds(workspace) == TAKEN_BACK


def test_processes_a_watch_that_is_killed_after_its_flip(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies while what was written since is brought over; the next one does not flip again."""
    with HashWorkspace(load_settings(folder)) as workspace:
        promotion = promoted(workspace)
        spoil(workspace)
        write_documents(folder, [*TEXTS, "one", "two", "and three more"])
    with monkeypatch.context() as environment:
        environment.setenv("REINDEX_TEST_KILL_AFTER", "1")
        run(folder, "watch", code=-signal.SIGKILL)
    with HashWorkspace(load_settings(folder)) as workspace:
        assert kinds(workspace) == TAKEN_BACK
        record = Watches(workspace.registry).of(promotion)
        assert record is not None
        assert record.state == "rolling back"
    run(folder, "watch", code=1)
    with HashWorkspace(load_settings(folder)) as workspace:
        assert kinds(workspace) == TAKEN_BACK
        record = Watches(workspace.registry).of(promotion)
        assert record is not None
        assert record.state == "rolled back"
        assert "asked: empty" in record.why


@pytest.mark.slow
def test_processes_a_healthy_version_until_it_is_told_to_stop(folder: Path) -> None:
    with HashWorkspace(load_settings(folder)) as workspace:
        promoted(workspace)
    with start(folder, "watch", "--json") as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [item["number"] for item in seen] == [1, 2, 3, 4, 5]
    assert {item["state"] for item in seen} == {"watching"}
    with HashWorkspace(load_settings(folder)) as workspace:
        assert kinds(workspace) == HEALTHY
