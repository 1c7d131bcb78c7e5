"""What training and export read of a collection, beside the process that owns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.config import TrainSettings, load_settings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.errors import StoreBusy
from reindex.stages import exporting, training
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.reading import documents_of
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import OwnerProcess
from tests.server_project import write_judgements

TEXTS = [f"the text of document number {number}" for number in range(120)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """v1 is live on the embedded store and is the only source; there are judged queries."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    write_judgements(tmp_path / "data", TEXTS)
    (tmp_path / "data" / "corpus.jsonl").unlink()
    file = tmp_path / "reindex.toml"
    text = file.read_text("utf-8").replace('# kind = "beir"', 'kind = "collection"')
    file.write_text(text, "utf-8")
    return tmp_path


def opened(folder: Path) -> HashWorkspace:
    """The project with its judged queries as dev queries."""
    settings, data = load_settings(folder), folder / "data"
    judged = {"queries": data / "queries.jsonl", "dev_qrels": data / "qrels" / "test.tsv"}
    evaluation = settings.evaluation.model_copy(update=judged)
    return HashWorkspace(settings.model_copy(update={"evaluation": evaluation}))


@pytest.fixture
def beside(folder: Path) -> Iterator[HashWorkspace]:
    """The project while another process owns its store."""
    with OwnerProcess(folder), opened(folder) as workspace:
        yield workspace


def test_the_documents_come_from_the_owner(beside: HashWorkspace) -> None:
    with pytest.raises(StoreBusy):
        list(beside.source.documents(IgnoredLetters()))
    with documents_of(beside) as source:
        found = {document.id: document.text for document in source.documents(IgnoredLetters())}
        assert (source.name, source.count()) == (beside.source.name, 120)
    assert found == {f"d{number}": text for number, text in enumerate(TEXTS)}
    assert list(beside.settings.home.glob("documents-*")) == []


def test_training_and_export_find_their_dev_queries(folder: Path) -> None:
    with opened(folder) as alone:
        expected = training.dev_set(alone, TrainSettings()), exporting.dev_data(alone)
    with OwnerProcess(folder), opened(folder) as workspace:
        found = training.dev_set(workspace, TrainSettings()), exporting.dev_data(workspace)
    assert found == expected
    assert found[0] is not None
    assert len(found[0].queries) == 8


def test_without_an_owner_the_source_is_the_project_s_own(folder: Path) -> None:
    with opened(folder) as workspace, documents_of(workspace) as source:
        assert type(source) is type(workspace.source)
