"""Requests to a Qdrant server: tried as often as it may help, waited for, errors translated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from reindex.errors import CollectionNotFound, StoreError, StoreRefused, StoreTooOld
from reindex.stores.retry import NotCompleted, Retry, is_missing, is_refusal

Result = TypeVar("Result")
OLDEST_SERVER = (1, 17)


class Connection:
    """Sends requests; ``on_failure`` is told the collection whose request failed.

    ``ordering`` is that of writes on the copies of a shard; None is the server's default.
    """

    def __init__(
        self, retry: Retry, on_failure: Callable[[str], None], ordering: str | None = None
    ) -> None:
        self._retry = retry
        self._on_failure = on_failure
        self._ordering = {} if ordering is None else {"ordering": _ordering(ordering)}

    def read(self, name: str | None, request: Callable[[], Result]) -> Result:
        """The answer to ``request``, which concerns the collection ``name`` (None: none).

        Raises:
            CollectionNotFound: the server says so.
            StoreRefused: the request itself is at fault.
            StoreError: anything else that is still wrong after the last try.
        """
        where = f"collection {name!r}" if name else "the Qdrant server"
        try:
            return self._retry(request)
        except Exception as error:
            if name is not None:
                self._on_failure(name)
            if name is not None and is_missing(error):
                raise CollectionNotFound(f"{where} is not on the server (any more).") from error
            kind = StoreRefused if is_refusal(error) else StoreError
            raise kind(f"{where}: {type(error).__name__}: {error}") from error

    def write(self, name: str, request: Callable[..., Any]) -> None:
        """Send a write and wait for it; an answer other than `completed` is a failure."""

        def confirmed() -> None:
            answer = request(wait=True, **self._ordering)
            for result in answer if isinstance(answer, list) else [answer]:
                if result.status.value != "completed":
                    raise NotCompleted(f"the server answered {result.status.value!r}")

        self.read(name, confirmed)


def _ordering(name: str) -> Any:
    from qdrant_client import models

    return models.WriteOrdering(name)  # gRPC takes the enumeration only


def version_of(version: str) -> tuple[int, ...]:
    """Major and minor."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version)[:2])


def check_version(version: str) -> None:
    """Raise StoreTooOld where the server cannot write conditionally."""
    if version_of(version) < OLDEST_SERVER:
        raise StoreTooOld(
            f"the Qdrant server is {version}; expected 1.17 or newer. Older ones silently ignore "
            "the conditions of insert-only and update-only writes. Upgrade the server."
        )
