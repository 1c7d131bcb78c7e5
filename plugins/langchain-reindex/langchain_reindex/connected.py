"""What embeddings and retriever have in common: a connection, opened when they are made."""

from __future__ import annotations

from typing import Any, Self

from langchain_core.utils import from_env, secret_from_env
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

import reindex
from reindex import Connection

URL_VARIABLE, KEY_VARIABLE = "REINDEX_URL", "REINDEX_API_KEY"
DEFAULT_URL = "http://localhost:8080"


class Connected(BaseModel):
    """Fields that say where reindex is.

    Attributes:
        target: the URL of a `reindex serve`, a project's folder or ``reindex.toml``, an open
            `reindex.Project` or a `reindex.Connection`. Unset: ``REINDEX_URL`` of the environment,
            else ``http://localhost:8080``.
        api_key: the server's key. Unset: ``REINDEX_API_KEY`` of the environment.
        timeout: seconds that the server gets for an answer.
    """

    target: Any = Field(default_factory=from_env(URL_VARIABLE, default=DEFAULT_URL))
    api_key: SecretStr | None = Field(default_factory=secret_from_env(KEY_VARIABLE, default=None))
    timeout: float = 30.0

    _connection: Connection = PrivateAttr()

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    @model_validator(mode="after")
    def _connect(self) -> Self:
        key = self.api_key.get_secret_value() if self.api_key else None
        self._connection = open_connection(self.target, key, self.timeout)
        return self

    @property
    def connection(self) -> Connection:
        """For whatever LangChain has no name for: feedback, status."""
        return self._connection


def open_connection(target: Any, key: str | None, timeout: float) -> Connection:
    """``target`` as a connection."""
    return reindex.connect(target, api_key=key, timeout=timeout)


def default_target() -> str:
    """Where reindex is when nobody says so."""
    return from_env(URL_VARIABLE, default=DEFAULT_URL)()
