"""A server of the Model Context Protocol: search and status as tools for agents; it only reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from reindex import __version__
from reindex.connection import Connection
from reindex.connection.layouts import text_and_metadata
from reindex.errors import ReindexError
from reindex.records import Hit
from reindex.retriever import Results

P = ParamSpec("P")
R = TypeVar("R")

INSTRUCTIONS = """Searches one collection of documents by meaning. Every answer names the version of
the embedding model that gave it; scores of two versions cannot be compared. `status` tells which
version is live, `comparisons` how a newer one did against it. Nothing here writes."""
MOST_HITS, MOST_CHARACTERS = 50, 20_000
_READING = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_SHOWN_OF_STATUS = ("project", "alias", "live_version", "live_collection", "collections",
                    "running", "canary", "differences")  # fmt: skip


def make_tools(connection: Connection) -> MCPServer[Any]:
    """The server over ``connection``, which stays the caller's; run it on stdio or over HTTP."""
    server: MCPServer[Any] = MCPServer(
        "reindex", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )

    @server.tool(annotations=_READING)
    @_told
    async def search(
        query: Annotated[str, Field(min_length=1, description="What to look for, in words.")],
        k: Annotated[int, Field(ge=1, le=MOST_HITS, description="How many documents.")] = 5,
        where: Annotated[
            dict[str, Any] | None,
            Field(
                description="Conditions on the payload, all of which must hold: field -> value, "
                'list of values (any of), {"gte": number} or {"empty": bool}; "$or" -> list of '
                'conditions, "$not" -> a condition. metadata.year is year in metadata.'
            ),
        ] = None,
        max_characters: Annotated[
            int, Field(ge=1, le=MOST_CHARACTERS, description="Of each text; more is cut off.")
        ] = 2000,
    ) -> dict[str, Any]:
        """Find the documents that are nearest in meaning, best first, by what is live."""
        return _answer(await connection.asearch(query, k, where=where), max_characters)

    @server.tool(annotations=_READING)
    @_told
    async def status() -> dict[str, Any]:
        """Which version answers searches, which are built, what runs, and what is not in order."""
        found = await connection.astatus()
        return {name: found.get(name) for name in _SHOWN_OF_STATUS}

    @server.tool(annotations=_READING)
    @_told
    async def comparisons(
        version: Annotated[str | None, Field(description="Only of this candidate.")] = None,
        limit: Annotated[int, Field(ge=1, le=20, description="How many, newest first.")] = 5,
    ) -> dict[str, Any]:
        """How candidates did against what was live, on the same judged queries, with verdicts."""
        found = await connection.acomparisons(version, limit)
        return {"comparisons": [_compared(item) for item in found]}

    return server


def _told(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Our errors are for the agent: they say what was expected. Others tell nothing."""

    @wraps(tool)
    async def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except ReindexError as error:
            raise ToolError(str(error)) from error

    return telling


def _answer(results: Results, most: int) -> dict[str, Any]:
    return {
        "version": results.version, "collection": results.collection,
        "search_id": results.search_id, "hits": [_hit(hit, most) for hit in results],
    }  # fmt: skip


def _hit(hit: Hit, most: int) -> dict[str, Any]:
    text, metadata = text_and_metadata(hit.payload)
    cut = {"cut_off": len(text) - most} if len(text) > most else {}
    return {
        "id": hit.id, "score": round(hit.score, 4), "text": text[:most], **cut,
        "metadata": metadata,
    }  # fmt: skip


def _compared(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict and the figures behind it; the whole is in `reindex report`."""
    result: Mapping[str, Any] = stored["result"]
    return {
        "candidate": stored["candidate"], "live": stored["live"], "at": stored["created_at"],
        "verdict": stored["verdict"], "reason": result.get("reason"),
        "queries": result.get("queries"),
        "metrics": [_metric(row) for row in result.get("metrics", [])],
    }  # fmt: skip


def _metric(row: Mapping[str, Any]) -> dict[str, Any]:
    difference: Mapping[str, Any] = row["difference"]
    named = ("mean_live", "mean_candidate", "relative", "low", "high")
    return {"name": row["name"], **{name: round(difference[name], 4) for name in named}}
