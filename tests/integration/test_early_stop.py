"""A candidate that is clearly worse stops before its build, and nothing is embedded twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import reindex.project
from reindex.cli import main
from reindex.errors import ClearlyWorse, ComparisonError
from reindex.records import Vector
from reindex.registry.ledger import Version
from tests.copying import copy_project
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace, hash_project, write_documents

DOCUMENTS, QUERIES, LOOKED_AT = 800, 60, 200
TEXTS = [f"document number {number} of a made-up corpus" for number in range(DOCUMENTS)]


class DeafEncoder(HashEncoder):
    """Understands documents, and most of its queries not at all."""

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        found = super().encode_queries([f"{text}?" for text in texts])
        found[: len(texts) // 4] = super().encode_queries(texts[: len(texts) // 4])
        return np.asarray(found, np.float32)


class EarlyWorkspace(HashWorkspace):
    """v3 is deaf."""

    def encoder(self, version: Version, **_: Any) -> Any:
        if version.name != "v3":
            return super().encoder(version)
        self.encoders.append(DeafEncoder(DIM, seed=3))
        return self.encoders[-1]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 is live; v2 is as good, v3 much worse; neither is built."""
    folder = tmp_path_factory.mktemp("project")
    write_documents(folder, TEXTS)
    data = folder / "data"
    rows = [json.dumps({"_id": f"q{i}", "text": TEXTS[i]}) for i in range(QUERIES)]
    (data / "queries.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    (data / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(QUERIES))]
    (data / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    with hash_project(folder, versions=3, build={"early_documents": LOOKED_AT}) as made:
        made.build("v1")
        made.promote("v1", force=True, reason="first")
    return folder


@pytest.fixture
def project(live: Path, tmp_path: Path) -> Iterator[EarlyWorkspace]:
    with EarlyWorkspace.open(copy_project(live, tmp_path / "project")) as opened:
        yield opened


def test_a_clearly_worse_candidate_stops_before_its_build(project: EarlyWorkspace) -> None:
    before = project.embedded
    told = r"recall@10 0\.\d+ at most, live 1\.000.*no-early-stop"
    with pytest.raises(ClearlyWorse, match=told):
        project.build("v3", early_stop=True)
    looked = project.embedded - before
    assert QUERIES < looked <= LOOKED_AT + 5  # a few more, one for each length at least
    assert project.settings.collection("v3") not in project.store.collections()
    assert project.registry.collection(project.settings.collection("v3")) is None
    (run,) = project.registry.runs(limit=1)
    assert run.details["early_look"]["worse"] is True


def test_what_was_looked_at_is_not_embedded_again(project: EarlyWorkspace) -> None:
    before = project.embedded
    with pytest.raises(ClearlyWorse):
        project.build("v3", early_stop=True)
    looked = project.embedded - before
    report = project.build("v3", early_stop=False)
    assert (report.points, report.cached) == (DOCUMENTS, looked)
    assert report.embedded == DOCUMENTS - looked


def test_a_candidate_that_is_not_worse_is_built(project: EarlyWorkspace) -> None:
    report = project.build("v2", early_stop=True)
    assert report.points == DOCUMENTS
    assert report.cached > QUERIES
    assert report.embedded + report.cached == DOCUMENTS
    (run,) = project.registry.runs(limit=1)
    assert run.details["early_look"]["worse"] is False


def test_a_built_or_live_version_is_not_looked_at(project: EarlyWorkspace) -> None:
    project.build("v3")
    project.build("v3", early_stop=True)  # worse, but its collection is there
    project.build("v1", early_stop=True)


def test_the_configuration_asks_for_it_where_it_can_be(project: EarlyWorkspace) -> None:
    early = project.settings.build.model_copy(update={"early_stop": True})
    project.settings = project.settings.model_copy(update={"build": early})
    with pytest.raises(ClearlyWorse):
        project.build("v3")
    project.build("v3", early_stop=False)


def test_a_first_version_has_nothing_to_be_worse_than(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS[:20])
    with hash_project(tmp_path, build={"early_stop": True}) as project:
        project.build("v1")  # as configured: there is nothing to look at
        with pytest.raises(ComparisonError, match="nothing is live"):
            project.build("v2", early_stop=True)


def test_the_commands_exit_code_is_that_of_a_failed_gate(
    project: EarlyWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.close()
    monkeypatch.setattr(reindex.project, "open_project", EarlyWorkspace.open)
    monkeypatch.setenv("REINDEX_CONFIG", str(tmp_path / "project"))
    stopped = CliRunner().invoke(main, ["build", "v3", "--early-stop"])
    assert stopped.exit_code == 3, stopped.output
    assert "clearly worse than v1" in " ".join(stopped.output.split())
    passed = CliRunner().invoke(main, ["build", "v2", "--early-stop"])
    assert passed.exit_code == 0, passed.output
    assert "Not clearly worse at an early look" in passed.output
