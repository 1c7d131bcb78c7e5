"""The application: routes, errors, limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from reindex import __version__
from reindex.owner.lanes import Lanes
from reindex.project import Project
from reindex.server import (
    dashboard,
    documents,
    embeddings,
    errors,
    health,
    jobs,
    models,
    operations,
    reading,
    search,
)
from reindex.server.describe import describe
from reindex.server.middleware import LimitBody, Observe
from reindex.server.service import Service

ABOUT = """Versioned retrieval: every answer names the version that gave it, and a query is never
embedded by one version and searched in another's collection. Keys: `Authorization: Bearer <key>`.
"""


PARTS = (search, embeddings, models, documents, reading, operations, jobs, health, dashboard)


def make_app(project: Project, lanes: Lanes | None = None) -> FastAPI:
    """The application of one project. It loads what is live when it starts.

    The project stays the caller's: it is to be open as long as the application serves. ``lanes``:
    those of the `Owner`, where this process is one, so that jobs from here and from terminals
    take turns.
    """
    service = Service(project, lanes)
    service.metrics.follow(project, service.probe)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.run_aside(service.condition)  # so that the first request does not wait
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="reindex", version=__version__, description=ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # its pages load their viewer from a CDN
    )  # fmt: skip
    app.state.service = service
    errors.install(app)
    routers = [part.router for part in PARTS]
    for router in routers:
        app.include_router(router)
    describe(app, routers, open_reading=service.settings.open_reading)
    limits = service.settings
    app.add_middleware(
        LimitBody, most=int(limits.max_body_mb * 1e6), seconds=limits.request_timeout
    )
    app.add_middleware(Observe, service=service)
    return app
