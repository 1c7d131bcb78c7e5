"""A candidate beside what is live: the real stages, registry and embedded store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import reindex.project
from reindex.cli import main
from reindex.config import load_settings
from reindex.errors import CanaryRefused, Conflict
from reindex.registry.canaries import Canaries
from reindex.rollout.retriever import RollingRetriever
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.searching import open_retriever
from reindex.stages.upkeep import collect_garbage
from tests.copying import copy_project
from tests.hash_project import HashWorkspace
from tests.owner_fixtures import OwnerProcess
from tests.rollout_fixtures import KEYS, TEXTS, ready, rows


@pytest.fixture
def folder(rollout_template: Path, tmp_path: Path) -> Path:
    return copy_project(rollout_template, tmp_path / "project")


@pytest.fixture
def project(folder: Path) -> Iterator[HashWorkspace]:
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def sides(retriever: RollingRetriever) -> dict[str, str]:
    return {key: retriever.search(TEXTS[0], 3, key=key).version for key in KEYS}


def of(workspace: HashWorkspace, version: str) -> set[Any]:
    """The ids that this version's collection gives for the first text."""
    return {hit.id for hit in open_retriever(workspace, version).search(TEXTS[0], 3)}


def test_keys_stay_on_their_side_while_the_weight_grows_live(project: HashWorkspace) -> None:
    retriever = ready(project)
    assert set(sides(retriever).values()) == {"v1"}
    project.canary("v2", weight=0.1)
    retriever.wait_until_settled()  # the pair is loaded in the background
    at_ten = sides(retriever)
    project.canary("v2", weight=0.5)
    at_fifty = sides(retriever)
    few = {key for key in KEYS if at_ten[key] == "v2"}
    many = {key for key in KEYS if at_fifty[key] == "v2"}
    assert 10 <= len(few) <= 60
    assert 110 <= len(many) <= 190
    assert few < many
    project.canary(weight=0.1)
    assert sides(retriever) == at_ten
    project.end_canary("enough")
    assert set(sides(retriever).values()) == {"v1"}


