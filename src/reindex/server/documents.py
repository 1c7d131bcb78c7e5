"""Single writes: documents in and out, through the `Indexer`."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from reindex.indexing.writes import Ack, Write
from reindex.server.auth import needs, service_of
from reindex.server.bodies import Body
from reindex.server.errors import Problem
from reindex.server.service import Service
from reindex.stages.writing import write

router = APIRouter(tags=["documents"], dependencies=[Depends(needs("write"))])


class Given(Body):
    """A document. Without ``text`` it is the one that the payload holds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "d1", "text": "…"}]})

    id: int | str
    text: str | None = None
    payload: dict[str, Any] = Field(default_factory=dict)


class UpsertRequest(Body):
    """Documents to insert, or to overwrite where the id is there."""

    documents: Annotated[list[Given], Field(min_length=1)]


class DeleteRequest(Body):
    """Documents to delete, by their own ids; no matter whether they are there."""

    ids: Annotated[list[int | str], Field(min_length=1)]


class Acknowledged(BaseModel):
    """A write that is never lost from now on. ``pending``: collections that get it later."""

    id: int | str
    rev: int
    collection: str
    pending: list[str]


class AllAcknowledged(BaseModel):
    """One per write, in their order."""

    acknowledged: list[Acknowledged]


@router.post("/v1/documents", response_model=AllAcknowledged)
async def upsert(asked: UpsertRequest, request: Request) -> Any:
    """Write documents to what is live and to every other collection that is written to.

    Answered once they are in the journal and in the live collection.
    """
    service = service_of(request)
    _check(len(asked.documents), service)
    writes = [Write(item.id, item.text, item.payload) for item in asked.documents]
    return await _write(service, request, "upsert", writes)


@router.post("/v1/documents/delete", response_model=AllAcknowledged)
async def delete(asked: DeleteRequest, request: Request) -> Any:
    """Delete documents, as `upsert` writes them."""
    service = service_of(request)
    _check(len(asked.ids), service)
    return await _write(service, request, "delete", [Write(id) for id in asked.ids])


@router.delete("/v1/documents/{id:path}", response_model=AllAcknowledged)
async def delete_one(id: str, request: Request) -> Any:
    """Delete one document whose id is a text."""
    return await _write(service_of(request), request, "delete", [Write(id)])


async def _write(
    service: Service, request: Request, kind: str, writes: list[Write]
) -> AllAcknowledged:
    """A request that comes again under its ``Idempotency-Key`` is not written again."""
    given = request.headers.get("idempotency-key")
    key = f"http/{request.state.asker}/{given}" if given else uuid.uuid4().hex
    acks = await service.run(write, service.project, writes, key)
    service.metrics.written.labels(kind).inc(len(acks))
    return _all(acks)


def _check(count: int, service: Service) -> None:
    if count > service.settings.max_texts:
        raise Problem(
            400, f"{count} documents; {service.settings.max_texts} are the most "
            "(server.max_texts). Send several requests.", code="too_many",
        )  # fmt: skip


def _all(acks: list[Ack]) -> AllAcknowledged:
    return AllAcknowledged(
        acknowledged=[
            Acknowledged(
                id=ack.id, rev=ack.rev, collection=ack.collection, pending=list(ack.pending)
            )
            for ack in acks
        ]
    )
