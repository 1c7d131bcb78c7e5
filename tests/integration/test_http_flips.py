"""Searching over HTTP while the alias flips a hundred times: nothing fails, nothing is mixed."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reindex.server.app import make_app
from reindex.stages.building import build
from tests.hash_project import hash_project, write_documents
from tests.http_fixtures import listening

FLIPS, CLIENTS = 100, 4
TEXTS = [f"text number {n}" for n in range(200)]


class Client(threading.Thread):
    """Searches for documents by their own texts, again and again, and keeps what was wrong."""

    def __init__(self, url: str, start: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._place, self._number, self._stop_asking = urlsplit(url), start, stop
        self.answers = 0
        self.versions: set[str] = set()
        self.wrong: list[str] = []

    def run(self) -> None:
        assert self._place.hostname is not None
        connection = http.client.HTTPConnection(self._place.hostname, self._place.port, timeout=60)
        while not self._stop_asking.is_set():
            self._number = (self._number + 7) % len(TEXTS)
            body = json.dumps({"query": TEXTS[self._number], "k": 1})
            connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self._check(answer.status, answer.read())
        connection.close()

    def _check(self, status: int, content: bytes) -> None:
        """A query of one space meets its own text in another's collection as a stranger."""
        found = json.loads(content)
        self.answers += 1
        if status != 200:
            self.wrong.append(f"{status}: {found}")
            return
        [hit] = found["hits"]
        self.versions.add(found["version"])
        same = found["version"] == hit["version"] == found["collection"].split("--")[1]
        if hit["id"] != f"d{self._number}" or hit["score"] < 0.999 or not same:
            self.wrong.append(str(found))


@pytest.mark.slow
def test_a_hundred_flips_under_load(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    stop = threading.Event()
    with hash_project(tmp_path) as project:
        for version in ("v1", "v2"):
            build(project, version)
        project.promote("v1")
        with listening(make_app(project)) as url:
            clients = [Client(url, 31 * n, stop) for n in range(CLIENTS)]
            for client in clients:
                client.start()
            for number in range(FLIPS):
                version = ("v2", "v1")[number % 2]
                if number < 1:
                    project.promote(version, force=True, reason="a test")
                else:
                    project.rollback(version)
            stop.set()
            for client in clients:
                client.join(60)
    assert [client.wrong for client in clients] == [[]] * CLIENTS
    assert all(client.answers > FLIPS for client in clients)
    assert set.union(*(client.versions for client in clients)) == {"v1", "v2"}
    assert (
        len([item for item in project.registry.promotions() if item.state == "done"]) == FLIPS + 1
    )
