"""The cut-over, step by step: what is promised holds, whoever writes in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import CutOverIncomplete, PromotionRefused
from reindex.indexing import Indexer
from reindex.plain import from_plain, to_plain
from reindex.records import PayloadChange, PointId, Stamp, point_id
from reindex.registry.sweeps import Sweeps
from reindex.stages import cutover
from reindex.stages.building import build
from reindex.stages.promoting import Promoted, promote, rollback
from reindex.stages.upkeep import collect_garbage, status
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(60)]
V1, V2 = "docs--v1", "docs--v2"


@pytest.fixture(params=["collection", "beir"])
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[HashWorkspace]:
    """v1 is live, v2 is built. The source is the live collection, or files."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    settings = workspace.settings
    source = settings.source.model_copy(update={"kind": request.param})
    with HashWorkspace(settings.model_copy(update={"source": source})) as workspace:
        build(workspace, "v2")
        yield workspace


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[HashWorkspace]:
    """As `project`, with the live collection as its source."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    settings = workspace.settings
    source = settings.source.model_copy(update={"kind": "collection"})
    with HashWorkspace(settings.model_copy(update={"source": source})) as workspace:
        build(workspace, "v2")
        yield workspace


def test_a_promotion_asked_for_elsewhere_comes_back_as_it_was(copied: HashWorkspace) -> None:
    done = promote(copied, "v2", force=True, reason="test")
    assert from_plain(Promoted, to_plain(done)) == done


def texts(workspace: HashWorkspace, collection: str) -> dict[PointId, str]:
    """What the collection says, every vector checked against its text."""
    found: dict[PointId, str] = {}
    encoder = encoder_of(collection.rpartition("--")[2])
    for page in workspace.store.scroll(collection, with_payload=True, with_vector=True):
        for point in page:
            text = point.payload["text"]
            assert point.vector is not None
            assert float(point.vector @ encoder.encode_documents([text])[0]) > 0.999
            found[point.id] = text
    return found


def foreign(workspace: HashWorkspace, collection: str, id: str, text: str | None) -> None:
    """A plain client edits or deletes a document and leaves no sign of it."""
    key = point_id(id)
    point = workspace.store.retrieve(collection, [key], with_payload=True)[key]
    assert point.stamp is not None
    if text is None:
        workspace.store.delete(collection, {key: point.stamp})
        return
    stamp = Stamp(**{**point.stamp.as_payload(), "payload_hash": "0" * 32})
    change = PayloadChange(key, {**point.payload, "text": text}, stamp)
    workspace.store.update_payload(collection, [change], {key: point.stamp})


def at(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], Any], n: int = 1) -> None:
    """Do something right before the ``n``-th time of a step of the cut-over."""
    real, calls = getattr(cutover, step), [0]

    def then(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == n:
            act()
        return real(*args, **kwargs)

    monkeypatch.setattr(cutover, step, then)


STEPS = [("prepare", 1), ("catch_up", 1), ("_pass", 2), ("_flip", 1), ("_deliver_rest", 1),
         ("finish_sweeps", 1), ("_careful_pass", 1), ("_careful_pass", 2)]  # fmt: skip


@pytest.mark.parametrize(("step", "n"), STEPS)
def test_single_writes_at_every_step_are_in_both_collections(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch, step: str, n: int
) -> None:
    indexer = Indexer(project)

    def write() -> None:
        if step == "_deliver_rest":
            return  # the lock is held: nobody can journal
        indexer.upsert([("d3", "edited late", {}), ("new", "a late one", {})])
        indexer.delete("d4")

    indexer.upsert([("d5", "edited before", {}), ("d4", "edited before", {})])
    at(monkeypatch, step, write, n)
    promote(project, "v2", force=True, reason="test")
    assert project.live_collection() == V2
    found = texts(project, V2)
    assert found == texts(project, V1)
    assert found[point_id("d5")] == "edited before"
    if step != "_deliver_rest" and (step, n) != ("_careful_pass", 2):
        assert (found[point_id("d3")], found[point_id("new")]) == ("edited late", "a late one")
        assert point_id("d4") not in found
    assert status(project).sweeps == ()
    assert project.journal.backlog() == []


@pytest.mark.parametrize(("step", "n"), [s for s in STEPS if s[0] != "_deliver_rest"][:-1])
def test_foreign_writes_to_the_old_collection_arrive(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch, step: str, n: int
) -> None:
    def write() -> None:
        foreign(copied, V1, "d7", "a plain client's edit")
        foreign(copied, V1, "d8", None)

    at(monkeypatch, step, write, n)
    promote(copied, "v2", force=True, reason="test")
    found = texts(copied, V2)
    assert found[point_id("d7")] == "a plain client's edit"
    assert point_id("d8") not in found
    assert len(found) == len(TEXTS) - 1


def test_the_sweep_leaves_what_changed_in_the_new_collection(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexer = Indexer(copied)

    def write() -> None:
        indexer.upsert([("d1", "newer, by the indexer", {}), ("new", "only there", {})])
        indexer.delete("d2")
        foreign(copied, V1, "d1", "older, by a plain client")
        foreign(copied, V1, "d3", "by a plain client, old side")
        foreign(copied, V2, "d3", "by a plain client, new side")

    at(monkeypatch, "finish_sweeps", write)
    promote(copied, "v2", force=True, reason="test")
    payloads = {
        point.id: point.payload["text"]
        for page in copied.store.scroll(V2, with_payload=True)
        for point in page
    }
    assert payloads[point_id("d1")] == "newer, by the indexer"
    assert payloads[point_id("new")] == "only there"
    assert point_id("d2") not in payloads
    assert payloads[point_id("d3")] == "by a plain client, new side"


def test_rollback_keeps_what_was_written_since(project: HashWorkspace) -> None:
    indexer = Indexer(project)
    promote(project, "v2", force=True, reason="test")
    indexer.upsert([("d3", "since", {}), ("new", "new since", {})])
    indexer.delete("d4")
    rollback(project)
    assert project.live_collection() == V1
    found = texts(project, V1)
    assert found == texts(project, V2)
    assert (found[point_id("d3")], found[point_id("new")]) == ("since", "new since")
    assert point_id("d4") not in found


def test_rollback_now_flips_first_and_sweeps_after(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(copied, "v2", force=True, reason="test")
    Indexer(copied).upsert(("d3", "since", {}))
    foreign(copied, V2, "d5", "by a plain client since")
    live = list[str | None]()
    at(monkeypatch, "finish_sweeps", lambda: live.append(copied.live_collection()))
    rollback(copied, now=True)
    assert live == [V1]
    found = texts(copied, V1)
    assert found[point_id("d3")] == "since"
    assert found[point_id("d5")] == "by a plain client since"


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize(("step", "n"), STEPS[:-1])
def test_killed_at_any_step_promote_again_finishes_it(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch, step: str, n: int
) -> None:
    def kill() -> None:
        raise Killed

    indexer = Indexer(copied)
    indexer.upsert(("d3", "edited before", {}))
    foreign(copied, V1, "d7", "a plain client's edit")
    with monkeypatch.context() as patch:
        at(patch, step, kill, n)
        with pytest.raises(Killed):
            promote(copied, "v2", force=True, reason="test")
    if step in ("finish_sweeps", "_careful_pass"):
        assert copied.live_collection() == V2
        assert len(status(copied).sweeps) == 1
        kept = dict(collect_garbage(copied).kept)
        assert V1 in kept
    foreign(copied, V1, "d8", "a later one")
    indexer.upsert(("d9", "a later write", {}))
    assert promote(copied, "v2", force=True, reason="again").promotion is not None
    found = texts(copied, V2)
    expected = {"d3": "edited before", "d7": "a plain client's edit", "d8": "a later one",
                "d9": "a later write"}  # fmt: skip
    assert {id: found[point_id(id)] for id in expected} == expected
    assert status(copied).sweeps == ()


def test_a_build_finishes_what_a_killed_promotion_left(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        raise Killed

    with monkeypatch.context() as patch:
        at(patch, "finish_sweeps", kill)
        with pytest.raises(Killed):
            promote(copied, "v2", force=True, reason="test")
    foreign(copied, V1, "d8", "a late one")
    build(copied, "v1")
    assert texts(copied, V2)[point_id("d8")] == "a late one"
    assert Sweeps(copied.registry).open() == []


def test_a_target_that_cannot_take_a_write_is_not_promoted(copied: HashWorkspace) -> None:
    class Broken:
        space, encoding, dim = encoder_of("v2").space, encoder_of("v2").encoding, 32

        def encode_documents(self, texts: Any) -> Any:
            raise RuntimeError("the graph is broken")

    copied._encoders[V2] = Broken()  # type: ignore[assignment]
    assert Indexer(copied).upsert(("d3", "edited", {}))[0].pending == (V2,)
    assert [(item.collection, item.writes) for item in status(copied).owed] == [(V2, 1)]
    with pytest.raises(RuntimeError, match="the graph is broken"):
        promote(copied, "v2", force=True, reason="test")
    assert copied.live_collection() == V1
    del copied._encoders[V2]
    promote(copied, "v2", force=True, reason="test")
    assert texts(copied, V2)[point_id("d3")] == "edited"


def test_a_sweep_that_fails_says_so_and_goes_on_later(
    copied: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("the network is gone")

    with monkeypatch.context() as patch:
        at(patch, "_careful_pass", fail)
        with pytest.raises(CutOverIncomplete, match=r"docs--v2.*the network is gone"):
            promote(copied, "v2", force=True, reason="test")
    assert copied.live_collection() == V2
    assert promote(copied, "v2").promotion is not None
    with pytest.raises(PromotionRefused, match="live already"):
        promote(copied, "v2")


def test_others_are_waited_for_where_there_can_be_others(copied: HashWorkspace) -> None:
    waits = list[float]()
    copied.sleep = waits.append
    copied.store.local = False
    promote(copied, "v2", force=True, reason="test")
    copied.store.local = True
    settings = copied.settings
    whole = settings.serving.lease_ttl + settings.qdrant.timeout
    assert len(waits) == 1
    assert whole - 20 < waits[0] <= whole
