"""A collection that is built again embeds nothing again, through the real stages and store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.stages.building import build
from reindex.stages.upkeep import collect_garbage
from reindex.vector_cache import cache_files
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"text {i % 90}" for i in range(120)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_documents(tmp_path, TEXTS)
    return tmp_path


def drop(project: HashWorkspace, version: str) -> None:
    name = project.settings.collection(version)
    project.store.drop(name)
    project.registry.remove_collection(name)


def vectors(project: HashWorkspace, version: str) -> dict[Any, np.ndarray]:
    pages = project.store.scroll(project.settings.collection(version), with_vector=True)
    return {point.id: point.vector for page in pages for point in page}  # type: ignore[misc]


def test_a_dropped_collection_is_built_again_without_the_encoder(corpus: Path) -> None:
    with hash_project(corpus) as project:
        first = build(project, "v1")
        assert (first.embedded, first.cached, first.reused) == (90, 0, 30)
        before = vectors(project, "v1")
        drop(project, "v1")
        again = build(project, "v1")
        assert (again.embedded, again.cached, again.reused) == (0, 90, 30)
        assert again.inserted == first.inserted == 120
        after = vectors(project, "v1")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def test_only_new_texts_are_embedded(corpus: Path) -> None:
    with hash_project(corpus) as project:
        build(project, "v1")
        drop(project, "v1")
        write_documents(corpus, [*TEXTS, "a new one"])
        report = build(project, "v1")
    assert (report.embedded, report.cached, report.points) == (1, 90, 121)


def test_another_version_shares_nothing(corpus: Path) -> None:
    with hash_project(corpus) as project:
        build(project, "v1")
        assert build(project, "v2").embedded == 90
        assert len(cache_files(project.vectors_folder)) == 2


def test_without_a_cache_everything_is_embedded_again(corpus: Path) -> None:
    with hash_project(corpus, embed={"cache": False}) as project:
        build(project, "v1")
        drop(project, "v1")
        assert build(project, "v1").embedded == 90
        assert not project.vectors_folder.exists()


def test_a_run_that_dies_keeps_what_it_embedded(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hash_project(corpus, embed={"batch_size": 10}) as project:
        real = project.store.insert
        calls = []

        def failing(name: str, points: Any) -> None:
            calls.append(name)
            if len(calls) > 3:
                raise RuntimeError("the store is gone")
            real(name, points)

        monkeypatch.setattr(project.store, "insert", failing)
        with pytest.raises(RuntimeError, match="the store is gone"):
            build(project, "v1")
        monkeypatch.setattr(project.store, "insert", real)
        drop(project, "v1")
        report = build(project, "v1")
    assert report.cached >= 30
    assert report.cached + report.embedded == 90


def test_garbage_collection_reports_and_removes(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hash_project(corpus) as project:
        build(project, "v1")
        build(project, "v2")
        (project.vectors_folder / f"{'0' * 32}.vectors").write_bytes(b"of a version that is gone")
        planned = collect_garbage(project, dry_run=True)
        assert planned.vectors_removed == 25
        assert len(cache_files(project.vectors_folder)) == 3
        done = collect_garbage(project)
        assert (done.vectors_removed, done.vectors_kept) == (25, planned.vectors_kept)
        assert len(cache_files(project.vectors_folder)) == 2
    config = str(corpus / "reindex.toml")
    result = CliRunner().invoke(main, ["--config", config, "gc", "--vectors"])
    assert result.exit_code == 0, result.output
    assert "removed 0.1 MB, kept 0.0 MB" in result.output
    assert cache_files(corpus / ".reindex" / "vectors") == []


def test_the_cache_is_closed_after_a_build(corpus: Path) -> None:
    with hash_project(corpus) as project:
        build(project, "v1")
        (file,) = cache_files(project.vectors_folder)
        assert not file.with_name(f"{file.name}-wal").exists()
