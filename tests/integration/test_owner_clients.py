"""Asking an owner: results, errors, searches, big messages, and whom it turns away."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import (
    ComparisonError,
    Conflict,
    OwnerError,
    OwnerGone,
    OwnerSilent,
    PromotionRefused,
    StoreBusy,
    UnknownVersion,
    WriteRefused,
)
from reindex.indexing.writes import Write
from reindex.owner import address, wire
from reindex.owner.client import Connection, running_jobs
from reindex.owner.jobs import KINDS
from reindex.registry.owners import OwnerBook, OwnerRecord
from reindex.stages.building import build
from reindex.stages.owner_retriever import OwnerRetriever
from reindex.stages.promoting import promote, rollback
from reindex.stages.upkeep import status
from reindex.stages.writing import write
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(200)]


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[HashWorkspace]:
    """A project that this process owns; v1 is live."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        with workspace.own():
            yield workspace


@pytest.fixture
def client(owned: HashWorkspace) -> Iterator[HashWorkspace]:
    """The same project as another process sees it: through the owner."""
    with HashWorkspace(load_settings(owned.settings.root)) as workspace:
        yield workspace


def record_of(workspace: HashWorkspace) -> OwnerRecord:
    found = OwnerBook(workspace.registry).current()
    assert found is not None
    return found


def test_every_kind_of_job_can_say_what_it_takes_and_returns(owned: HashWorkspace) -> None:
    assert {"build", "compare", "rollback", "gc", "sync", "search", "write", "doctor"} <= set(KINDS)
    for kind in KINDS.values():
        assert kind.arguments({}) == {}
        kind.result(None)


