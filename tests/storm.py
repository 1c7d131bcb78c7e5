"""Writers that do not stop, each in a process of its own, and what they did.

``python -m tests.storm KIND FOLDER LOG SEED PACE [URL COLLECTION VERSION]`` writes, with a pause of
PACE seconds after each write, until its standard input ends. LOG gets a line before each write and
one after its acknowledgement, so that a killed writer, too, can be held to its word. Kinds:
``indexer`` (the project's write path, through the owner where there is one), ``table`` (the
application whose table is the source), ``foreign`` (a plain client with an encoder of its own, as
an application on LangChain would, straight into a collection).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from reindex.config import load_settings
from reindex.errors import ReindexError
from reindex.indexing import Indexer, Write
from reindex.records import Payload, PointId, StoredPoint, point_id
from reindex.stages.writing import open_indexer
from tests.hash_project import HashWorkspace, encoder_of
from tests.sql_fixtures import put_notes, remove_notes

ROOT = Path(__file__).parents[1]
SHARED = [f"shared-{number}" for number in range(5)]
FOREIGN_DOCUMENTS = range(10)
"""Numbers of the source's documents that foreign writers edit, too."""


@dataclass(frozen=True)
class Attempt:
    """One write: ``payload`` (None: a delete) and, once acknowledged, when and with which rev."""

    id: int | str
    payload: Payload | None
    tried: float
    acked: float | None = None
    rev: int | None = None

    @property
    def point(self) -> PointId:
        return point_id(self.id)


class Writes(Protocol):
    """A way to write; returns the rev where there is one."""

    ids: list[int | str]
    with_id: bool
    """Whether payloads hold their document's id."""

    def put(self, id: int | str, payload: Payload | None) -> int | None: ...


class ThroughIndexer:
    """As an application on this host does."""

    with_id = False

    def __init__(self, indexer: Indexer, seed: int) -> None:
        self._indexer = indexer
        own = [f"own-{seed}-{number}" for number in range(12)]
        edited = [f"d{number}" for number in range(10 + 6 * (seed % 4), 16 + 6 * (seed % 4))]
        self.ids: list[int | str] = [*own, *edited, *SHARED, 7_000 + seed]

    def put(self, id: int | str, payload: Payload | None) -> int | None:
        if payload is None:
            return self._indexer.delete(id)[0].rev
        return self._indexer.upsert(Write(id, None, payload))[0].rev


class Table:
    """The application whose database is the project's source. One writer per row."""

    with_id = True

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        edited = [f"d{number}" for number in range(34 + 6 * (seed % 4), 40 + 6 * (seed % 4))]
        self.ids: list[int | str] = [*(f"row-{seed}-{number}" for number in range(12)), *edited]

    def put(self, id: int | str, payload: Payload | None) -> int | None:
        if payload is None:
            remove_notes(self._folder, id)
        else:
            put_notes(self._folder, [(id, payload["text"], payload["tenant"])])
        return None


class Foreign:
    """A plain client on one collection: whole points, payloads alone, deletes; no stamps."""

    with_id = False

    def __init__(self, seed: int, edits: bool, url: str, collection: str, version: str) -> None:
        from qdrant_client import QdrantClient

        self._client = QdrantClient(url, timeout=60, check_compatibility=False)
        self._collection, self._encoder = collection, encoder_of(version)
        self._dice = random.Random(seed)
        self.ids: list[int | str] = [1_000_000 * (seed + 1) + number for number in range(20)]
        if edits:
            self.ids += [point_id(f"d{number}") for number in FOREIGN_DOCUMENTS]
        self._texts: dict[int | str, str] = {}

    def put(self, id: int | str, payload: Payload | None) -> int | None:
        from qdrant_client import models

        if payload is None:
            self._texts.pop(id, None)
            self._client.delete(self._collection, [id], wait=True)
            return None
        if self._texts.get(id) == payload["text"]:
            self._client.set_payload(self._collection, payload, [id], wait=True)
            return None
        vector = self._encoder.encode_documents([payload["text"]])[0]
        point = models.PointStruct(id=id, vector={"": vector.tolist()}, payload=payload)
        self._client.upsert(self._collection, [point], wait=True)
        self._texts[id] = payload["text"]
        return None


