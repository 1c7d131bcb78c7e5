"""``GET /v1/models`` as OpenAI has it: what ``model`` of an embeddings request can be."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from reindex.errors import UnknownVersion
from reindex.project import Project
from reindex.registry.ledger import Version
from reindex.server.auth import needs, service_of

router = APIRouter(tags=["embeddings"], dependencies=[Depends(needs("search"))])


class Model(BaseModel):
    """The alias (what is live), or a version."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: str = Field("reindex", description="Of the alias: the version that is live.")


class Models(BaseModel):
    """OpenAI's list."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/v1/models", response_model=Models)
async def models(request: Request) -> Any:
    """What texts can be embedded with: the alias, if something is live, and exported versions."""
    service = service_of(request)
    return Models(data=await service.run(_models, service.project))


@router.get("/v1/models/{name}", response_model=Model)
async def model(name: str, request: Request) -> Any:
    """One of them."""
    service = service_of(request)
    found = await service.run(_models, service.project)
    for item in found:
        if item.id == name:
            return item
    known = ", ".join(item.id for item in found) or "none"
    raise UnknownVersion(f"There is no model {name!r}. Models: {known}.")


def _models(project: Project) -> list[Model]:
    live = project.live_version()
    alias = [] if live is None else [_model(live, project.settings.alias, live.name)]
    exported = [version for version in project.registry.versions() if version.artifact]
    return [*alias, *(_model(version, version.name) for version in exported)]


def _model(version: Version, name: str, owner: str = "reindex") -> Model:
    created = int(datetime.fromisoformat(version.created_at).timestamp())
    return Model(id=name, created=created, owned_by=owner)
