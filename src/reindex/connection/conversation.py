"""What is said to a server and what its answers mean, without a connection.

A conversation is a generator: it yields what to ask and is sent the answer's JSON, or the error is
thrown into it. So the same words serve a blocking client and one for asyncio.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import urlencode

import numpy as np

from reindex.connection.base import Embedded, check_embedding, check_queries, plain_where
from reindex.errors import RequestRefused, RequestTooLarge, ServerError, WriteRefused
from reindex.pages import DocumentPage
from reindex.plain import from_plain
from reindex.records import (
    Condition,
    Document,
    Hit,
    PointId,
    Vector,
    point_id,
)
from reindex.retriever import Results
from reindex.rollout.feedback import checked_feedback
from reindex.writes import Ack, Given, Write, as_ids, as_writes

Result = TypeVar("Result")
Item = TypeVar("Item")

MOST_ITEMS, MOST_BYTES = 256, 4_000_000
"""Of a request, to begin with: what a server takes unless told otherwise, with room to spare."""
ATTEMPTS_AT_ONE_VERSION = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``repeatable``: it may be sent again though the first may have arrived."""

    method: str
    path: str
    content: bytes | None = None
    repeatable: bool = True
    idempotency_key: str | None = None


Talk = Generator[Ask, Any, Result]


# -- reading


def search_many(
    queries: Sequence[str], k: int, where: Condition | None, key: str | None
) -> Talk[list[Results]]:
    """All by one version, as long as what is live does not change thrice meanwhile."""
    check_queries(queries, k)
    queries = list(queries)
    unit = key if key is not None else "\n".join(queries)

    def part(some: list[str]) -> Talk[list[Results]]:
        if len(queries) == 1:
            body = {"query": queries[0], "k": k, "where": plain_where(where), "key": key}
            return [_results((yield Ask("POST", "/v1/search", _json(body))))]
        body = {"queries": some, "k": k, "where": plain_where(where), "key": unit}
        said = yield Ask("POST", "/v1/search/batch", _json(body))
        return [_results(item) for item in _field(said, "results", list)]

    found: list[Results] = []
    for _ in range(ATTEMPTS_AT_ONE_VERSION):
        found = yield from _in_parts(queries, part)
        if len({item.version for item in found}) <= 1:
            break
    return found


def embed(
    texts: Sequence[str], kind: str, model: str | None, dimensions: int | None
) -> Talk[Embedded]:
    """Where one request does not hold all, the later ones ask for the version of the first."""
    check_embedding(texts, kind, dimensions)
    version = model

    def part(some: list[str]) -> Talk[list[Vector]]:
        nonlocal version
        body = {
            "input": some, "model": version, "dimensions": dimensions, "input_type": kind,
            "encoding_format": "base64",
        }  # fmt: skip
        said = yield Ask("POST", "/v1/embeddings", _json(body))
        version = _field(said, "model", str)
        return [_vector(_field(item, "embedding", str)) for item in _field(said, "data", list)]

    vectors = yield from _in_parts(list(texts), part)
    return Embedded(np.stack(vectors) if vectors else np.zeros((0, 0), np.float32), version or "")


def find(where: Condition, limit: int) -> Talk[list[int | str]]:
    """Ids of live documents."""
    body = {"where": plain_where(where), "limit": limit}
    said = yield Ask("POST", "/v1/documents/find", _json(body))
    return _field(said, "ids", list)


def status() -> Talk[dict[str, Any]]:
    """What is live, what is built, what runs."""
    said: dict[str, Any] = yield Ask("GET", "/v1/status")
    return said


def fetch(ids: int | str | Iterable[int | str]) -> Talk[list[Document]]:
    """Those that are there, each once."""

    def part(some: list[int | str]) -> Talk[list[Document | None]]:
        said = yield Ask("POST", "/v1/documents/get", _json({"ids": some}))
        found = {point_id(item.id): item for item in _documents(said)}
        return [found.get(point_id(id)) for id in some]

    every = yield from _in_parts(as_ids(ids), part)
    return list({point_id(item.id): item for item in every if item is not None}.values())


def page(start: PointId | None, limit: int) -> Talk[DocumentPage]:
    """A page of what is live."""
    given = {"limit": limit} if start is None else {"limit": limit, "start": start}
    said = yield Ask("GET", f"/v1/documents?{urlencode(given)}")
    return DocumentPage(tuple(_documents(said)), said.get("following"))


def count() -> Talk[int]:
    """How many documents are live."""
    return _field((yield Ask("GET", "/v1/documents/count")), "count", int)


