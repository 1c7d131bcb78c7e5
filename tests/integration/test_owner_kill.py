"""Owners and clients that are killed, stopped, interrupted or told to end in the middle."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.config import load_settings
from reindex.errors import Conflict
from reindex.owner.client import running_jobs
from reindex.registry.ledger import Run
from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import PATIENCE, OwnerProcess, recorded, run, start, until

TEXTS = [f"the text of document number {number}" for number in range(3_000)]
ANSWER = "answer_timeout = 5.0"
LONG = 0.2
"""Seconds that a batch takes where a build is to be caught in the middle: 30 batches."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """v1 is live and holds a few documents; v2 is not built, and there is a lot to build."""
    write_documents(tmp_path, TEXTS[:10])
    with hash_project(tmp_path, embed={"batch_size": 100}) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    write_documents(tmp_path, TEXTS)
    return tmp_path


@pytest.fixture
def project(folder: Path) -> Iterator[HashWorkspace]:
    """The project as seen from here."""
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def last_run(project: HashWorkspace) -> Run:
    return project.registry.runs(1)[0]


def started(project: HashWorkspace) -> bool:
    """Whether the build of v2 has come far enough to be worth something."""
    beat = project.registry.execute("SELECT max(done) FROM heartbeats WHERE done < 3000").fetchone()
    return last_run(project).version == "v2" and (beat[0] or 0) > 100


def ended(project: HashWorkspace) -> Run | None:
    """The last run, once it has ended."""
    found = last_run(project)
    return None if found.state == "running" else found


def check_resumed(project: HashWorkspace) -> None:
    """Building again embeds only what is missing."""
    before = project.store.count("docs--v2")
    assert before > 0
    report = build(project, "v2")
    assert (report.points, report.unchanged) == (len(TEXTS), before)


def test_a_killed_owner_is_told_at_once_and_taken_over(
    folder: Path, project: HashWorkspace
) -> None:
    with OwnerProcess(folder, pace=LONG) as owner, start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        owner.process.kill()
        _, told = client.communicate(timeout=PATIENCE)
        assert client.returncode == 1
        assert f"process {owner.pid}" in told
        assert "ended before the work was done" in told
        assert owner.process.wait() == -signal.SIGKILL
    left = recorded(folder)
    assert left is not None
    assert not left.lives()
    with OwnerProcess(folder) as following:
        now = recorded(folder)
        assert now is not None
        assert now.pid == following.pid
        assert not Path(left.address).parent.exists(), "the dead one's socket was removed"
        out, _ = run(folder, "build", "v2", "--json")
        assert '"complete": true' in out
        assert f"taken over from process {owner.pid}" in following.end()
    assert project.store.count("docs--v2") == len(TEXTS)


@pytest.mark.slow
def test_without_a_new_owner_commands_work_here_again(folder: Path, project: HashWorkspace) -> None:
    with OwnerProcess(folder, pace=LONG) as owner, start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        owner.process.kill()
        client.communicate(timeout=PATIENCE)
    check_resumed(project)


def test_a_stopped_owner_is_named_with_the_remedy(folder: Path, project: HashWorkspace) -> None:
    config = folder / "reindex.toml"
    config.write_text(config.read_text("utf-8").replace("# answer_timeout = 20.0", ANSWER), "utf-8")
    with OwnerProcess(folder, pace=LONG) as owner, start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        owner.process.send_signal(signal.SIGSTOP)
        _, told = client.communicate(timeout=PATIENCE)  # it was in the middle of a job
        assert client.returncode == 1
        assert f"kill -CONT {owner.pid}" in told
        _, told = run(folder, "search", "anything", code=1)  # this one had not begun
        assert f"process {owner.pid}" in told
        assert "gave no sign of life for 5 s" in told
        run(folder, "history")  # needs the registry alone
        with pytest.raises(Conflict, match=f"process {owner.pid}"), project.own():
            pass
        owner.process.send_signal(signal.SIGCONT)
        found = until(lambda: ended(project), "the end of the job that nobody waits for any more")
        assert found.state == "interrupted"
        assert "whoever asked for it has gone" in found.details["error"]


def test_ctrl_c_where_it_was_asked_for_stops_the_job_alone(
    folder: Path, project: HashWorkspace
) -> None:
    with OwnerProcess(folder, pace=5 * LONG) as owner:
        with start(folder, "build", "v2") as client:
            until(lambda: started(project), "a build that runs")
            client.send_signal(signal.SIGINT)
            _, told = client.communicate(timeout=PATIENCE)
        assert client.returncode == 1
        assert "Go on with: reindex build v2" in told
        assert last_run(project).state == "interrupted"
        assert running_jobs(project)[1] == []
        owner.end()
    check_resumed(project)


@pytest.mark.slow
def test_a_client_that_is_killed_takes_its_job_along(folder: Path, project: HashWorkspace) -> None:
    with OwnerProcess(folder, pace=LONG) as owner:
        with start(folder, "build", "v2") as client:
            until(lambda: started(project), "a build that runs")
            client.kill()
        found = until(lambda: ended(project), "the end of the job")
        assert found.state == "interrupted"
        owner.end()


def test_an_owner_that_is_told_to_end_stops_its_job_and_says_so(
    folder: Path, project: HashWorkspace
) -> None:
    with OwnerProcess(folder, pace=LONG) as owner, start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        with start(folder, "build", "v1") as waiting:
            until(lambda: len(running_jobs(project)[1]) == 2, "a job that waits")
            log = owner.end()
            assert "the owner process was told to end" in waiting.communicate(timeout=PATIENCE)[1]
        _, told = client.communicate(timeout=PATIENCE)
        assert client.returncode == 1
        assert "the owner process was told to end" in told
        assert "Go on with: reindex build v2" in told
        assert "RunStopped" in log
    assert recorded(folder) is None
    assert last_run(project).state == "interrupted"
    check_resumed(project)


def test_searches_and_flips_do_not_wait_for_a_build(folder: Path, project: HashWorkspace) -> None:
    with OwnerProcess(folder, pace=LONG), start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        found = project.retriever().search(TEXTS[3], 1)
        assert found[0].id == "d3"
        assert project.gc().removed == ()
        assert [job["kind"] for job in running_jobs(project)[1]] == ["build"]
        assert client.poll() is None, "the build is still running"
        client.kill()


@pytest.mark.slow
def test_a_paused_job_can_be_cancelled_from_a_third_terminal(
    folder: Path, project: HashWorkspace
) -> None:
    with OwnerProcess(folder, pace=LONG) as owner, start(folder, "build", "v2") as client:
        until(lambda: started(project), "a build that runs")
        project.ask("pause")
        until(
            lambda: project.registry.execute(
                "SELECT 1 FROM heartbeats WHERE waiting = 'paused'"
            ).fetchone(),
            "the pause",
        )
        client.send_signal(signal.SIGINT)
        _, told = client.communicate(timeout=PATIENCE)
        assert "interrupted from where it was asked for" in told
        owner.end()


def test_writes_survive_owners_that_are_killed(folder: Path, project: HashWorkspace) -> None:
    """Every acknowledged write is there afterwards, with its last text; no call was lost."""
    acked: dict[str, str] = {}
    failed: list[BaseException] = []
    stop = threading.Event()

    def write(number: int) -> None:
        with HashWorkspace(project.settings) as own:
            indexer = own.indexer()
            try:
                for turn in itertools.count():
                    if stop.is_set():
                        return
                    id, text = f"w{number}-{turn % 50}", f"written by {number} in turn {turn}"
                    indexer.upsert((id, text, {}))
                    acked[id] = text
            except BaseException as error:
                failed.append(error)

    owner = OwnerProcess(folder).__enter__()
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        seen = len(acked)
        until(lambda at_least=seen + 20: len(acked) >= at_least or failed, "writes")  # type: ignore[misc]
        owner.process.kill()
        owner.process.communicate()
        owner = OwnerProcess(folder).__enter__()
    seen = len(acked)
    until(lambda: len(acked) > seen + 5 or failed, "writes to the last owner")
    stop.set()
    for writer in writers:
        writer.join()
    assert failed == []
    owner.end()
    stored = {
        point.stamp.id: point.payload["text"]
        for page in project.store.scroll("docs--v1", with_payload=True)
        for point in page
        if point.stamp is not None and str(point.stamp.id).startswith("w")
    }
    assert stored == acked
    assert project.journal.backlog() == []


def test_of_two_that_want_to_own_one_wins(folder: Path) -> None:
    first, second = start(folder, "own"), start(folder, "own")
    with first, second:
        loser = until(
            lambda: next((item for item in (first, second) if item.poll() is not None), None),
            "one that gives up",
        )
        winner = second if loser is first else first
        _, told = loser.communicate()
        assert loser.returncode == 1
        record = recorded(folder)
        assert record is not None
        assert record.pid == winner.pid
        assert f"process {winner.pid} on {os.uname().nodename} (since" in told
        winner.terminate()
        winner.communicate(timeout=PATIENCE)
        assert winner.returncode == 0