def test_every_answer_is_a_matching_pair_and_says_its_version(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    retriever = ready(project)
    for key in KEYS[:40]:
        for text in TEXTS[:3]:
            found = retriever.search(text, 3, key=key)
            assert found[0].payload["text"] == text  # only its own encoder finds it first
            assert found[0].score == pytest.approx(1, abs=1e-3)
            assert {hit.version for hit in found} == {found.version}
            assert found.side == ("candidate" if found.version == "v2" else "live")


def test_without_a_key_a_query_keeps_its_version_over_pages(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    retriever = ready(project)
    seen = set()
    for text in TEXTS[:30]:
        versions = {retriever.search(text, 5, offset=offset).version for offset in (0, 5, 10)}
        assert len(versions) == 1
        seen |= versions
    assert seen == {"v1", "v2"}


def test_a_shadow_answers_nobody_and_is_measured(project: HashWorkspace) -> None:
    project.canary("v2")
    retriever = ready(project)
    for key in KEYS[:10]:
        assert retriever.search(TEXTS[0], 5, key=key).version == "v1"
        retriever.shadow.wait()
    found = rows(project, "SELECT version, overlap, error FROM searches WHERE side = 'shadow'")
    expected = len(of(project, "v1") & of(project, "v2"))
    assert [row[0] for row in found] == ["v2"] * 10
    assert all(row[2] is None for row in found)
    assert all(0 <= row[1] <= 1 for row in found)
    assert expected < 3  # two spaces of hashes agree on little: the overlap is not trivially 1
    standing = project.canary_standing()
    assert standing is not None
    assert standing.verdict is None
    assert {item.side for item in standing.sides} == {"live", "shadow"}


class Broken(Exception):
    pass


def break_candidate(retriever: RollingRetriever, monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of the candidate's collection fail from now on."""
    real = retriever._store.search

    def search(name: str, vector: Any, plan: Any) -> Any:
        if name == "docs--v2":
            raise CanaryRefused("the candidate's collection is on fire")
        return real(name, vector, plan)

    monkeypatch.setattr(retriever._store, "search", search)


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("interleave", [False, True])
def test_a_candidate_that_fails_costs_no_answer(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch, weight: float, interleave: bool
) -> None:
    project.canary("v2", weight=weight, interleave=interleave)
    retriever = ready(project)
    break_candidate(retriever, monkeypatch)
    for key in KEYS[:20]:
        assert retriever.search(TEXTS[0], 3, key=key).version == "v1"
    retriever.shadow.wait()
    failed = rows(project, "SELECT DISTINCT side FROM searches WHERE error LIKE '%on fire%'")
    expected = "shadow" if not weight else "interleaved" if interleave else "candidate"
    assert failed == [(expected,)]


def test_a_candidate_that_does_not_load_costs_no_answer(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ready(project)
    project.canary("v2", weight=1.0)
    real = retriever._load
    monkeypatch.setattr(
        retriever, "_load",
        lambda name, metadata: real("docs--v1", {"version": "v1"}),  # another space's encoder
    )  # fmt: skip
    retriever.wait_until_settled()
    assert retriever.search(TEXTS[0], key="a").version == "v1"
    assert retriever.health() == "degraded"
    assert "not served" in str(retriever.last_error)


def test_interleaved_lists_hold_both_and_pages_go_on(project: HashWorkspace) -> None:
    project.canary("v2", weight=1.0, interleave=True)
    retriever = ready(project)
    text = TEXTS[0]
    whole = retriever.search(text, 20, key="a")
    assert whole.side == "interleaved"
    assert {hit.version for hit in whole} == {"v1", "v2"}
    assert len({hit.id for hit in whole}) == 20
    pages = [retriever.search(text, 10, offset=offset, key="a") for offset in (0, 10)]
    assert [hit.id for page in pages for hit in page] == [hit.id for hit in whole]
    assert list(whole) != list(retriever.search(text, 20, key="another"))


def test_what_cannot_be_a_canary_is_refused(project: HashWorkspace) -> None:
    with pytest.raises(CanaryRefused, match="live already"):
        project.canary("v1")
    with pytest.raises(CanaryRefused, match="reindex build v3"):
        project.canary("v3", weight=0.1)
    with pytest.raises(CanaryRefused, match="Name a version"):
        project.canary(weight=0.1)
    with pytest.raises(CanaryRefused, match="none to end"):
        project.end_canary()
    project.canary("v2", weight=0.1)
    build(project, "v3")
    with pytest.raises(Conflict, match="--off"):
        project.canary("v3", weight=0.1)


def test_a_flip_ends_the_canary(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    retriever = ready(project)
    promote(project, "v2", force=True, reason="test")
    assert set(sides(retriever).values()) == {"v2"}
    standing = project.canary_standing()
    assert standing is not None
    assert "docs--v2 went live" in standing.canary.why
    assert Canaries(project.registry).running("docs") is None


def test_a_rollback_brings_no_canary_back(project: HashWorkspace) -> None:
    """What was taken back would answer users again, though nobody looked between the two flips."""
    project.canary("v2", weight=1.0)
    promote(project, "v2", force=True, reason="test")
    rollback(project, reason="no good")
    assert set(sides(ready(project)).values()) == {"v1"}
    assert project.status().canary is None
    assert project.canary("v2").weight == 0  # a new one begins as a shadow
    standing = project.canary_standing()
    assert standing is not None
    assert standing.canary.ended_at is None


def test_gc_leaves_the_canary_its_collection(project: HashWorkspace) -> None:
    project.canary("v2", weight=0.5)
    assert dict(collect_garbage(project, dry_run=True).kept)["docs--v2"].startswith("a canary")


def test_phases_are_kept_and_setting_the_same_again_is_none(project: HashWorkspace) -> None:
    for weight in (0.1, 0.1, 0.5):
        project.canary("v2", weight=weight)
    project.canary(interleave=True)
    found = Canaries(project.registry).running("docs")
    assert found is not None
    phases = Canaries(project.registry).phases(found.id)
    assert [(item.weight, item.mode) for item in phases] == [
        (0.1, "split"), (0.5, "split"), (0.5, "interleave")
    ]  # fmt: skip


def test_the_command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["-c", str(folder), *arguments])
        assert done.exit_code == code, done.output
        return done.output

    assert "no canary yet" in run("canary", "--status")
    assert "Expected 10%" in run("canary", "v2", "--weight", "10", code=2)
    assert "said alone" in run("canary", "v2", "--off", code=2)
    assert "answers 12.5 % of the keys" in run("canary", "v2", "--weight", "12.5%")
    assert "Too few keys" in run("canary", "--status", code=4)
    assert "drafts lists" in run("canary", "--interleave")
    assert json.loads(run("canary", "--weight", "0%", "--json"))["weight"] == 0
    assert "searches beside every answer" in run("canary")
    assert "canary: v2 beside v1" in run("status")
    assert "v1 answers everybody" in run("canary", "--off", "--reason", "enough")
    assert json.loads(run("canary", "--status", "--json"))["canary"]["why"] == "enough"


def test_through_an_owner_in_another_process(folder: Path) -> None:
    with OwnerProcess(folder) as owner, HashWorkspace(load_settings(folder)) as client:
        client.canary("v2", weight=1.0)
        retriever = client.retriever()
        retriever.wait_until_settled()
        found = retriever.search(TEXTS[0], 5, key="a")
        assert (found.side, found.version, found[0].version) == ("candidate", "v2", "v2")
        retriever.feedback(found, clicked=[found[0].id])
        client.canary(weight=0.0)
        assert retriever.search(TEXTS[0], 5, key="a").version == "v1"
        client.end_canary()
        owner.end()
    with HashWorkspace(load_settings(folder)) as workspace:  # the owner wrote it all at its end
        standing = workspace.canary_standing()
        assert standing is not None
        assert {item.side: item.served for item in standing.sides}["candidate"] == 1
