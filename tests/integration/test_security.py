"""Attacks that belong to no single feature; docs/threat-model.md names these and the others."""

from __future__ import annotations

import hmac
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from reindex.cli import main
from reindex.config import QdrantSettings, load_settings
from reindex.errors import ConfigError, ModelError, ReindexError
from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app
from reindex.stages.building import build
from reindex.stores.server_client import connect
from reindex.training.base import resolve_base
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.http_fixtures import key, listening

TEXTS = [f"text number {n}" for n in range(30)]
OUT = [
    "../../x",
    "/etc/passwd",
    "..",
    "v1/../../x",
    "v1\0",
    "%2e%2e%2fx",
    "'; DROP TABLE versions; --",
]
PLANTED = "planted-secret-word"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """v1 is live."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, server={"max_texts": 8, "max_body_mb": 0.01}) as project:
        build(project, "v1")
        project.promote("v1")
        yield project


@pytest.fixture
def client(project: HashWorkspace) -> Iterator[TestClient]:
    with TestClient(make_app(project), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HashWorkspace]:
    """The same for all that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    write_documents(folder, TEXTS)
    with hash_project(folder, server={"max_body_mb": 0.01}) as project:
        build(project, "v1")
        project.promote("v1")
        yield project


@pytest.fixture(scope="module")
def asked(shared: HashWorkspace) -> Iterator[TestClient]:
    with TestClient(make_app(shared), raise_server_exceptions=False) as client:
        yield client


def files_of(folder: Path) -> Iterator[bytes]:
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.read_bytes()


# -- keys


