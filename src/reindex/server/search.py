"""``POST /v1/search``, several at once, and what became of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from reindex.retriever import Results
from reindex.server.auth import needs, service_of
from reindex.server.bodies import Body
from reindex.server.errors import Problem
from reindex.server.service import Service

router = APIRouter(tags=["search"], dependencies=[Depends(needs("search"))])

Where = dict[str, Any]


class How(Body):
    """What all searches of a request have in common."""

    k: Annotated[int, Field(ge=1)] = Field(10, description="Hits per query.")
    offset: Annotated[int, Field(ge=0)] = Field(0, description="Hits to skip, for later pages.")
    where: Where | None = Field(
        None,
        description="Conditions on the payload, all of which must hold: field -> value, list of "
        'values, {"gte": number} or {"empty": bool}; "$or" and "$and" -> list of conditions, '
        '"$not" -> a condition.',
    )
    exact: bool = Field(False, description="Scan everything instead of searching the graph.")
    version: str | None = Field(None, description="Search this version instead of what is live.")
    key: str | None = Field(
        None, description="Whom a canary treats the same every time: a user, a session."
    )
    payload: bool = Field(True, description="Send the documents' payloads along.")


class SearchRequest(How):
    """One query."""

    query: Annotated[str, Field(min_length=1)]


class BatchRequest(How):
    """Several queries, all answered by one version."""

    queries: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class FoundHit(BaseModel):
    """One hit. ``score`` is the cosine."""

    id: int | str
    score: float
    version: str
    payload: dict[str, Any] | None = None


class Found(BaseModel):
    """The hits of one query, best first, and the version that answered."""

    version: str
    collection: str
    side: Literal["live", "candidate", "interleaved"]
    search_id: str = Field(description="What feedback refers to; empty where nothing is recorded.")
    hits: list[FoundHit]


class FoundAll(BaseModel):
    """One answer per query, in their order."""

    results: list[Found]


class FeedbackRequest(Body):
    """What became of a search."""

    search_id: Annotated[str, Field(min_length=1)]
    clicked: list[int | str] = Field(default_factory=list)
    used: list[int | str] = Field(default_factory=list)
    grade: Annotated[float, Field(ge=0, le=1)] | None = None


@router.post("/v1/search", response_model=Found)
async def search(asked: SearchRequest, request: Request) -> Any:
    """Embed a query and search with it, by a pair that fits together."""
    service = service_of(request)
    _check(asked, service)
    return (await service.run(_search, service, [asked.query], asked))[0]


@router.post("/v1/search/batch", response_model=FoundAll)
async def search_batch(asked: BatchRequest, request: Request) -> Any:
    """Several queries at once, all answered by one version."""
    service = service_of(request)
    _check(asked, service)
    if len(asked.queries) > service.settings.max_texts:
        raise Problem(
            400, f"{len(asked.queries)} queries; {service.settings.max_texts} are the most "
            "(server.max_texts).", param="queries", code="too_many",
        )  # fmt: skip
    return FoundAll(results=await service.run(_search, service, asked.queries, asked))


@router.post("/v1/feedback", status_code=204)
async def feedback(asked: FeedbackRequest, request: Request) -> None:
    """What became of a search: clicked, used (say, in an answer), or graded by hand, 0 to 1."""
    service = service_of(request)
    await service.run(
        service.retriever().feedback, asked.search_id,
        clicked=asked.clicked, used=asked.used, grade=asked.grade,
    )  # fmt: skip


def _check(asked: How, service: Service) -> None:
    if asked.k + asked.offset > service.settings.max_k:
        raise Problem(
            400, f"k + offset = {asked.k + asked.offset}; {service.settings.max_k} is the most "
            "(server.max_k).", param="k",
        )  # fmt: skip


def _search(service: Service, queries: list[str], asked: How) -> list[Found]:
    retriever = service.retriever(asked.version)
    found: list[Results] = retriever.search_many(
        queries, asked.k, offset=asked.offset, where=asked.where, exact=asked.exact, key=asked.key
    )
    for item in found:
        service.metrics.answers.labels(item.version, item.side).inc()
        if not item.hits:
            service.metrics.empty.labels(item.version).inc()
    return [_found(item, payload=asked.payload) for item in found]


def _found(item: Results, *, payload: bool) -> Found:
    hits = [
        FoundHit.model_construct(
            id=hit.id, score=hit.score, version=hit.version,
            payload=dict(hit.payload) if payload else None,
        )
        for hit in item.hits
    ]  # fmt: skip
    return Found.model_construct(
        version=item.version, collection=item.collection, side=item.side,
        search_id=item.search_id, hits=hits,
    )  # fmt: skip
