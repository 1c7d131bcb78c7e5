"""What users did with two versions: recorded, kept private, and what it says of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import ConfigError, FeedbackError
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.retriever import Results
from reindex.stages.searching import open_retriever
from tests.copying import copy_project
from tests.hash_project import HashWorkspace
from tests.rollout_fixtures import KEYS, TEXTS, ready, rows


@pytest.fixture
def folder(rollout_template: Path, tmp_path: Path) -> Path:
    return copy_project(rollout_template, tmp_path / "project")


@pytest.fixture
def project(folder: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def test_feedback_is_recorded_with_version_position_and_time(project: HashWorkspace) -> None:
    project.canary("v2", weight=1.0, interleave=True)
    retriever = ready(project)
    found = retriever.search(TEXTS[0], 5, offset=5, key="a")
    retriever.feedback(found, clicked=[found[1].id], used=[found[4].id], grade=0.25)
    retriever.feedback(found.search_id, clicked=["never seen"])
    said = rows(project, "SELECT kind, position, version, grade FROM feedback ORDER BY number")
    assert said == [
        ("clicked", 7, found[1].version, 1.0),
        ("used", 10, found[4].version, 1.0),
        ("grade", None, "v1", 0.25),
        ("clicked", None, "v1", 1.0),
    ]
    with pytest.raises(FeedbackError, match="one of"):
        retriever.feedback(found)


def test_feedback_that_comes_before_its_search_waits_for_it(project: HashWorkspace) -> None:
    with HashWorkspace(project.settings) as other:  # the process that answers clicks
        found = ready(project).search(TEXTS[0], 5, key="a")
        other.recorder.put(_click(found))
        other.recorder.flush()
        assert rows(other, "SELECT count(*) FROM feedback") == [(0,)]
        project.recorder.flush()
        other.recorder.flush()
        assert rows(other, "SELECT position FROM feedback") == [(1,)]
        assert other.recorder.lost == 0


def _click(found: Results) -> Any:
    import time

    from reindex.registry.interactions import Feedback

    return Feedback(found.search_id, time.time(), "clicked", found[0].id, 1.0)


def test_keys_and_queries_are_kept_as_hashes_unless_asked_for(project: HashWorkspace) -> None:
    ready(project).search("a secret question", key="somebody@example.org")
    project.recorder.flush()
    raw = b"".join(
        file.read_bytes() for file in project.settings.home.glob(f"{INTERACTIONS_NAME}*")
    )
    assert b"secret question" not in raw
    assert b"example.org" not in raw
    assert rows(project, "SELECT query, length(query_hash) FROM searches") == [(None, 32)]


def hide_digits(text: str) -> str | None:
    """A redaction hook: digits go, and what mentions a password is not kept at all."""
    if "password" in text:
        return None
    if "crash" in text:
        raise ValueError(text)
    return "".join("#" if letter.isdigit() else letter for letter in text)


def with_rollout(workspace: HashWorkspace, **values: Any) -> HashWorkspace:
    settings = workspace.settings
    rollout = settings.rollout.model_copy(update=values)
    return HashWorkspace(settings.model_copy(update={"rollout": rollout}))


def test_logged_queries_are_redacted_and_pruned(project: HashWorkspace) -> None:
    hook = "tests.integration.test_feedback:hide_digits"
    project.close()
    with with_rollout(project, log_queries=True, redact=hook, max_searches=3) as workspace:
        retriever = ready(workspace)
        for query in ("call 555", "my password", "crash please"):
            retriever.search(query, key="a")
        assert rows(workspace, "SELECT query FROM searches ORDER BY number") == [
            ("call ###",), (None,), (None,)
        ]  # fmt: skip
        retriever.feedback(retriever.search("oldest", key="a"), grade=1)
        workspace.recorder._pruned_at = float("-inf")
        for number in range(3):
            retriever.search(f"new {number}", key="a")
        kept = rows(workspace, "SELECT query FROM searches ORDER BY number")
        assert kept == [("new #",)] * 3
        assert rows(workspace, "SELECT count(*) FROM feedback") == [(0,)]


def test_a_redaction_that_cannot_be_loaded_is_told_at_once(project: HashWorkspace) -> None:
    project.close()
    with (
        with_rollout(project, log_queries=True, redact="no.such:thing") as workspace,
        pytest.raises(ConfigError, match="redact"),
    ):
        open_retriever(workspace)


def test_where_nothing_can_be_recorded_searches_go_on(project: HashWorkspace) -> None:
    file = project.settings.home / INTERACTIONS_NAME
    file.mkdir()  # as good as a read-only disk
    found = ready(project).search(TEXTS[0], key="a")
    project.recorder.flush()
    assert len(found) == 10
    assert project.recorder.lost >= 1


def test_recording_can_be_switched_off(project: HashWorkspace) -> None:
    project.close()
    with with_rollout(project, record_searches=False) as workspace:
        found = ready(workspace).search(TEXTS[0], key="a")
        assert found.search_id == ""
        with pytest.raises(FeedbackError, match="record_searches"):
            open_retriever(workspace).feedback(found, grade=1)
        assert not (workspace.settings.home / INTERACTIONS_NAME).exists()


def standing_after(workspace: HashWorkspace, rates: dict[str, float], keys: int) -> Any:
    """How a canary stands after simulated keys, each with its window closed."""
    import random

    rng = random.Random(3)
    retriever = ready(workspace)
    for number in range(keys):
        for _ in range(1 + number % 3):
            found = retriever.search(TEXTS[number % 50], 5, key=f"key-{number}")
            if rng.random() < rates[found.version]:
                retriever.feedback(found, clicked=[found[0].id])
    workspace.recorder.flush()
    with closing(sqlite3.connect(workspace.settings.home / INTERACTIONS_NAME)) as file, file:
        file.execute("UPDATE searches SET at = at - 7200")
        file.execute("UPDATE feedback SET at = at - 7200")
    return workspace.canary_standing()


def test_a_better_and_a_worse_candidate_are_found_by_clicks(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    standing = standing_after(project, {"v1": 0.2, "v2": 0.7}, 400)
    assert standing.verdict == "pass", standing.reason
    assert standing.counted == 400
    assert standing.difference.low > 0
    assert standing.difference.low < 0.5 < standing.difference.high
    assert not standing.uneven
    known = {item.name: item for item in project.figures("v2")}
    assert known["canary.keys"].value == 400
    assert known["canary.success"].low == standing.difference.low
    project.end_canary()
    project.canary("v2", weight=0.5)
    assert standing_after(project, {"v1": 0.7, "v2": 0.2}, 400).verdict == "fail"


def test_keys_count_once_their_window_has_closed(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    retriever = ready(project)
    for key in KEYS[:10]:
        retriever.search(TEXTS[0], key=key)
    standing = project.canary_standing()
    assert standing is not None
    assert (standing.counted, standing.waiting, standing.verdict) == (0, 10, "inconclusive")


def test_sides_that_lose_searches_are_not_trusted(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    standing_after(project, {"v1": 0.2, "v2": 0.7}, 300)
    with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as file, file:
        file.execute("DELETE FROM searches WHERE side = 'candidate' AND number % 20")
    standing = project.canary_standing()
    assert standing is not None
    assert standing.uneven
    assert standing.verdict == "inconclusive"
