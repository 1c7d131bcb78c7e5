"""A small project for LlamaIndex's plugins: v1 live, v2 built, over payloads of LlamaIndex's."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index_instrumentation import get_dispatcher

import reindex
from reindex.connection import Connection
from tests.hash_project import HashWorkspace
from tests.plugin_project import Plugged, plugged

TEXTS = [f"text number {n}" for n in range(12)]
SOURCES = ("guide", "book", "doc", "other")
"""Documents that tests write."""

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """In an event loop of its own, as many an application does again and again."""
    return asyncio.run(work)


@pytest.fixture(scope="module")
def plug(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    """Payloads as LlamaIndex's readers find the text; v1 is live."""
    with plugged(tmp_path_factory.mktemp("project"), "llamaindex", texts=TEXTS) as plug:
        yield plug


@pytest.fixture(scope="module")
def project(plug: Plugged) -> HashWorkspace:
    return plug.project


@pytest.fixture(scope="module")
def over_http(plug: Plugged) -> Iterator[Connection]:
    with reindex.connect(plug.url, api_key=plug.key) as connection:
        yield connection


@pytest.fixture(params=["local", "http"])
def target(request: pytest.FixtureRequest, plug: Plugged, over_http: Connection) -> Iterator[Any]:
    """What a component is opened with: an open project, or a connection over HTTP."""
    with as_it_was(plug, over_http):
        yield plug.project if request.param == "local" else over_http


def example(file: Path, *arguments: str) -> None:
    """Run an example as its reader would."""
    runpy.run_path(str(file))["main"](*arguments)


@contextmanager
def as_it_was(plug: Plugged, connection: Connection) -> Iterator[None]:
    """What is written and flipped within is undone: a new project costs half a second."""
    yield
    connection.delete(connection.find({"doc_id": list(SOURCES)}))
    if plug.project.live_collection() != "docs--v1":
        plug.flip("v1")


def splitter(words: int = 64) -> SentenceSplitter:
    """Splits by words: the default tokenizer takes seconds to load."""
    return SentenceSplitter(
        chunk_size=words, chunk_overlap=0, tokenizer=str.split,
        chunking_tokenizer_fn=lambda text: [f"{part}." for part in text.split(".") if part],
    )  # fmt: skip


class Events(BaseEventHandler):
    """The instrumentation events of the root dispatcher, while it is listened to."""

    seen: ClassVar[list[BaseEvent]]

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        self.seen.append(event)

    def named(self, name: str) -> list[Any]:
        return [event for event in self.seen if event.class_name() == name]


@contextmanager
def listened() -> Iterator[Events]:
    root, events = get_dispatcher(), Events()
    Events.seen = []
    root.add_event_handler(events)
    try:
        yield events
    finally:
        root.event_handlers.remove(events)
