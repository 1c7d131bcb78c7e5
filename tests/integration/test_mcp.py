"""`reindex mcp` as agents' programs start it: a process that speaks over stdio, or over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

import reindex
from reindex.server.app import make_app
from reindex.stages.building import build
from reindex.tools import make_tools
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.help_centre import HelpProject
from tests.http_fixtures import listening
from tests.owner_fixtures import PATIENCE, ROOT

TEXTS = [f"text number {n}" for n in range(20)] + ["long " * 1000]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed project: v1 is live, v2 is built."""
    folder = tmp_path_factory.mktemp("mcp")
    write_documents(folder, TEXTS)
    with hash_project(folder) as project:
        for version in ("v1", "v2"):
            build(project, version)
        project.promote("v1")
    return folder


def command(folder: Path, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=["-m", "tests.hash_cli", "-c", str(folder), "mcp", *arguments],
        cwd=ROOT, env=dict(os.environ),
    )  # fmt: skip


async def asked(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    done = await client.call_tool(tool, arguments)
    assert not done.is_error, done.content
    found: dict[str, Any] = done.structured_content
    return found


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    done = await client.call_tool(tool, arguments)
    assert done.is_error
    return str(getattr(done.content[0], "text", ""))


async def check_tools(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"search", "status", "comparisons"}
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
    found = await asked(client, "search", query=TEXTS[3], k=2)
    assert (found["version"], found["collection"], len(found["hits"])) == ("v1", "docs--v1", 2)
    hit = found["hits"][0]
    assert (hit["id"], hit["text"], hit["score"]) == ("d3", TEXTS[3], 1.0)
    [hit] = (await asked(client, "search", query="a", where={"_id": "d4"}))["hits"]
    assert hit["id"] == "d4"
    [hit] = (await asked(client, "search", query="a", where={"_id": "d20"}))["hits"]
    assert (len(hit["text"]), hit["cut_off"]) == (2000, len(TEXTS[20]) - 2000)
    assert "beyond" in await refused(client, "search", query="a", where={"n": {"beyond": 1}})
    assert "k" in await refused(client, "search", query="a", k=1000)
    status = await asked(client, "status")
    assert status["live_version"] == "v1"
    roles = {item["version"]: item["role"] for item in status["collections"]}
    assert (set(roles), roles["v1"]) == ({"v1", "v2"}, "live")
    assert await asked(client, "comparisons") == {"comparisons": []}
    assert "v9" in await refused(client, "comparisons", version="v9")


async def test_over_stdio_with_the_project_here(folder: Path) -> None:
    async with Client(command(folder)) as client:
        await check_tools(client)
        # it owns the store meanwhile, so that others' commands run in there
        with HashWorkspace.open(folder) as other:
            assert other.other_owner() is not None
            assert other.retriever().search(TEXTS[5], 1)[0].id == "d5"
    with HashWorkspace.open(folder) as other:
        assert other.other_owner() is None


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[HashWorkspace, str]]:
    with HashWorkspace.open(folder) as project, listening(make_app(project)) as url:
        yield project, url


async def test_over_stdio_with_a_server(served: tuple[HashWorkspace, str], tmp_path: Path) -> None:
    """Where no project is: the URL says it all. A flip is seen by the next search."""
    project, url = served
    async with Client(command(tmp_path, "--url", url)) as client:
        await check_tools(client)
        project.promote("v2", force=True, reason="a test")
        found = await asked(client, "search", query=TEXTS[3], k=1)
        while found["version"] == "v1":  # until the new encoder is loaded
            found = await asked(client, "search", query=TEXTS[3], k=1)
        assert (found["version"], found["hits"][0]["id"]) == ("v2", "d3")
        project.promote("v1", force=True, reason="a test")


@pytest.mark.slow
async def test_a_server_that_is_away_is_told(folder: Path) -> None:
    async with Client(command(folder, "--url", "http://127.0.0.1:9")) as client:
        assert "reindex serve" in await refused(client, "search", query="a")


async def test_what_a_comparison_said(help_centre: Path) -> None:
    """By its figures, without a process: the tools over a connection, asked in this one."""
    with HelpProject.open(help_centre) as project, reindex.connect(project) as connection:
        async with Client(make_tools(connection)) as client:
            [found] = (await asked(client, "comparisons", version="v2"))["comparisons"]
        [stored] = connection.comparisons()
    assert (found["candidate"], found["live"]) == ("v2", "v1")
    assert (found["verdict"], found["queries"]) == (stored["verdict"], stored["result"]["queries"])
    assert found["reason"]
    ndcg = next(row for row in found["metrics"] if row["name"] == "ndcg@10")
    assert ndcg["low"] <= ndcg["relative"] <= ndcg["high"]
    assert ndcg["mean_candidate"] > ndcg["mean_live"]


def test_stdout_is_the_protocol_s_alone(folder: Path) -> None:
    """Whatever is logged or printed, an agent's program reads one JSON message a line."""
    begun = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "clientInfo": {"name": "test", "version": "1"}},
    }  # fmt: skip
    asked = {
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "search", "arguments": {"query": TEXTS[1], "k": 1}},
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), "mcp"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    lines = []
    for message in (begun, {"jsonrpc": "2.0", "method": "notifications/initialized"}, asked):
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        if "id" in message:
            lines.append(process.stdout.readline())
    rest, told = process.communicate(timeout=PATIENCE)
    assert [json.loads(line)["id"] for line in lines] == [1, 2]
    assert (process.returncode, rest) == (0, ""), told


@pytest.mark.slow
def test_it_ends_in_order_when_it_is_told_to(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), "mcp"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with HashWorkspace.open(folder) as project:
        while project.other_owner() is None:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert project.other_owner() is None
        assert project.retriever().search(TEXTS[5], 1)[0].id == "d5"


@pytest.mark.slow
async def test_over_http(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), "mcp", "--http", "--port",
         str(port)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        while not _answers(port):
            assert process.poll() is None
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            await check_tools(client)
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=PATIENCE)
    assert told == ""


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
