"""From ``[qdrant]`` to a store over a connected client."""

from __future__ import annotations

import logging
import os
import platform
from functools import partial
from typing import TYPE_CHECKING

from reindex.errors import ConfigError
from reindex.stores.server import ServerStore

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from reindex.config import QdrantSettings

logger = logging.getLogger(__name__)


def connect(settings: QdrantSettings, api_key: str | None) -> ServerStore:
    """Connect as ``[qdrant]`` says; falls back to REST where the gRPC port does not answer.

    Raises:
        StoreTooOld: the server is older than 1.17.
        StoreError: the server does not answer.
    """
    from qdrant_client import QdrantClient

    def client(prefer_grpc: bool) -> QdrantClient:
        return QdrantClient(
            url=settings.url,
            api_key=api_key,
            timeout=settings.timeout,
            grpc_port=settings.grpc_port,
            prefer_grpc=prefer_grpc,
            check_compatibility=False,  # what we need is checked below, and refused, not warned of
        )

    if settings.prefer_grpc:
        over_grpc = client(True)
        try:
            over_grpc.info()
        except Exception:
            over_grpc.close()
            logger.warning("gRPC port %d does not answer; using REST.", settings.grpc_port)
        else:
            return _store(over_grpc, settings, api_key)
    return _store(client(False), settings, api_key)


def _store(client: QdrantClient, settings: QdrantSettings, api_key: str | None) -> ServerStore:
    return ServerStore(
        client,
        attempts=settings.attempts,
        ordering=settings.ordering,
        reopen=partial(_reopened, settings, with_key=bool(api_key)),
    )


def _reopened(settings: QdrantSettings, *, with_key: bool) -> ServerStore:
    """The same store in another process, whose own environment holds the key."""
    api_key = os.environ.get(settings.api_key_env) or None
    if with_key and api_key is None:
        raise ConfigError(
            f"{settings.api_key_env}, the environment variable that holds the server's API key, is "
            f"not set on {platform.node()}. Set it on every machine before `ray start`."
        )
    return connect(settings, api_key)
