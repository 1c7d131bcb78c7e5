"""The round trip with what is live: queries that the version's own collection finds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from reindex.config import load_settings
from reindex.config.synthesis import RoundTrip
from reindex.errors import ConfigError
from reindex.records import Vector
from reindex.registry.ledger import Version
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.synthesizing import Wanted, synthesize
from tests.hash_project import DIM, HashWorkspace, hash_project, write_documents
from tests.openai_server import KEY, OpenAIServer, Says, completion, passage_of
from tests.word_encoder import WordEncoder

pytest.importorskip("bm25s")

DECOY = "elsewhere"
TEXTS = [" ".join(f"{word}{at}" for word in "abcdefghijklmnopqrstuvwxyz") for at in range(8)]


class Translator(WordEncoder):
    """A model that understands queries in another language, and no others."""

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        known = [[word[2:] for word in text.split() if word.startswith("xx")] for text in texts]
        return self._encode([" ".join(words) or DECOY for words in known])


class Bilingual(HashWorkspace):
    """A project whose versions embed so."""

    def encoder(self, version: Version, **_: Any) -> Any:
        encoder = Translator(DIM, seed=int(version.name.removeprefix("v")))
        encoder.version = version.name
        return encoder


def ask(_number: int, prompt: str) -> Says:
    """What the model finds, what BM25 finds by the same words, and what nobody finds."""
    words = passage_of(prompt).split()[:6]
    foreign = " ".join(f"xx{word}" for word in passage_of(prompt).split())
    said = [foreign, " ".join(words), f"nothing that is like {''.join(words)}"]
    return Says(body=completion(json.dumps(said)))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HashWorkspace]:
    folder = tmp_path_factory.mktemp("live")
    write_documents(folder, [*TEXTS, DECOY])
    hash_project(folder).close()
    with Bilingual(load_settings(folder)) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        yield workspace


def made(project: HashWorkspace, output: Path, **settings: Any) -> tuple[set[str], dict[str, int]]:
    """Kinds of queries that were kept, and how many each search found."""
    with OpenAIServer(ask) as server:
        asked = project.settings.synthesis.model_copy(
            update={"base_url": server.url, "model": "writer", "round_trip_k": 1, **settings}
        )
        done = synthesize(project, Wanted("llm", asked, output))
    assert done.round_trip is not None
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    kinds = {"foreign" if row["query"].startswith("xx") else "plain" for row in rows}
    assert len(rows) == done.round_trip.kept == len(TEXTS) * len(kinds)
    return kinds, dict(done.round_trip.found)


KEPT = {
    "model": ({"foreign"}, {"v1": 8}),
    "any": ({"foreign", "plain"}, {"bm25": 8, "v1": 8}),
    "bm25": ({"plain"}, {"bm25": 8}),
}


@pytest.mark.parametrize("how", KEPT)
def test_the_live_version_takes_part_in_the_round_trip(
    how: str, project: HashWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert how in get_args(RoundTrip)
    assert made(project, tmp_path / "pairs.jsonl", round_trip=how) == KEPT[how]


def test_another_version_is_asked_only_once_it_is_built(
    project: HashWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    how = {"round_trip": "model", "round_trip_model": "v2"}
    with pytest.raises(ConfigError, match="v2 has no collection to search"):
        made(project, tmp_path / "pairs.jsonl", **how)
    build(project, "v2")
    assert made(project, tmp_path / "pairs.jsonl", **how) == ({"foreign"}, {"v2": 8})