def storm(writes: Writes, log: Path, seed: int, pace: float, stop: threading.Event) -> None:
    """Write until ``stop``: new texts, new payloads for the same texts, deletes."""
    dice, current = random.Random(seed), dict[int | str, Payload]()
    with log.open("a", encoding="utf-8", buffering=1) as file:
        file.write("\n")  # ends a line that a kill has cut
        while not stop.is_set():
            id, kind = dice.choice(writes.ids), dice.random()
            before, mark = current.get(id), f"{seed}-{dice.getrandbits(40):x}"
            payload: Payload | None = {"text": f"written by {mark}", "tenant": mark}
            if kind < 0.3 and before is not None:
                payload = {"text": before["text"], "tenant": mark}
            elif kind < 0.5:
                payload = None
            if payload is not None and writes.with_id:
                payload = {"id": id, **payload}
            line: dict[str, Any] = {"id": id, "payload": payload, "tried": time.time()}
            file.write(json.dumps(line) + "\n")
            try:
                rev = writes.put(id, payload)
            except ReindexError as error:
                print(f"not acknowledged: {error}", file=sys.stderr, flush=True)
                current.pop(id, None)
                stop.wait(max(pace, 0.1))
                continue
            file.write(json.dumps({**line, "acked": time.time(), "rev": rev}) + "\n")
            current.pop(id, None) if payload is None else current.update({id: payload})
            stop.wait(pace)


