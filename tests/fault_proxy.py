"""A proxy between a client and a server that breaks what goes through it, as networks do.

It speaks just enough HTTP/1.1 to tell requests apart, and forwards their bytes as they came. What
befalls a request is decided by `Rules` (the nth request of a kind), by `Dice` (at random, seeded)
or by both. Everything that came is in `FaultProxy.log` with its time.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
POLL_S = 0.02


class Gone(Exception):
    """One of the two sides hung up."""


@dataclass(frozen=True)
class Call:
    """A request as it came: when (`time.monotonic`), what, and what befell it ("" = nothing)."""

    at: float
    method: str
    path: str
    fault: str

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class Wire:
    """One side of a connection: messages, read whole."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = connection.makefile("rb")

    def message(self) -> tuple[str, bytes]:
        """The first line, and the whole message as it came. Raises Gone at the end."""
        try:
            head = bytearray(self._file.readline())
            first, length = head.decode("latin-1").strip(), 0
            while (line := self._file.readline()) not in (b"\r\n", b""):
                head += line
                name, _, value = line.decode("latin-1").partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            body = self._file.read(length)
        except OSError as error:
            raise Gone from error
        if not first or line == b"" or len(body) < length:
            raise Gone
        return first, bytes(head) + b"\r\n" + body

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone from error

    def hung_up(self) -> bool:
        """Whether the other end is gone, as far as one can tell without waiting."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.setblocking(True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self.socket.close()


@dataclass
class Exchange:
    """One request on its way: the client's side, the server's side (opened when needed)."""

    client: Wire
    request: bytes
    connect: Callable[[], Wire]
    stopped: threading.Event

    def forward(self) -> bytes:
        """Send the request on; the server's whole answer."""
        server = self.connect()
        server.send(self.request)
        return server.message()[1]

    def wait_for_hang_up(self) -> None:
        while not self.stopped.wait(POLL_S) and not self.client.hung_up():
            pass


Fault = Callable[[Exchange], None]
"""Does with a request whatever it does; the connection ends where it raises Gone."""


def drop(exchange: Exchange) -> None:
    """The connection breaks before the server sees the request."""
    raise Gone


def lose_answer(exchange: Exchange) -> None:
    """The server does it, but the connection breaks before it answers."""
    exchange.forward()
    raise Gone


