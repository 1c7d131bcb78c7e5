"""A connection to reindex that a pipeline's YAML can describe."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from haystack.utils import Secret, deserialize_secrets_inplace
from haystack.utils.auth import TokenSecret

import reindex
from reindex.connection import Connection

API_KEY = "REINDEX_API_KEY"
"""The environment variable that holds the key, unless a component is told another."""


class Link:
    """Opens its connection when it is first used, and again after it was closed. Thread-safe."""

    def __init__(self, target: str | Path, api_key: Secret | None, timeout: float) -> None:
        """As `reindex.connect`, but the key is a `Secret`, and an open project cannot be given.

        Raises:
            TypeError: a target or a key that could not be written into a pipeline's YAML.
            ValueError: a URL that holds a password.
        """
        self.target, self.api_key, self.timeout = _checked(target), api_key, timeout
        if api_key is not None and not isinstance(api_key, Secret):
            raise TypeError(
                f"Expected api_key as a haystack Secret, got {type(api_key).__name__}. Use "
                f'Secret.from_env_var("{API_KEY}"), or Secret.from_token(…) while trying out.'
            )
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @property
    def connection(self) -> Connection:
        """The open connection."""
        with self._lock:
            if self._connection is None:
                key = self.api_key.resolve_value() if self.api_key is not None else None
                self._connection = reindex.connect(self.target, api_key=key, timeout=self.timeout)
            return self._connection

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def close_async(self) -> None:
        """Hang up, from asyncio."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    def as_dict(self) -> dict[str, Any]:
        """Its part of a component's ``init_parameters``; the key's variable, never the key."""
        if isinstance(self.api_key, TokenSecret):
            raise ValueError(
                "The API key was given as a token, which is never written into a pipeline. Put it "
                f'into the environment and give api_key=Secret.from_env_var("{API_KEY}").'
            )
        key = self.api_key.to_dict() if self.api_key is not None else None
        return {"target": self.target, "api_key": key, "timeout": self.timeout}


def with_key(data: Mapping[str, Any]) -> dict[str, Any]:
    """A component's dictionary, as `Link.as_dict` made it, with its key as a `Secret` again."""
    parameters = dict(data.get("init_parameters", {}))
    if isinstance(parameters.get("api_key"), Mapping):
        deserialize_secrets_inplace(parameters, keys=["api_key"])
    return {**data, "init_parameters": parameters}


def _checked(target: object) -> str:
    if not isinstance(target, str | Path):
        raise TypeError(
            "Expected the URL of a reindex server, or the folder or reindex.toml of a project, "
            f"got {type(target).__name__}."
        )
    text = str(target)
    if "://" in text and urlsplit(text).password is not None:
        raise ValueError(
            "The URL holds a password, which would be written into every pipeline's YAML. Give "
            f'the key as api_key=Secret.from_env_var("{API_KEY}").'
        )
    return text
