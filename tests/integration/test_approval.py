"""Approvals count for one build and one comparison; the history says who, when and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import reindex.project
from reindex.cli import main
from reindex.errors import PromotionRefused
from reindex.gate import Condition
from reindex.registry.ledger import Promotion
from reindex.stages.building import build
from reindex.stages.promoting import approve, promote
from reindex.stages.recalling import live_at, why
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.made_comparison import made_comparison, steps


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_documents(tmp_path, [f"text {number}" for number in range(20)])
    with hash_project(tmp_path) as workspace:
        for name in ("v1", "v2"):
            build(workspace, name)
        promote(workspace, "v1", reason="the start")
        yield workspace


def compared(project: HashWorkspace) -> int:
    """A comparison of v2 with v1 that passes."""
    live, candidate = (project.registry.collection(f"docs--{name}") for name in ("v1", "v2"))
    assert live is not None
    assert candidate is not None
    made = made_comparison(*steps(200, 4), p50_ms=1.0)
    searched = replace(made.candidate, oversampling=candidate.first_stage)
    result = replace(made, candidate=searched)
    body = result.as_dict()
    return project.registry.add_comparison(
        body.pop("scores"), live="v1", candidate="v2", live_collection=live.name,
        live_build=live.build, candidate_collection=candidate.name,
        candidate_build=candidate.build, candidate_encoding=candidate.encoding,
        candidate_writes=candidate.writes, judged_set="set", leaked=0, verdict="pass", result=body,
    ).id  # fmt: skip


def approval(project: HashWorkspace) -> Condition:
    decision = promote(project, "v2", dry_run=True, require_approval=True).decision
    return next(item for item in decision.conditions if item.name == "approval")


def test_without_an_approval_promote_refuses_where_it_is_asked_for(project: HashWorkspace) -> None:
    compared(project)
    with pytest.raises(PromotionRefused, match="nobody approved it"):
        promote(project, "v2", require_approval=True)
    assert project.live_collection() == "docs--v1"


def test_an_approval_lets_it_through_and_is_in_the_history(project: HashWorkspace) -> None:
    number = compared(project)
    done = approve(project, "v2", by="Ada", note="looked at the losses")
    assert (done.comparison, done.collection) == (number, "docs--v2")
    assert approval(project).verdict == "pass"
    assert "Ada" in approval(project).figure
    flipped = promote(project, "v2", require_approval=True).promotion
    assert flipped is not None
    assert why(project, flipped) == f"gate passed (comparison {number}); approved by Ada"


def test_another_comparison_or_build_needs_another_approval(project: HashWorkspace) -> None:
    compared(project)
    approve(project, "v2", by="Ada")
    compared(project)
    assert approval(project).verdict == "fail"
    assert approval(project).figure.startswith("Ada approved another build of it, or another")
    approve(project, "v2", by="Ada")
    assert approval(project).verdict == "pass"
    project.registry.update_collection("docs--v2", build="another")
    compared(project)
    assert approval(project).verdict == "fail"


def test_an_approval_that_is_revoked_counts_no_more(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared(project)
    with pytest.raises(PromotionRefused, match="none to revoke"):
        project.revoke("v2", by="Ada")
    approve(project, "v2", by="Ada")
    (taken,) = project.revoke("v2", by="Bo")
    assert taken.approved_by == "Ada"
    assert approval(project).verdict == "fail"
    assert "Bo took the approval back" in approval(project).figure
    approve(project, "v2", by="Cy")
    assert approval(project).verdict == "pass"
    monkeypatch.setattr(reindex.project, "open_project", HashWorkspace.open)
    root = str(project.settings.root)
    project.close()
    shown = CliRunner().invoke(
        main, ["-c", root, "approve", "v2", "--by", "Bo", "--revoke"], catch_exceptions=False
    )
    assert shown.exit_code == 0
    assert "Bo takes back the approval of v2 by Cy." in shown.output


def test_what_was_not_compared_cannot_be_approved(project: HashWorkspace) -> None:
    with pytest.raises(PromotionRefused, match="reindex compare v2"):
        approve(project, "v2", by="Ada")
    with pytest.raises(PromotionRefused, match="--by NAME"):
        approve(project, "v2", by=" ")
    with pytest.raises(PromotionRefused, match="live already"):
        approve(project, "v1", by="Ada")


def test_it_is_not_asked_for_unless_wanted(project: HashWorkspace) -> None:
    compared(project)
    conditions = promote(project, "v2", dry_run=True).decision.conditions
    assert "approval" not in {item.name for item in conditions}


# -- what was live at


def flips(project: HashWorkspace) -> list[Promotion]:
    promote(project, "v2", force=True, reason="second")
    return project.registry.promotions(state="done")[::-1]


def moment(item: Promotion) -> datetime:
    assert item.finished_at is not None
    return datetime.fromisoformat(item.finished_at)


def test_what_was_live_at_a_time(project: HashWorkspace) -> None:
    first, second = flips(project)
    before = live_at(project, moment(first) - timedelta(microseconds=1))
    assert (before.version, before.collection) == (None, None)
    assert before.until == first
    at_once = live_at(project, moment(first))
    assert (at_once.version, at_once.since, at_once.until) == ("v1", first, second)
    between = live_at(project, moment(second) - timedelta(microseconds=1))
    assert between.version == "v1"
    after = live_at(project, datetime.now(UTC) + timedelta(days=1))
    assert (after.version, after.collection, after.until) == ("v2", "docs--v2", None)


def test_a_time_without_an_offset_is_utc(project: HashWorkspace) -> None:
    first, _ = flips(project)
    naive = moment(first).replace(tzinfo=None)
    assert live_at(project, naive).version == "v1"


def test_the_commands_say_it(project: HashWorkspace) -> None:
    first, second = flips(project)
    project.close()
    folder = str(project.settings.root)

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["-c", folder, *words], catch_exceptions=False)
        return done.output

    told = run("status", "--at", moment(first).isoformat())
    assert "-> v1 (docs--v1)" in told
    assert f"promote {first.id} by {first.who}: the start" in told
    assert f"until {second.finished_at[:10]}" in told  # type: ignore[index]
    assert "-> nothing" in run("history", "--at", "2020-01-01")
    assert "is no time" in run("history", "--at", "yesterday")
    assert "second" in run("history")