def test_a_key_is_compared_with_every_one_in_constant_time(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(project.registry)
    made = [keys.add(f"key-{n}", ["read"], "nobody") for n in range(3)]
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for asked in (*made, "rx_unknown", ""):
        compared.clear()
        assert (keys.find(asked) is not None) == (asked in made)
        assert len(compared) == 3, "as many comparisons, whichever it is"
        assert all(asked not in pair for pair in compared) or not asked, "digests are compared"


def test_keys_are_hashed_at_rest(project: HashWorkspace) -> None:
    made = ApiKeys(project.registry).add("one", ["read"], "nobody")
    assert all(made.encode() not in content for content in files_of(project.settings.home))


@pytest.mark.parametrize("scope", ["search", "read", "write"])
def test_a_scope_opens_no_other(client: TestClient, project: HashWorkspace, scope: str) -> None:
    headers = key(project, scope)
    answer = client.post("/v1/promote", json={"version": "v1"}, headers=headers)
    assert answer.status_code == 403
    answer = client.post("/v1/documents/delete", json={"ids": ["d1"]}, headers=headers)
    assert answer.status_code == (200 if scope == "write" else 403)


def test_each_request_of_a_connection_is_judged_by_its_own_key(project: HashWorkspace) -> None:
    """One that is hidden behind another's body has no more rights than its own header gives."""
    allowed = key(project, "write")["Authorization"]
    body = b'{"ids":["nobody"]}'
    first = (
        b"POST /v1/documents/delete HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: " + allowed.encode() + b"\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    hidden = b"DELETE /v1/documents/d1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with listening(make_app(project)) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(first + hidden)
            answers = b""
            while block := connection.recv(65536):
                answers += block
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 401" in answers


def test_a_length_that_is_said_twice_is_refused(project: HashWorkspace) -> None:
    with listening(make_app(project)) as address:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(
                b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                b"Content-Length: 40\r\nConnection: close\r\n\r\n{}"
            )
            assert connection.recv(65536).startswith(b"HTTP/1.1 400")


# -- what is asked


@pytest.mark.parametrize(
    "where",
    [{"must": [{"has_id": [1]}]}, {"text": {"$ne": "x"}}, {"text": {"match": {"any": ["x"]}}},
     {"text": {"gte": "x"}}, {"text": None}, {"text": [["x"]]}, {"text": [{"any": 1}]},
     {"filter": {"must_not": []}}, {"": {"or": 1}}],
)  # fmt: skip
def test_the_engine_s_own_filters_are_not_passed_on(asked: TestClient, where: Any) -> None:
    answer = asked.post("/v1/search", json={"query": TEXTS[1], "where": where})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["code"] == "FilterRefused"


@pytest.mark.parametrize("body", [b"[" * 9000, b'{"query":' * 900, b"\xff\xfe", b'{"query": NaN}'])
def test_bodies_made_to_break_a_parser(asked: TestClient, body: bytes) -> None:
    answer = asked.post("/v1/search", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert asked.post("/v1/search", json={"query": TEXTS[1]}).status_code == 200


def test_a_compressed_body_is_not_unpacked(asked: TestClient) -> None:
    import gzip

    bomb = gzip.compress(b'{"query": "' + b"a" * 5_000_000 + b'"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert 400 <= asked.post("/v1/search", content=bomb, headers=headers).status_code < 500


# -- names and paths


def _files(project: HashWorkspace) -> set[Path]:
    """What lies there, but for the databases, which come and go with who has them open."""
    return {file for file in project.settings.root.parent.rglob("*") if ".db" not in file.name}


@pytest.mark.parametrize("name", OUT)
def test_versions_are_looked_up_and_never_paths(
    asked: TestClient, shared: HashWorkspace, name: str
) -> None:
    before = _files(shared)
    headers = key(shared, "read", "operate", name=f"key-{OUT.index(name)}")
    answer = asked.post("/v1/search", json={"query": "a", "version": name})
    assert answer.status_code in (400, 404, 422)
    answer = asked.post("/v1/builds", json={"version": name}, headers=headers)
    assert answer.status_code in (400, 404, 422)
    for command in (["export", name], ["push", name, "memory://x"], ["report", name]):
        if "\0" not in name:
            run = CliRunner().invoke(main, ["-c", str(shared.settings.root), *command])
            assert run.exit_code in (1, 2), run.output
    assert _files(shared) <= before
    assert len(shared.registry.versions()) == 2


@pytest.mark.parametrize(
    "spec", ["package:../..", "package:/etc", "package:..", "package:os.path", "package:",
             "../../etc/../nowhere", "a/b/c", "-rf", "http://host/model", "hf://a/b", "a\0b"],
)  # fmt: skip
def test_bases_that_lead_elsewhere(spec: str) -> None:
    with pytest.raises(ModelError):
        resolve_base(spec)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "a b", "x\n"])
def test_a_project_s_name_is_no_path(tmp_path: Path, name: str) -> None:
    import json

    (tmp_path / "reindex.toml").write_text(f"[project]\nname = {json.dumps(name)}\n", "utf-8")
    with pytest.raises(ConfigError):
        load_settings(tmp_path)


def test_a_document_s_id_is_no_path(client: TestClient, project: HashWorkspace) -> None:
    headers = key(project, "write")
    document = {"id": "../../../../tmp/reindex-planted", "text": "a"}
    answer = client.post("/v1/documents", json={"documents": [document]}, headers=headers)
    assert answer.status_code == 200
    assert not Path("/tmp/reindex-planted").exists()


# -- secrets


def test_planted_secrets_are_written_and_said_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A database's password, webhooks, a Qdrant key, object storage: used, failing, and then
    looked for in all that was written, logged and said.
    """
    secrets = {
        "CORPUS_URL": f"postgresql://me:{PLANTED}-1@127.0.0.1:1/db",
        "REINDEX_WEBHOOKS": f"http://127.0.0.1:1/{PLANTED}-2?token={PLANTED}-3",
        "REINDEX_WEBHOOK_SECRET": f"{PLANTED}-4",
        "QDRANT_API_KEY": f"{PLANTED}-5",
        "AWS_SECRET_ACCESS_KEY": f"{PLANTED}-6", "AWS_ACCESS_KEY_ID": f"{PLANTED}-7",
        "HF_TOKEN": f"{PLANTED}-8", "AWS_ENDPOINT_URL": f"http://{PLANTED}-9@127.0.0.1:1",
    }  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    write_documents(tmp_path, TEXTS)
    said = []
    config: dict[str, Any] = {"notify": {"allow_private": True, "attempts": 1, "timeout_s": 1.0}}
    with caplog.at_level(logging.DEBUG), hash_project(tmp_path, **config) as project:
        build(project, "v1")
        project.promote("v1")
        for failing in (
            lambda: project.pull(f"s3://{PLANTED}:{PLANTED}@bucket/x"),
            lambda: _sql(project),
            _qdrant,
        ):
            with pytest.raises(ReindexError) as refusal:
                failing()
            said.append(str(refusal.value))
        run = CliRunner().invoke(main, ["-c", str(tmp_path), "history"])
        said += [run.output, str(project.status()), str(project.registry.runs())]
    assert not [text for text in said if PLANTED in text]
    ours = [item.getMessage() for item in caplog.records if item.name.startswith("reindex")]
    assert not [text for text in ours if PLANTED in text]
    assert all(PLANTED.encode() not in content for content in files_of(tmp_path))


def _qdrant() -> None:
    url = f"http://me:{PLANTED}@127.0.0.1:1"
    connect(QdrantSettings(url=url, prefer_grpc=False, attempts=1, timeout=1), PLANTED)


def _sql(project: HashWorkspace) -> None:
    from reindex.config import SourceSettings
    from reindex.corpus.sources import open_source

    settings = SourceSettings(kind="sql", url_env="CORPUS_URL", query="SELECT 1")
    source = open_source(settings, project.settings.root)
    list(source.documents(project.dead_letters("planted")))