class Writer:
    """A writer process; killed or ended, its log stays and is gone on with."""

    def __init__(self, kind: str, folder: Path, seed: int, pace: float, *more: str) -> None:
        self.log = folder / f"storm-{kind}-{seed}.log"
        self._command = [
            *(sys.executable, "-m", "tests.storm", kind, str(folder), str(self.log)),
            *(str(seed), str(pace), *more),
        ]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=os.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", self.process.communicate()[1]

    def kill(self) -> None:
        """Unless it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def end(self) -> None:
        """Let it finish its write; it must have had no trouble."""
        if self.process is not None:
            _, errors = self.process.communicate(timeout=120)
            assert self.process.returncode == 0, errors
            self.process = None


def attempts_in(log: Path) -> list[Attempt]:
    """What a writer tried, in order; acknowledged ones with their time and rev."""
    found: list[Attempt] = []
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        try:
            attempt = Attempt(**json.loads(line))
        except ValueError:
            continue  # cut by a kill
        if attempt.acked is not None:
            found.pop()
        found.append(attempt)
    return found


@dataclass
class Storm:
    """Several writers at once, from ``__enter__`` to ``__exit__``."""

    writers: list[Writer]

    @property
    def logs(self) -> list[Path]:
        return [writer.log for writer in self.writers]

    @property
    def acknowledged(self) -> int:
        """So far, by all of them."""
        return sum(one.acked is not None for log in self.logs for one in attempts_in(log))

    def __enter__(self) -> Self:
        for writer in self.writers:
            writer.start()
        for writer in self.writers:
            writer.wait_until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.end()
        for writer in self.writers:
            writer.kill()

    def end(self) -> None:
        """Let each finish its write; none must have had trouble."""
        for writer in self.writers:
            writer.end()


@dataclass
class Oracle:
    """What may be in the collection, by all that writers tried and were told.

    A point is as its last acknowledged write left it, or as one tried after that (which may have
    arrived). Writes of several writers to one id are ordered by their revs.
    """

    base: Mapping[PointId, Payload]
    attempts: list[Attempt] = field(default_factory=list)

    def heard(self, logs: Iterable[Path], *, before: float | None = None) -> None:
        """Take in what these writers did. What was acknowledged after ``before`` is no promise."""
        for log in logs:
            for one in attempts_in(log):
                late = before is not None and one.acked is not None and one.acked >= before
                self.attempts.append(replace(one, acked=None, rev=None) if late else one)

    @property
    def acknowledged(self) -> int:
        return sum(one.acked is not None for one in self.attempts)

    def allowed(self) -> dict[PointId, list[Payload | None]]:
        """Point -> the states it may be in."""
        by_point: dict[PointId, list[Attempt]] = {}
        for one in self.attempts:
            by_point.setdefault(one.point, []).append(one)
        return {point: list(self._states(point, tried)) for point, tried in by_point.items()}

    def _states(self, point: PointId, tried: list[Attempt]) -> Iterator[Payload | None]:
        acked = [one for one in tried if one.acked is not None]
        last = max(acked, key=lambda one: (one.rev or 0, one.tried), default=None)
        yield last.payload if last else self.base.get(point)
        for one in tried:
            if one.acked is None and (last is None or one.tried > last.tried or one.id in SHARED):
                yield one.payload

    def check(self, workspace: HashWorkspace, version: str) -> None:
        """Hold the whole collection of a version against all that was promised."""
        points = _points(workspace, version)
        found: dict[PointId, Payload] = {point.id: point.payload for point in points}
        allowed = self.allowed()
        wrong = self.broken_promises(found)
        wrong += [
            f"{id}: found {found.get(id)}, nobody wrote it, the source has {payload}"
            for id, payload in self.base.items()
            if id not in allowed and found.get(id) != payload
        ]
        wrong += [f"{id}: appeared" for id in found.keys() - allowed.keys() - self.base.keys()]
        encoder = encoder_of(version)
        for point in points:
            text = "\n".join(filter(None, (point.payload.get("title"), point.payload["text"])))
            expected = encoder.encode_documents([text])[0]
            if point.vector is None or abs(float(point.vector @ expected) - 1) > 1e-5:
                wrong.append(f"{point.id}: the vector is not that of {text!r}")
        assert not wrong, f"{len(wrong)} wrong in {version}:\n" + "\n".join(wrong[:12])
        missing = workspace.store.missing_vectors(workspace.settings.collection(version))
        assert missing <= {point.id for point in points if point.stamp is None}, "not a whole point"

    def check_written(self, workspace: HashWorkspace, version: str) -> None:
        """Only that what was acknowledged is there, whatever others write meanwhile."""
        found = {point.id: point.payload for point in _points(workspace, version)}
        wrong = self.broken_promises(found)
        assert not wrong, f"{len(wrong)} wrong in {version}:\n" + "\n".join(wrong[:12])

    def broken_promises(self, found: Mapping[PointId, Payload]) -> list[str]:
        """What is not as it was promised; ``found`` was read before the writers were heard."""
        return [
            f"{id}: found {found.get(id)}, allowed {states}"
            for id, states in self.allowed().items()
            if found.get(id) not in states
        ]


def _points(workspace: HashWorkspace, version: str) -> list[StoredPoint]:
    """All points of a version's collection, none of them twice."""
    collection = workspace.settings.collection(version)
    pages = workspace.store.scroll(collection, with_payload=True, with_vector=True)
    points = [point for page in pages for point in page]
    assert len({point.id for point in points}) == len(points)
    return points


def base_of(workspace: HashWorkspace, version: str) -> dict[PointId, Payload]:
    """What a collection holds before anybody writes."""
    pages = workspace.store.scroll(workspace.settings.collection(version), with_payload=True)
    return {point.id: point.payload for page in pages for point in page}


def main(kind: str, folder: str, log: str, seed: str, pace: str, *more: str) -> None:
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    with HashWorkspace(load_settings(Path(folder))) as workspace:
        number = int(seed)
        if kind == "indexer":
            writes: Writes = ThroughIndexer(open_indexer(workspace), number)
        elif kind == "table":
            writes = Table(Path(folder), number)
        else:
            edits = workspace.settings.source.kind == "collection"
            writes = Foreign(number, edits, *more)
        threading.Thread(target=wait_for_the_end, daemon=True).start()
        print("ready", flush=True)
        storm(writes, Path(log), number, float(pace), stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
