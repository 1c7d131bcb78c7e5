"""The server's socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

pytest.importorskip("uvicorn")

from reindex.errors import ConfigError
from reindex.server.serving import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_answers_do_not_wait_for_late_acknowledgements(host: str) -> None:
    """asyncio sets TCP_NODELAY only where the socket names its protocol."""
    accepted = asyncio.get_running_loop().create_future()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        accepted.set_result(number)
        writer.close()

    try:
        with listening(host, 0) as one:
            async with await asyncio.start_server(note, sock=one):
                _, writer = await asyncio.open_connection(*one.getsockname()[:2])
                assert await accepted != 0
                writer.close()
    except ConfigError:
        assert host == "::1", "there must be an IPv4 loopback"
        pytest.skip("no IPv6 here")


def test_a_taken_port_is_named() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        refused = pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*--port")
        with refused, listening("127.0.0.1", port):
            pass
