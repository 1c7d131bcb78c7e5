"""The documents of a source, for stages that need nothing else of the store: training, export.

Where the source is a collection of an embedded store and another process owns that, the owner
writes the texts into a file: its process alone can open the collection.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reindex.corpus.collection import CollectionSource
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.owner.jobs import job
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import Document
from reindex.workspace import Workspace


@contextmanager
def documents_of(workspace: Workspace) -> Iterator[DocumentSource]:
    """The project's source, wherever it must be read. Beside an owner without payloads."""
    source = workspace.source
    if workspace.other_owner() is None or not isinstance(source, CollectionSource):
        yield source
        return
    home = workspace.settings.home
    with tempfile.TemporaryDirectory(dir=home, prefix="documents-") as folder:
        file = Path(folder) / "texts.jsonl"
        yield _Texts(source.name, file, write_texts(workspace, str(file.resolve())))


@job("aside", name="documents")
def write_texts(workspace: Workspace, path: str) -> int:
    """Write id and text of every document of the source to a file, a line each; how many."""
    count = 0
    with Path(path).open("w", encoding="utf-8") as out:
        for document in workspace.source.documents(IgnoredLetters()):
            out.write(json.dumps([document.id, document.text]) + "\n")
            count += 1
    return count


@dataclass(frozen=True, slots=True)
class _Texts:
    """What `write_texts` wrote, as a source."""

    name: str
    file: Path
    size: int

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:  # noqa: ARG002
        """All of them; bad rows were left out."""
        with self.file.open(encoding="utf-8") as lines:
            for line in lines:
                id, text = json.loads(line)
                yield Document(id, text, {})

    def count(self) -> int | None:
        """How many were written."""
        return self.size