def _documents(said: Any) -> list[Document]:
    return [from_plain(Document, item) for item in _field(said, "documents", list)]


def comparisons(version: str | None, limit: int) -> Talk[list[dict[str, Any]]]:
    """What comparisons said."""
    asked = {"limit": limit, **({"version": version} if version else {})}
    said = yield Ask("GET", f"/v1/comparisons?{urlencode(asked)}")
    return _field(said, "comparisons", list)


# -- writing


def upsert(documents: Given | Iterable[Given]) -> Talk[list[Ack]]:
    """Each request as a whole or not at all; sent again under the same key it is written once."""
    rows = [_writable(write) for write in as_writes(documents)]

    def part(some: list[dict[str, Any]]) -> Talk[list[Ack]]:
        return (yield from _acknowledged("/v1/documents", {"documents": some}))

    return (yield from _in_parts(rows, part))


def delete(ids: int | str | Iterable[int | str]) -> Talk[list[Ack]]:
    """As `upsert`."""

    def part(some: list[int | str]) -> Talk[list[Ack]]:
        return (yield from _acknowledged("/v1/documents/delete", {"ids": some}))

    return (yield from _in_parts(as_ids(ids), part))


def feedback(
    search: Results | str, clicked: Iterable[int | str], used: Iterable[int | str],
    grade: float | None,
) -> Talk[None]:  # fmt: skip
    """What became of a search."""
    identity = search if isinstance(search, str) else search.search_id
    said = checked_feedback(identity, clicked, used, grade)
    chosen = {
        wanted: [document for kind, document, _ in said if kind == wanted]
        for wanted in ("clicked", "used")
    }
    body = {"search_id": identity, "grade": grade, **chosen}
    yield Ask("POST", "/v1/feedback", _json(body), repeatable=False)


def _acknowledged(path: str, body: Mapping[str, Any]) -> Talk[list[Ack]]:
    said = yield Ask("POST", path, _json(body), idempotency_key=uuid.uuid4().hex)
    return [from_plain(Ack, item) for item in _field(said, "acknowledged", list)]


def _writable(write: Write) -> dict[str, Any]:
    row = {"id": write.id, "text": write.text, "payload": write.payload}
    try:
        json.dumps(row, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise WriteRefused(
            f"document {write.id!r}: {error}. Nothing of this call was written."
        ) from None
    return row


# -- parts of what is too much for one request


def _in_parts(
    items: Sequence[Item], ask: Callable[[list[Item]], Talk[list[Result]]]
) -> Talk[list[Result]]:
    """``ask`` about all items; about fewer at a time where the server says that it is too much."""
    parts = list(_parts(items))[::-1]
    done: list[list[Result]] = []
    while parts:
        part = parts.pop()
        try:
            answer = yield from ask(part)
        except RequestTooLarge:
            if len(part) == 1:
                raise
            parts = _halved(parts, most=len(part) // 2) + _halved([part], most=len(part) // 2)
            continue
        if len(answer) != len(part):
            raise ServerError(f"The server answered {len(answer)} of {len(part)} items.")
        done.append(answer)
    return list(chain.from_iterable(done))


def _halved(parts: list[list[Item]], *, most: int) -> list[list[Item]]:
    """Parts, last first, of at most so many items."""
    return [
        part[start : start + most]
        for part in parts
        for start in reversed(range(0, len(part), most))
    ]


def _parts(items: Sequence[Item]) -> Iterable[list[Item]]:
    part: list[Item] = []
    weight = 0
    for item in items:
        size = len(_json(item))
        if part and (len(part) == MOST_ITEMS or weight + size > MOST_BYTES):
            yield part
            part, weight = [], 0
        part.append(item)
        weight += size
    if part:
        yield part


# -- JSON


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise RequestRefused(f"This cannot be sent as JSON: {error}") from None


def _field(said: Any, name: str, kind: type[Result]) -> Result:
    value = said.get(name) if isinstance(said, dict) else None
    if not isinstance(value, kind):
        raise ServerError(
            f"The server's answer has no {name!r}: is it `reindex serve` of a release like this?"
        )
    return value


def _results(said: Any) -> Results:
    hits = tuple(
        Hit(item["id"], item["score"], item["payload"] or {}, point_id(item["id"]), item["version"])
        for item in _field(said, "hits", list)
    )
    return Results(
        hits, _field(said, "version", str), said["collection"], said["search_id"], said["side"]
    )


def _vector(text: str) -> Vector:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except (binascii.Error, ValueError) as error:
        raise ServerError(f"The server's answer holds no vectors: {error}") from None
