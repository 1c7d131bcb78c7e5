"""Searching with a Qdrant server and an address of artifacts, without the project's registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

import reindex
from reindex.artifact import load_manifest
from reindex.connection.searching import SearchingConnection
from reindex.errors import (
    ArtifactError,
    CollectionNotFound,
    ConfigError,
    RequestRefused,
    UnknownVersion,
    WriteRefused,
)
from reindex.project import Project
from reindex.searcher import how_searched
from reindex.stages.tuning import tune, untune
from tests.hash_project import write_documents
from tests.owner_fixtures import until
from tests.qdrant_server import serving
from tests.transport_fixtures import project_with, rename_in_manifest

TEXTS = [f"the text of document number {n}" for n in range(16)]
QUERY = TEXTS[7]
Opener = Callable[..., SearchingConnection]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "qdrant.log") as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, server: str) -> Iterator[Project]:
    """On a server; v1 is live; v1 and v2 are pushed to the folder ``shelf``."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_documents(folder, TEXTS)
    with project_with(
        folder, 2, store={"kind": "server"}, serving={"lease_ttl": 0.1},
        qdrant={"url": server, "prefer_grpc": False, "timeout": 5},
    ) as made:  # fmt: skip
        for version in ("v1", "v2"):
            made.push(version, str(tmp_path / "shelf" / version))
        made.build("v1")
        made.promote("v1")
        yield made


def flip_to_v2(project: Project) -> None:
    project.build("v2")
    project.promote("v2", force=True, reason="test")


@pytest.fixture
def opened(tmp_path: Path, server: str, project: Project) -> Iterator[Opener]:
    """Opens searchers with one cache, and closes them."""
    made: list[SearchingConnection] = []

    def open_one(**given: object) -> SearchingConnection:
        how = {
            "alias": project.settings.alias, "artifacts": str(tmp_path / "shelf"),
            "cache": tmp_path / "cache", "lease_ttl": 0.05, "threads": 1, **given,
        }  # fmt: skip
        made.append(reindex.open_searcher(server, **how))  # type: ignore[arg-type]
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def test_answers_are_the_project_s_own(opened: Opener, project: Project) -> None:
    theirs = project.retriever().search(QUERY, 5)
    home = project.settings.root
    project.close()
    shutil.rmtree(home)  # nothing of it is needed
    with opened() as connection:
        found = connection.search(QUERY, 5)
        assert (found.version, found.collection) == ("v1", theirs.collection)
        assert [hit.id for hit in found] == [hit.id for hit in theirs]
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in theirs])
        assert found[0].id == "d7"
        assert connection.search(QUERY, 3, where={"tenant": "none"}).hits == ()
        assert connection.find({"text": TEXTS[3]}) == ["d3"]
        assert connection.count() == len(TEXTS)
        assert [doc.text for doc in connection.fetch(["d5", "nobody"])] == [TEXTS[5]]
        assert len(connection.page(limit=4).documents) == 4
        embedded = connection.embed([QUERY], kind="query", dimensions=16)
        assert (embedded.vectors.shape, embedded.version) == ((1, 16), "v1")
        assert asyncio.run(connection.asearch(QUERY, 5)) == found
        assert reindex.connect(connection) is connection
        status = connection.status()
        assert (status["version"], status["health"]) == ("v1", "ready")
        assert len(status["artifact"]) == 64


def test_a_flip_is_followed_and_back(opened: Opener, project: Project) -> None:
    connection = opened()
    assert connection.search(QUERY).version == "v1"
    flip_to_v2(project)
    until(lambda: connection.search(QUERY).version == "v2" or None, "v2 to answer")
    assert connection.search(QUERY)[0].id == "d7"
    project.rollback()
    until(lambda: connection.search(QUERY).version == "v1" or None, "v1 to answer")
    assert connection.status()["health"] == "ready"


def test_a_version_that_was_not_pushed_leaves_the_old_one_serving(
    opened: Opener, project: Project, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "shelf/v2")
    connection = opened()
    assert connection.search(QUERY).version == "v1"
    flip_to_v2(project)

    def degraded() -> str | None:
        assert connection.search(QUERY).version == "v1"
        error: str | None = connection.status()["error"]
        return error

    error = until(degraded, "the missing artifact to be told")
    assert f"reindex push v2 {tmp_path / 'shelf'}/v2" in error
    project.push("v2", str(tmp_path / "shelf/v2"))
    until(lambda: connection.search(QUERY).version == "v2" or None, "v2 to answer")


def test_what_was_fetched_serves_when_the_address_is_gone(opened: Opener, tmp_path: Path) -> None:
    assert opened().search(QUERY).version == "v1"
    shutil.rmtree(tmp_path / "shelf")
    assert opened().search(QUERY).version == "v1"
    kept = next((tmp_path / "cache").glob("*-int8-bare/tokenizer.json"))
    kept.write_text("{}")
    with pytest.raises(ArtifactError, match="no artifact of that is at"):
        opened().search(QUERY)


def test_the_cache_holds_what_searching_needs_and_is_the_user_s_own(
    opened: Opener, tmp_path: Path
) -> None:
    opened().warm()
    names = {file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()}
    assert {"model_qint8.onnx", "tokenizer.json", "manifest.json"} <= names
    assert not names & {"model.onnx", "README.md", "reindex.json", "model.safetensors"}
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_one_artifact_s_own_address(opened: Opener, tmp_path: Path) -> None:
    assert opened(artifacts=str(tmp_path / "shelf/v1")).search(QUERY).version == "v1"
    with pytest.raises(ArtifactError, match="is of space"):
        opened(artifacts=str(tmp_path / "shelf/v2"), cache=tmp_path / "new").search(QUERY)


