"""The documents that are live: some by their ids, a page, how many."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from reindex.records import Document, PointId
from reindex.server.auth import needs, service_of
from reindex.server.bodies import Body
from reindex.server.errors import Problem
from reindex.stages.fetching import PAGE, count, fetch, find, page

_NUMBER = re.compile(r"[0-9]{1,20}")

router = APIRouter(tags=["documents"], dependencies=[Depends(needs("read"))])


class GetRequest(Body):
    """Documents by their own ids."""

    ids: Annotated[list[int | str], Field(min_length=1)]


class FindRequest(Body):
    """Which documents to look for: ``where`` as in a search."""

    where: Annotated[dict[str, Any], Field(min_length=1, examples=[{"lang": "en"}])]
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


class FoundIds(BaseModel):
    """Documents' own ids, in no order of meaning."""

    ids: list[int | str]


class Stored(BaseModel):
    """A document as it is stored. ``rev``: the write that made it; null: another client's."""

    id: int | str
    text: str = Field(description="What is embedded: within the payload, by the project's settings")
    payload: dict[str, Any]
    rev: int | None


class StoredAll(BaseModel):
    """Those that are there, in the order asked."""

    documents: list[Stored]


class StoredPage(StoredAll):
    """A page. ``following``: the next one's ``start``; null: this was the last."""

    following: int | str | None


class Counted(BaseModel):
    """How many documents are live."""

    count: int


@router.post("/v1/documents/get", response_model=StoredAll)
async def get_documents(asked: GetRequest, request: Request) -> Any:
    """Those of these documents that are live; no matter whether all are."""
    service = service_of(request)
    if len(asked.ids) > service.settings.max_texts:
        raise Problem(
            400, f"{len(asked.ids)} ids; {service.settings.max_texts} are the most "
            "(server.max_texts). Send several requests.", param="ids", code="too_many",
        )  # fmt: skip
    found = await service.run(fetch, service.project, asked.ids)
    return StoredAll(documents=_stored(found))


@router.post("/v1/documents/find", response_model=FoundIds)
async def find_documents(asked: FindRequest, request: Request) -> Any:
    """Which live documents fulfil a condition on the payload, for instance to delete them."""
    service = service_of(request)
    return FoundIds(ids=await service.run(find, service.project, asked.where, asked.limit))


@router.get("/v1/documents", response_model=StoredPage)
async def documents(
    request: Request, start: str | None = None, limit: Annotated[int, Query(ge=1)] = PAGE
) -> Any:
    """A page of the live documents, in the order of their points."""
    service = service_of(request)
    if limit > max(PAGE, service.settings.max_texts):
        raise Problem(
            400, f"limit = {limit}; {max(PAGE, service.settings.max_texts)} is the most.",
            param="limit",
        )  # fmt: skip
    found = await service.run(page, service.project, _point(start), limit)
    return StoredPage(documents=_stored(found.documents), following=found.following)


@router.get("/v1/documents/count", response_model=Counted)
async def count_documents(request: Request) -> Any:
    """How many documents are live."""
    service = service_of(request)
    return Counted(count=await service.run(count, service.project))


def _point(start: str | None) -> PointId | None:
    """A query's parameter is always text; of points' ids, digits alone are a number."""
    return int(start) if start is not None and _NUMBER.fullmatch(start) else start


def _stored(found: Any) -> list[Stored]:
    return [_one(document) for document in found]


def _one(document: Document) -> Stored:
    return Stored.model_construct(
        id=document.id, text=document.text, payload=document.payload, rev=document.rev
    )