def test_work_is_done_by_the_owner_and_its_result_is_the_same(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    seen: list[tuple[str, int]] = []
    client.progress = lambda stage, done, total: seen.append((stage, done))
    report = build(client, "v2")
    assert (report.inserted, report.complete) == (200, True)
    assert client.encoders == [], "nothing was embedded here"
    assert ("build", 200) in seen
    assert owned.registry.runs()[0].details["documents"] == 200
    assert [item.changed for item in client.sync("v2")] == [0]
    promote(client, "v2", force=True, reason="test")
    assert rollback(client, reason="back").to_collection == "docs--v1"
    assert client.gc(dry_run=True).kept[0][0] == "docs--v1"


def test_an_error_there_is_the_same_error_here(client: HashWorkspace) -> None:
    with pytest.raises(UnknownVersion, match="no version 'v7'"):
        build(client, "v7")
    with pytest.raises(ComparisonError, match="reindex build v2"):
        client.compare("v2")
    with pytest.raises(PromotionRefused, match="nothing to go back to") as refused:
        rollback(client)
    assert refused.value.verdict == "fail"


def test_a_bug_there_is_told_with_its_traceback(
    client: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(workspace: Any, name: str) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(KINDS, "build", replace(KINDS["build"], run=broken))
    with pytest.raises(OwnerError, match=r"ZeroDivisionError: oh\n(?s:.*)in broken"):
        build(client, "v2")


def test_the_settings_of_whoever_asks_count(owned: HashWorkspace, client: HashWorkspace) -> None:
    (owned.settings.root / "other").mkdir()
    write_documents(owned.settings.root / "other", TEXTS[:50])
    source = client.settings.source.model_copy(update={"path": Path("other/data")})
    client.settings = client.settings.model_copy(update={"source": source})
    assert build(client, "v2").documents == 50
    store = client.settings.store.model_copy(update={"path": Path("elsewhere")})
    client.settings = client.settings.model_copy(update={"store": store})
    with pytest.raises(OwnerError, match=r"\[store\] in reindex.toml is not what the owner"):
        build(client, "v2")


def test_nobody_else_opens_a_collection(owned: HashWorkspace, client: HashWorkspace) -> None:
    build(client, "v2")
    owned.store.close()  # no shard is locked now
    with pytest.raises(StoreBusy, match=f"owner, process {os.getpid()}"):
        client.store.info("docs--v2")
    assert status(client).differences == ()


def test_searches_go_through_the_owner(owned: HashWorkspace, client: HashWorkspace) -> None:
    retriever = client.retriever()
    assert isinstance(retriever, OwnerRetriever)
    found = retriever.search_many(TEXTS[:3], k=2)
    assert [results[0].id for results in found] == ["d0", "d1", "d2"]
    assert found[0][0].payload["text"] == TEXTS[0]
    local = owned.retriever().search(TEXTS[5], 4, offset=1, where={"text": TEXTS[:9]})
    assert retriever.search(TEXTS[5], 4, offset=1, where={"text": TEXTS[:9]}) == local
    assert retriever.health() == "ready"
    build(client, "v2")
    assert client.retriever("v2").search(TEXTS[0]).version == "v2"
    promote(client, "v2", force=True, reason="x")
    retriever.wait_until_settled()
    assert retriever.search(TEXTS[0]).version == "v2"


def test_many_clients_at_once(owned: HashWorkspace) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        with HashWorkspace(owned.settings) as other:
            retriever = other.retriever()
            for _ in range(20):
                found = retriever.search(TEXTS[number], 1)
                if found[0].id != f"d{number}":
                    wrong.append(found)
            report = build(other, "v2")
            if report.points != 200:
                wrong.append(report)
            other.registry.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    runs = [run for run in owned.registry.runs() if run.version == "v2"]
    assert {run.state for run in runs} == {"done"}
    assert len(runs) == 8
    assert running_jobs(owned) == (None, []), "it is the owner itself"


def test_big_results_and_big_requests(owned: HashWorkspace, client: HashWorkspace) -> None:
    big = [f"{number} " + "ä\x00🙂" * 20_000 for number in range(20)]
    rows = (json.dumps({"_id": f"d{n}", "title": "", "text": text}) for n, text in enumerate(big))
    (owned.settings.root / "data" / "corpus.jsonl").write_text("\n".join(rows), "utf-8")
    build(client, "v1", allow_deletes=True)
    found = client.retriever().search(big[3], k=20)
    assert found[0].payload["text"] == owned.retriever().search(big[3])[0].payload["text"]
    assert sum(len(hit.payload["text"]) for hit in found) > 1_000_000


def test_writes_go_through_the_owner(owned: HashWorkspace, client: HashWorkspace) -> None:
    indexer = client.indexer()
    (ack,) = indexer.upsert(("d3", "quite another text", {"tenant": 7}))
    assert ack.collection == "docs--v1"
    indexer.delete(["d4", "d5"])
    retriever = owned.retriever()
    assert retriever.search("quite another text", 1)[0].payload["tenant"] == 7
    assert retriever.search(TEXTS[4], 1)[0].id != "d4"
    with pytest.raises(WriteRefused, match="'bad'"):
        indexer.upsert([("good", "a good one", {}), ("bad", "", {})])
    assert retriever.search("a good one", 1)[0].id != "good"
    assert client.encoders == []


def test_a_large_batch_is_acknowledged_in_order(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    given = [(f"n{n}", f"new text {n}", {"blob": "x" * 5_000}) for n in range(1_200)]
    acks = client.indexer().upsert(given)
    assert [ack.id for ack in acks] == [id for id, _, _ in given]
    assert [ack.rev for ack in acks] == sorted({ack.rev for ack in acks})
    assert owned.store.count("docs--v1") == 200 + 1_200


def test_a_batch_that_is_sent_again_is_not_written_again(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    batch, later = [Write("d1", "first", {})], [Write("d1", "second", {})]
    (first,) = write(client, batch, key="one")
    (second,) = write(client, later, key="two")
    (again,) = write(client, batch, key="one")
    assert (again.rev, second.rev > first.rev) == (first.rev, True)
    assert owned.retriever().search("second", 1)[0].id == "d1", "the older did not come back"


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\n", b"[]\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"reindex": 1}\n'],
    ids=["http", "list", "deep", "binary", "no token"],
)
def test_garbage_is_turned_away(owned: HashWorkspace, client: HashWorkspace, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(record_of(owned).address)
        raw.sendall(said)
        with raw.makefile("rb") as lines:
            answer = lines.read()
    assert json.loads(answer.splitlines()[0])["event"] == "error"
    assert client.retriever().search(TEXTS[0])[0].id == "d0", "others are served on"


def test_an_unknown_job_is_an_error(owned: HashWorkspace) -> None:
    with Connection(record_of(owned), 20) as line, pytest.raises(OwnerError, match="no job 'rm'"):
        line.ask({"job": "rm"})


def test_another_token_is_turned_away(owned: HashWorkspace) -> None:
    with pytest.raises(OwnerError, match="of this project's registry"):
        Connection(replace(record_of(owned), token="guess"), 20)


def test_another_release_is_told_so(owned: HashWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reindex.owner.wire.__version__", "9.9.9")
    with pytest.raises(OwnerError, match=r"runs reindex 0\.1\.0 .*this is 9\.9\.9.*kill"):
        Connection(record_of(owned), 20)


def test_another_user_cannot_ask(owned: HashWorkspace) -> None:
    found = record_of(owned)
    assert stat.S_IMODE(os.stat(found.address).st_mode) == 0o600
    assert stat.S_IMODE(Path(found.address).parent.stat().st_mode) == 0o700
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    code = (
        "import os, sys, socket; os.setuid(65534)\n"
        "try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n"
        "except PermissionError: sys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code, found.address], check=False)
    assert done.returncode == 7


def test_a_socket_that_is_gone_names_the_process(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    Path(record_of(owned).address).unlink()
    with pytest.raises(OwnerSilent, match=f"process {os.getpid()} .*kill {os.getpid()}"):
        build(client, "v2")


def test_somebody_else_on_the_owner_s_socket_is_noticed(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    found = record_of(owned)
    Path(found.address).unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(found.address)
        other.listen()

        def pretend() -> None:
            with other.accept()[0] as line, line.makefile("rb") as lines:
                lines.readline()
                line.sendall(wire.encode({"event": "welcome", "pid": 1}))

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(OwnerError, match="not as this project's owner"):
            build(client, "v2")
        thread.join()


def test_the_second_owner_is_told_of_the_first(owned: HashWorkspace, client: HashWorkspace) -> None:
    with pytest.raises(Conflict, match=rf"process {os.getpid()} on .* \(since 20"), client.own():
        pass
    found = record_of(owned)
    assert found.pid == os.getpid()
    left = set(owned.settings.home.glob("owner-*")) - {Path(found.address).parent}
    assert not left, "no socket is left over"


def test_after_the_end_everybody_works_alone_again(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        with workspace.own() as owner, HashWorkspace(workspace.settings) as other:
            remote = other.retriever()
            assert remote.search(TEXTS[0])[0].id == "d0"
            owner.close()
            with pytest.raises(OwnerGone, match="no other does yet"):
                remote.search(TEXTS[0])
            assert remote.health() == "not ready"
            with workspace.own():
                assert remote.search(TEXTS[0])[0].id == "d0", "it asks the next owner"
        assert OwnerBook(workspace.registry).current() is None
        assert list(workspace.settings.home.glob("owner-*")) == []
    with HashWorkspace(workspace.settings) as other:
        assert build(other, "v1").unchanged == 200


def test_a_record_with_a_number_that_was_used_again_is_taken_over(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        before = OwnerRecord.mine(str(tmp_path / "gone"), "token", "0")
        OwnerBook(workspace.registry).claim(replace(before, process_started="another boot:1"))
        workspace.registry.owner_token = ""
        assert build(workspace, "v1").inserted == 200, "a dead owner is in nobody's way"
        log: list[str] = []
        with workspace.own(log=log.append):
            assert record_of(workspace).token != "token"
        assert "taken over from process" in log[0]


def test_a_living_owner_in_another_container_is_seen_by_its_socket(
    owned: HashWorkspace, client: HashWorkspace
) -> None:
    found = record_of(owned)
    elsewhere = replace(found, host="elsewhere", process_started="another boot:1")
    assert elsewhere.lives()
    Path(found.address).unlink()
    assert not elsewhere.lives()


def test_a_project_on_a_server_needs_no_owner(tmp_path: Path) -> None:
    with hash_project(tmp_path, store={"kind": "server"}) as workspace:
        with pytest.raises(OwnerError, match="needs no owner"), workspace.own():
            pass
        assert OwnerBook(workspace.registry).current() is None


def test_a_held_collection_keeps_one_from_becoming_owner(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        with HashWorkspace(workspace.settings) as other:
            with pytest.raises(StoreBusy, match="reindex own"), other.own():
                pass
            assert OwnerBook(other.registry).current() is None


def test_the_socket_s_path_may_be_long(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 60) / ("y" * 60)
    home.mkdir(parents=True)
    listening, path = address.bind(home)
    assert len(os.fsencode(path)) <= address.MAX_PATH
    assert not path.is_relative_to(home)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
    listening.close()
    address.remove(path)
    assert not path.parent.exists()


def test_no_place_for_a_socket_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "MAX_PATH", 10)
    with pytest.raises(OwnerError, match="XDG_RUNTIME_DIR"):
        address.bind(tmp_path)
