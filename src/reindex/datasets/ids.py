"""Texts of queries and documents that a file names by their ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from reindex.config import SourceSettings
from reindex.config.training_data import DataSettings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.judgements import read_queries
from reindex.corpus.sources import BEIR_CORPUS, open_source
from reindex.errors import DataError
from reindex.protocols import DocumentSource


class Elsewhere(Protocol):
    """Where texts are looked for that are not beside the file: a project."""

    def queries_file(self) -> Path | None:
        """Its queries, if there are any."""

    def documents(self) -> AbstractContextManager[DocumentSource]:
        """Its documents."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that belong to one file of ids: named, or beside it, or the project's.

    Attributes:
        path: the file, or a BEIR folder.
        how: may name queries and documents.
        source: how a document's text is put together (fields, separator).
        elsewhere: asked last; None: there is nothing else.
    """

    path: Path
    how: DataSettings
    source: SourceSettings = field(default_factory=SourceSettings)
    elsewhere: Elsewhere | None = None

    def queries(self) -> Mapping[str, str]:
        """All queries. Raises DataError: there are none."""
        file = self.how.queries or self._beside("queries.jsonl")
        if file is None and self.elsewhere is not None:
            file = self.elsewhere.queries_file()
        if file is None:
            raise DataError(
                f"{self.path} names queries by ids; expected their texts in a queries.jsonl beside "
                "it, or in the file that `queries` names."
            )
        return {query.id: query.text for query in read_queries(file)}

    def documents(self, wanted: Collection[str]) -> dict[str, str]:
        """Those of the wanted documents that there are, streamed from where they lie."""
        file = self.how.documents or self._beside(BEIR_CORPUS)
        if file is not None:
            how = {"kind": _kind(file), "path": file.resolve()}
            return _texts(open_source(self.source.model_copy(update=how), file.parent), wanted)
        if self.elsewhere is None:
            return {}
        with self.elsewhere.documents() as source:
            return _texts(source, wanted)

    def _beside(self, name: str) -> Path | None:
        """In the folder, beside the file, or one folder up (``qrels/train.tsv``)."""
        folders = [self.path] if self.path.is_dir() else [*self.path.resolve().parents][:2]
        return next((folder / name for folder in folders if (folder / name).exists()), None)


def _kind(file: Path) -> str:
    if file.is_dir():
        return "beir"
    return {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}.get(file.suffix.lower(), "jsonl")


def _texts(source: DocumentSource, wanted: Collection[str]) -> dict[str, str]:
    found: Iterator[tuple[str, str]] = (
        (str(document.id), document.text) for document in source.documents(IgnoredLetters())
    )
    return {key: text for key, text in found if key in wanted}