def test_writing_is_refused_and_says_where(opened: Opener) -> None:
    connection = opened()
    for write in (
        lambda: connection.upsert(reindex.Document("d1", "a", {})),
        lambda: connection.delete("d1"),
        lambda: connection.feedback("x", grade=1),
        lambda: asyncio.run(connection.adelete("d1")),
    ):
        with pytest.raises(WriteRefused, match=r"A searching host cannot .* reindex\.connect"):
            write()


def test_by_one_address(opened: Opener, server: str, tmp_path: Path) -> None:
    target = opened().target
    assert target.startswith(f"qdrant+{server}/docs?artifacts=")
    with reindex.connect(target) as connection:
        assert connection.target == target
        assert connection.search(QUERY, 1)[0].id == "d7"
        assert connection.status()["source"]["payload"] == "plain"
    given = urlencode({"artifacts": tmp_path / "shelf", "payload": "haystack"})
    with reindex.connect(f"qdrant+{server}/docs?{given}") as connection:
        assert connection.status()["source"]["payload"] == "haystack"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("qdrant+http://host:6333/docs", "artifacts=ADDRESS"),
        ("qdrant+http://host:6333/?artifacts=a", "/ALIAS"),
        ("qdrant+ftp://host/docs?artifacts=a", "qdrant[+]http"),
        ("qdrant+http://planted@host/docs?artifacts=a", "QDRANT_API_KEY"),
        ("qdrant+http://host/docs?artifacts=a&api_key=planted", "no credentials"),
        ("qdrant+http://host/docs?artifacts=a&payload=words", "payload"),
    ],
)
def test_addresses_that_are_none(target: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        reindex.connect(target)
    assert "planted" not in str(raised.value)


def test_what_is_mistyped(opened: Opener, project: Project) -> None:
    with pytest.raises(CollectionNotFound, match="no alias 'nope'"):
        opened(alias="nope").search(QUERY)
    with pytest.raises(ConfigError, match="no credentials in addresses"):
        opened(artifacts="s3://key:planted@bucket/x")
    with pytest.raises(UnknownVersion, match="by what is live, v1"):
        opened().embed([QUERY], kind="query", model="v2")
    with pytest.raises(RequestRefused, match="dimensions = 99"):
        opened().embed([QUERY], kind="query", dimensions=99)
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(opened())


# -- whoever writes the address, or the collection's metadata


def _other_graph(folder: Path, other: Path) -> None:
    """v2's graph under v1's facts, with checksums that fit."""
    shutil.copy(other / "onnx/model_qint8.onnx", folder / "onnx/model_qint8.onnx")
    graphs = json.loads((folder / "manifest.json").read_text("utf-8"))["graphs"]
    content = (folder / "onnx/model_qint8.onnx").read_bytes()
    graphs["int8"]["sha256"] = hashlib.sha256(content).hexdigest()
    rename_in_manifest(folder, graphs=graphs)


def _other_tokenizer(folder: Path, _: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["number"], vocabulary["text"] = vocabulary["text"], vocabulary["number"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    content = (folder / "tokenizer.json").read_bytes()
    rename_in_manifest(
        folder, files={**files, "tokenizer.json": hashlib.sha256(content).hexdigest()}
    )


def _other_prompt(folder: Path, _: Path) -> None:
    rename_in_manifest(folder, query_prompt="number ")


def test_whoever_writes_the_address_cannot_change_what_a_search_computes(
    opened: Opener, tmp_path: Path
) -> None:
    for number, forge in enumerate((_other_graph, _other_tokenizer, _other_prompt)):
        shelf = tmp_path / f"forged-{number}"
        shutil.copytree(tmp_path / "shelf", shelf)
        forge(shelf / "v1", shelf / "v2")
        with pytest.raises(ArtifactError):
            opened(artifacts=str(shelf), cache=tmp_path / f"cache-{number}").search(QUERY)


def test_a_version_that_leads_out_of_the_address(opened: Opener, project: Project) -> None:
    for version in ("../../v1", "v1/../v2", "", None, "v0", "V1", "v1\n"):
        project.store.set_metadata(str(project.live_collection()), {"version": version})
        with pytest.raises(ArtifactError, match="does not say which version"):
            opened().search(QUERY)


# -- how it is searched


def test_the_collection_says_how_it_is_searched(opened: Opener, project: Project) -> None:
    live = str(project.live_collection())
    measured = project.registry.collection(live)
    assert measured is not None
    assert how_searched(project.store.info(live).metadata) == (measured.oversampling, None)
    tuned = tune(project, "v1", target=0.9, other_layouts=False)
    assert tuned.plan is not None
    lease = opened().searcher.lease()
    assert (lease.oversampling, lease.hnsw_ef) == (tuned.plan.oversampling, tuned.plan.hnsw_ef)
    untune(project, "v1")
    assert how_searched(project.store.info(live).metadata) == (measured.oversampling, None)


@pytest.mark.parametrize("said", [None, "many", {}, {"oversampling": -1, "hnsw_ef": 10**9}, [],
                                  {"oversampling": "10", "hnsw_ef": True}])  # fmt: skip
def test_what_makes_no_sense_is_not_believed(said: object) -> None:
    assert how_searched({"search": said}) == (10, None)


def test_the_manifest_binds_the_tokenizer(tmp_path: Path, project: Project) -> None:
    """Also for a pull: the space is of this very tokenizer."""
    _other_tokenizer(tmp_path / "shelf/v1", tmp_path)
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not the tokenizer"):
        project.pull(str(tmp_path / "shelf/v1"))
    assert load_manifest(tmp_path / "shelf/v1").space
