"""Builds on a Ray cluster of two machines (two raylets) with few cores each."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.sources import FileSource
from reindex.distributed import Cluster, joined
from reindex.distributed.source import SlicedFiles
from reindex.errors import ArtifactError, BuildError, DataError, SpaceMismatch
from reindex.stages.building import build
from reindex.stages.engines import Engine
from tests.build_fixtures import Letters
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace, encoder_of, hash_project, write_documents
from tests.ray_cluster import mend, strike, two_machines

pytest.importorskip("ray", reason="the [distributed] extra")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

RAY = Engine("ray")
TEXTS = [f"the text of document {number}" for number in range(3_000)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    yield from two_machines()


def contents(workspace: HashWorkspace, collection: str) -> dict[Any, Any]:
    return {
        point.id: (point.stamp.text_hash if point.stamp else None, point.payload)
        for page in workspace.store.scroll(collection, with_payload=True)
        for point in page
    }


@pytest.mark.slow
def test_it_builds_what_one_process_builds(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same points, the same dead letters with the same lines, in slices of 20 kB."""
    monkeypatch.setattr("reindex.corpus.slices.SLICE_BYTES", 20_000)
    write_documents(tmp_path, TEXTS)
    corpus = tmp_path / "data" / "corpus.jsonl"
    rows = corpus.read_text("utf-8").splitlines()
    rows[2_500] = rows[7]  # an id twice, slices apart
    rows[1_000] = "not JSON"
    corpus.write_text("\n".join(rows), "utf-8")
    with hash_project(tmp_path) as workspace:
        plain = build(workspace, "v1")
        letters = _letters(tmp_path)
        report = build(workspace, "v2", engine=RAY)
        assert (report.documents, report.inserted, report.embedded) == (2_998, 2_998, 2_998)
        assert (report.dead, report.complete) == (plain.dead, True) == (2, True)
        assert _letters(tmp_path)[len(letters) :] == letters
        assert contents(workspace, "docs--v2") == contents(workspace, "docs--v1")
        write_documents(tmp_path, [*TEXTS[:-10], "a new one"])
        again = build(workspace, "v2", engine=RAY)
        assert (again.embedded, again.updated, again.deleted) == (1 + 2, 1, 9)
        run = workspace.registry.runs()[0]
        assert (run.details["engine"], run.details["workers"]) == ("ray", 2)


def _letters(folder: Path) -> list[tuple[str, int, str]]:
    files = sorted((folder / ".reindex" / "dead-letters").glob("*.jsonl"), key=os.path.getmtime)
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return [(row["file"], row["line"], row["reason"]) for row in rows]


@pytest.mark.slow
def test_what_is_raised_there_is_raised_here(cluster: Any, tmp_path: Path) -> None:
    source = FileSource(SourceSettings(kind="jsonl", path=Path("*.jsonl")), tmp_path)
    (tmp_path / "a.jsonl").write_text('{"_id": "1", "text": "x"}\n', "utf-8")
    with pytest.raises(ArtifactError, match="no such artifact there"):
        start(_no_encoder)
    with pytest.raises(SpaceMismatch, match="Every machine must see the same artifact"):
        start(_other_encoder)
    with pytest.raises(BuildError, match=r"no worker fits: each wants 64 cores.*\[1, 1\]"):
        start(_no_encoder, cpus=64)
    sliced = SlicedFiles(source)
    parts = source.slices()
    (tmp_path / "a.jsonl").unlink()
    source.slices = lambda: parts  # type: ignore[method-assign]
    with pytest.raises(DataError, match=r"a\.jsonl cannot be read: No such file"):
        list(sliced.documents(Letters()))


def start(make: Any, cpus: int | None = None) -> None:
    with joined(Cluster(cpus=cpus), make, encoder_of("v1")):
        pass


def _no_encoder(_threads: int) -> HashEncoder:
    raise ArtifactError("no such artifact there")


def _other_encoder(_threads: int) -> HashEncoder:
    return encoder_of("v2")


class Picky(HashEncoder):
    """Cannot embed one of the texts."""

    def encode_documents(self, texts: Any) -> Any:
        if any("poison" in text for text in texts):
            raise ValueError("cannot embed poison")
        return super().encode_documents(texts)


def _picky(_threads: int) -> HashEncoder:
    return Picky(DIM, seed=1)


@pytest.mark.slow
def test_a_text_that_no_worker_can_embed_costs_one_line(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_documents(tmp_path, [*TEXTS[:200], "poison", *TEXTS[200:300]])
    with hash_project(tmp_path) as workspace:
        monkeypatch.setattr(workspace, "encoder_maker", lambda encoder: _picky)
        report = build(workspace, "v1", engine=RAY)
        assert (report.inserted, report.failed, report.dead) == (300, 1, 1)
        assert "cannot embed poison" in _letters(tmp_path)[0][2]


@pytest.mark.slow
def test_a_killed_worker_and_a_lost_machine_cost_nothing(cluster: Any, tmp_path: Path) -> None:
    write_documents(tmp_path, [f"{text} of many" for text in TEXTS * 6])
    with hash_project(tmp_path, source={"path": Path("data"), "max_bad_rows": 1.0}) as workspace:
        struck = threading.Event()

        def watch(stage: str, done: int, total: int | None) -> None:
            if stage == "build" and done > 2_000 and not struck.is_set():
                struck.set()
                strike(cluster)

        workspace.progress = watch
        report = build(workspace, "v1", engine=RAY)
        assert struck.is_set()
        assert (report.points, report.complete) == (18_000, True)
        assert workspace.registry.runs()[0].details["lost_calls"] > 0
        again = build(workspace, "v1")
        assert (again.embedded, again.unchanged) == (0, 18_000)
    mend(cluster)
