"""Running the application: uvicorn, the owner's place, and an orderly end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from reindex.config.server import ServerSettings
from reindex.errors import ConfigError
from reindex.owner.lanes import Lanes
from reindex.project import Project
from reindex.server.app import make_app
from reindex.server.hosts import KnownHost, allowed_names, is_here
from reindex.server.service import Service


class _Server(uvicorn.Server):
    """Says that it ends before it does, so that a balancer looks elsewhere."""

    service: Service

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM or Ctrl-C: not ready from now on; what runs is finished."""
        self.service.draining = True
        super().handle_exit(sig, frame)


def serve(project: Project, *, tell: Callable[[str], None]) -> None:
    """Serve the project until SIGTERM or Ctrl-C.

    The embedded store is owned meanwhile: other terminals' commands run in here.

    Raises:
        ConfigError: the address cannot be listened at.
        Conflict: another process owns the embedded store.
    """
    settings = project.settings.server
    with listening(settings.host, settings.port) as listener, _owning(project, tell) as lanes:
        app = make_app(project, lanes)
        service = app.state.service
        if (names := allowed_names(settings)) is not None:
            app.add_middleware(KnownHost, names=names)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=int(settings.drain_timeout) or 1,
        )  # fmt: skip
        server = _Server(config)
        server.service = service
        host, port = listener.getsockname()[:2]
        tell(f"Serving {project.settings.project.name!r} at http://{host}:{port} (docs: /docs)")
        if warning := exposed(settings):
            tell(warning)
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after the end
            server.run(sockets=[listener])


def exposed(settings: ServerSettings) -> str:
    """What whoever starts it ought to know of who can read; empty: nothing."""
    if is_here(settings.host) or not settings.open_reading:
        return ""
    return (
        f"Whoever reaches {settings.host} searches and reads without a key. To ask for one: "
        "server.open_reading = false."
    )


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; closed in the end.

    It names its protocol, for asyncio looks at that before it sets TCP_NODELAY on a connection: an
    answer goes out in two writes, and the second waited 40 ms for the other side's late ACK.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)  # who comes early waits instead of being refused
        except OSError as error:
            raise ConfigError(
                f"Nothing can listen at {host}:{port}: {error.strerror or error}. Another process "
                "may; choose another with --port, or set server.host and server.port."
            ) from error
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def _owning(project: Project, tell: Callable[[str], None]) -> Iterator[Lanes | None]:
    if project.settings.store.kind == "server":
        yield None
        return
    with project.own(log=tell) as owner:
        yield owner.lanes
