"""A connection to `reindex serve`."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NoReturn

import httpx
import tenacity

from reindex import __version__
from reindex.connection import conversation
from reindex.connection.base import Connection, Embedded, Kind
from reindex.connection.conversation import Ask, Result, Talk
from reindex.connection.errors import error_of, may_pass, shown, unreachable
from reindex.errors import ConfigError, ReindexError, ServerError
from reindex.pages import DocumentPage
from reindex.records import Condition, Document, PointId
from reindex.retriever import Results
from reindex.writes import Ack, Given

KEY_VARIABLE = "REINDEX_API_KEY"
ATTEMPTS = 4
LONGEST_WAIT_S = 10.0


class HttpConnection(Connection):
    """Asks a server; see `reindex.connect`.

    A request whose connection broke, or for which the server had no room, is sent again: reads,
    and writes under the same Idempotency-Key. One that was sent and timed out is not.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 30.0) -> None:
        self._url, self._timeout = _base(url), timeout
        self._key = key = api_key or os.environ.get(KEY_VARIABLE)
        headers = {"User-Agent": f"reindex/{__version__}"}
        self._how: dict[str, Any] = {
            "base_url": self._url, "timeout": timeout,
            "headers": {**headers, "Authorization": f"Bearer {key}"} if key else headers,
        }  # fmt: skip
        self._client = httpx.Client(**self._how)
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"HttpConnection({self.target!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(HttpConnection, api_key=self._key, timeout=self._timeout), (str(self._url),)

    @property
    def target(self) -> str:
        """As `Connection.target`."""
        return shown(self._url)

    # -- asked here

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """As `Connection.search_many`."""
        return self._talk(conversation.search_many(queries, k, where, key))

    def embed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """As `Connection.embed`."""
        return self._talk(conversation.embed(texts, kind, model, dimensions))

    def find(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """As `Connection.find`."""
        return self._talk(conversation.find(where, limit))

    def upsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """As `Connection.upsert`."""
        return self._talk(conversation.upsert(documents))

    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """As `Connection.delete`."""
        return self._talk(conversation.delete(ids))

    def fetch(self, ids: Iterable[int | str]) -> list[Document]:
        """As `Connection.fetch`."""
        return self._talk(conversation.fetch(ids))

    def page(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """As `Connection.page`."""
        return self._talk(conversation.page(start, limit))

    def count(self) -> int:
        """As `Connection.count`."""
        return self._talk(conversation.count())

    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """As `Connection.feedback`."""
        self._talk(conversation.feedback(search, clicked, used, grade))

    def status(self) -> dict[str, Any]:
        """As `Connection.status`."""
        return self._talk(conversation.status())

    def comparisons(self, version: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
        """As `Connection.comparisons`."""
        return self._talk(conversation.comparisons(version, limit))

    def close(self) -> None:
        """Hang up what was asked here; `aclose` does it for asyncio."""
        self._client.close()

    # -- the same for asyncio

    async def asearch_many(
        self, queries: Sequence[str], k: int = 10, *, where: Condition | None = None,
        key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """As `search_many`."""
        return await self._atalk(conversation.search_many(queries, k, where, key))

    async def aembed(
        self, texts: Sequence[str], *, kind: Kind, model: str | None = None,
        dimensions: int | None = None,
    ) -> Embedded:  # fmt: skip
        """As `embed`."""
        return await self._atalk(conversation.embed(texts, kind, model, dimensions))

    async def afind(self, where: Condition, limit: int = 1000) -> list[int | str]:
        """As `find`."""
        return await self._atalk(conversation.find(where, limit))

    async def aupsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """As `upsert`."""
        return await self._atalk(conversation.upsert(documents))

    async def adelete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """As `delete`."""
        return await self._atalk(conversation.delete(ids))

    async def afetch(self, ids: Iterable[int | str]) -> list[Document]:
        """As `fetch`."""
        return await self._atalk(conversation.fetch(ids))

    async def apage(self, start: PointId | None = None, limit: int = 500) -> DocumentPage:
        """As `page`."""
        return await self._atalk(conversation.page(start, limit))

    async def acount(self) -> int:
        """As `count`."""
        return await self._atalk(conversation.count())

    async def afeedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """As `feedback`."""
        await self._atalk(conversation.feedback(search, clicked, used, grade))

    async def astatus(self) -> dict[str, Any]:
        """As `status`."""
        return await self._atalk(conversation.status())

    async def acomparisons(
        self, version: str | None = None, limit: int = 20
    ) -> list[dict[str, Any]]:
        """As `comparisons`."""
        return await self._atalk(conversation.comparisons(version, limit))

    async def aclose(self) -> None:
        """Hang up, here and in this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    # -- how it is asked

    def _talk(self, talk: Talk[Result]) -> Result:
        try:
            ask = next(talk)
            while True:
                try:
                    said = self._answer(ask)
                except ReindexError as error:
                    ask = talk.throw(error)
                else:
                    ask = talk.send(said)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _atalk(self, talk: Talk[Result]) -> Result:
        try:
            ask = next(talk)
            while True:
                try:
                    said = await self._aanswer(ask)
                except ReindexError as error:
                    ask = talk.throw(error)
                else:
                    ask = talk.send(said)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _answer(self, ask: Ask) -> Any:
        try:
            retrying = tenacity.Retrying(**_retrying(ask))
            return _said(retrying(self._client.request, ask.method, ask.path, **_sent(ask)))
        except httpx.TransportError as error:
            self._lost(error)

    async def _aanswer(self, ask: Ask) -> Any:
        client = self._asynchronous()
        try:
            retrying = tenacity.AsyncRetrying(**_retrying(ask))
            return _said(await retrying(client.request, ask.method, ask.path, **_sent(ask)))
        except httpx.TransportError as error:
            self._lost(error)

    def _asynchronous(self) -> httpx.AsyncClient:
        """A client per event loop: its connections belong to the loop that opened them."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            for ended in [other for other in self._clients if other.is_closed()]:
                self._clients.pop(ended, None)  # its client refers to it, so it would stay for ever
            self._clients[loop] = httpx.AsyncClient(**self._how)
        return self._clients[loop]

    def _lost(self, error: httpx.TransportError) -> NoReturn:
        raise unreachable(error, self._url, self._timeout) from error


def _base(url: str) -> httpx.URL:
    """The server's address; OpenAI's form of it, which ends with ``/v1``, is understood."""
    try:
        base = httpx.URL(url.rstrip("/").removesuffix("/v1"))
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigError(f"{url!r} is no URL: {error}") from None
    if base.scheme not in ("http", "https") or not base.host:
        raise ConfigError(f"Expected a URL like http://localhost:8080, got {url!r}.")
    return base


def _sent(ask: Ask) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} if ask.content is not None else {}
    if ask.idempotency_key:
        headers["Idempotency-Key"] = ask.idempotency_key
    return {"content": ask.content, "headers": headers}


def _said(answer: httpx.Response) -> Any:
    if not answer.is_success:
        raise error_of(answer)
    if answer.status_code == 204:
        return None
    try:
        return answer.json()
    except ValueError as error:
        raise ServerError(
            f"{shown(answer.request.url)} answered something that is not JSON: {error}. "
            "Is this the address of `reindex serve`?"
        ) from None


_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def _retrying(ask: Ask) -> dict[str, Any]:
    lost = (*_NOT_SENT, httpx.NetworkError, httpx.RemoteProtocolError)
    return {
        "stop": tenacity.stop_after_attempt(ATTEMPTS),
        "retry": tenacity.retry_if_exception_type(lost if ask.repeatable else _NOT_SENT)
        | tenacity.retry_if_result(may_pass),
        "wait": _wait, "reraise": True,
        "retry_error_callback": lambda state: state.outcome.result(),
    }  # fmt: skip


_jitter = tenacity.wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT_S)


def _wait(state: tenacity.RetryCallState) -> float:
    """What the server wishes (``Retry-After``), at most; else longer each time, by chance."""
    seconds = _jitter(state)
    if state.outcome is not None and not state.outcome.failed:
        wished = state.outcome.result().headers.get("retry-after", "")
        if wished.isdecimal():
            return min(float(wished), LONGEST_WAIT_S)
    return seconds
