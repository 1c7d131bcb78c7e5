"""For whoever looks after the process: is it alive, does it serve, how does it do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from reindex.server.auth import needs, service_of

router = APIRouter(tags=["health"])


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers. Restart it where this does not."""
    return {"status": "alive"}


@router.get("/health/ready")
async def ready(request: Request) -> Any:
    """200 where a search would be answered now, by a pair that fits together; else 503 and why.

    ``degraded`` is ready: after a flip whose encoder cannot be loaded here the version before
    serves, with a reason for whoever looks after this.
    """
    service = service_of(request)
    found = await service.run_aside(service.condition)
    body = {"status": found.state, "version": found.version, "reason": found.reason}
    return JSONResponse(body, 200 if found.takes_requests else 503)


@router.get("/metrics", dependencies=[Depends(needs("read"))])
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' format."""
    service = service_of(request)
    return Response(await service.run_aside(service.metrics.text), media_type=CONTENT_TYPE_LATEST)