def cut_request(exchange: Exchange) -> None:
    """The connection breaks in the middle of the request, on both sides."""
    exchange.connect().send(exchange.request[: len(exchange.request) * 2 // 3])
    raise Gone


def cut_answer(exchange: Exchange) -> None:
    """The server does it, and the connection breaks in the middle of its answer."""
    answer = exchange.forward()
    exchange.client.send(answer[: len(answer) * 2 // 3])
    raise Gone


def fail_after(exchange: Exchange) -> None:
    """The server does it, and something on the way back answers 500 instead."""
    exchange.forward()
    exchange.client.send(_answer(500, "Internal Server Error"))


def hang(exchange: Exchange) -> None:
    """Nobody ever answers; the server never sees the request. Until the client hangs up."""
    exchange.wait_for_hang_up()
    raise Gone


def hang_after(exchange: Exchange) -> None:
    """The server does it at once, but its answer never comes."""
    exchange.forward()
    exchange.wait_for_hang_up()
    raise Gone


def late(exchange: Exchange) -> None:
    """The client gives up waiting, and only then does the server get the request and do it."""
    exchange.wait_for_hang_up()
    if not exchange.stopped.is_set():
        exchange.forward()
    raise Gone


def twice(exchange: Exchange) -> None:
    """Something on the way sends the request two times."""
    exchange.forward()
    exchange.client.send(exchange.forward())


def delay(seconds: float) -> Fault:
    """The request waits on the way."""

    def delayed(exchange: Exchange) -> None:
        exchange.stopped.wait(seconds)
        exchange.client.send(exchange.forward())

    delayed.__name__ = "delay"
    return delayed


def status(code: int, reason: str = "", **headers: str) -> Fault:
    """An answer of ``code`` instead of the server's, which never sees the request."""

    def answered(exchange: Exchange) -> None:
        exchange.client.send(_answer(code, reason or str(code), **headers))

    answered.__name__ = f"status {code}"
    return answered


def limited(retry_after: str) -> Fault:
    """429 with a wish when to come again: seconds, or a date."""
    return status(429, "Too Many Requests", **{"Retry-After": retry_after})


def _answer(code: int, reason: str, **headers: str) -> bytes:
    body = json.dumps({"status": {"error": reason}, "time": 0.0}).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {code} {reason}", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


EVERY = range(1, 2**31)
"""All requests of a kind."""


class Plan:
    """Decides what befalls a request: nothing."""

    def fault_of(self, line: str) -> Fault | None:
        return None


@dataclass
class Rules(Plan):
    """Faults for chosen requests: ("METHOD /path" as a pattern, which ones (1 = first), fault)."""

    rules: Sequence[tuple[str, Sequence[int], Fault]]
    seen: Counter[int] = field(default_factory=Counter)

    def fault_of(self, line: str) -> Fault | None:
        chosen = None
        for number, (pattern, which, fault) in enumerate(self.rules):
            if re.fullmatch(pattern, line):
                self.seen[number] += 1
                if self.seen[number] in which:
                    chosen = chosen or fault
        return chosen


@dataclass
class Dice(Plan):
    """Faults at random, but never more than ``in_a_row`` for requests of one kind."""

    faults: Sequence[Fault]
    share: float
    seed: int
    in_a_row: int = 3
    row: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def fault_of(self, line: str) -> Fault | None:
        if self.row[line] >= self.in_a_row or self._random.random() >= self.share:
            self.row[line] = 0
            return None
        self.row[line] += 1
        return self._random.choice(self.faults)


class FaultProxy:
    """Listens on ``url`` and forwards to ``upstream``, a port of this host, which may change."""

    def __init__(self, upstream: int, plan: Plan | None = None) -> None:
        self.upstream, self.plan = upstream, plan or Plan()
        self.log: list[Call] = []
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._open: set[Wire] = set()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._listener.getsockname()[1]}"

    def calls(self, pattern: str = ".*", *, faulty: bool = False) -> list[Call]:
        """What came, in order: all, or only what a fault befell."""
        with self._lock:
            return [
                call
                for call in self.log
                if re.fullmatch(pattern, call.line) and (call.fault or not faulty)
            ]

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still = list(self._open)
        for wire in still:
            with contextlib.suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[..., None], *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._wire(connection) as client, contextlib.ExitStack() as stack:
            servers: list[Wire] = []

            def connect() -> Wire:
                if not servers:
                    servers.append(stack.enter_context(self._wire(self._upstream())))
                return servers[0]

            with contextlib.suppress(Gone):
                while not self._stopped.is_set():
                    self._pass_on(client, connect)

    def _pass_on(self, client: Wire, connect: Callable[[], Wire]) -> None:
        first, request = client.message()
        method, target, _ = first.split(" ")
        path = target.partition("?")[0]
        with self._lock:
            fault = self.plan.fault_of(f"{method} {path}")
            name = getattr(fault, "__name__", "")
            self.log.append(Call(time.monotonic(), method, path, name))
        exchange = Exchange(client, request, connect, self._stopped)
        if fault is None:
            client.send(exchange.forward())
        else:
            fault(exchange)

    def _upstream(self) -> socket.socket:
        try:
            return socket.create_connection((HOST, self.upstream))
        except OSError as error:
            raise Gone from error

    @contextlib.contextmanager
    def _wire(self, connection: socket.socket) -> Iterator[Wire]:
        wire = Wire(connection)
        with self._lock:
            self._open.add(wire)
        try:
            yield wire
        finally:
            with self._lock:
                self._open.discard(wire)
            wire.close()
