"""The demo corpus on disk: a BEIR folder and its README."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reindex.corpus.masking import mask_names
from reindex.corpus.sources import BEIR_CORPUS

_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Entry:
    """A document: a body, its shortest qualified name, its other names, its first sentences."""

    name: str
    package: str
    body: str
    aliases: tuple[str, ...]
    sentences: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All qualified names."""
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Question:
    """A first sentence and the documents that it stood above."""

    key: str
    text: str
    group: str
    split: str
    relevant: tuple[Entry, ...]

    @property
    def id(self) -> str:
        """Depends on the sentence alone."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def write_folder(folder: Path, entries: Sequence[Entry], questions: Sequence[Question]) -> None:
    """Write all files; each row's place depends on nothing but the content.

    The corpus comes last and appears whole: where it is, all the rest is.
    """
    ordered = sorted(questions, key=lambda question: question.id)
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    _write_rows(folder / "queries.jsonl", (_query(one, one.text) for one in ordered))
    _write_rows(folder / "queries-masked.jsonl", (_query(one, _masked(one)) for one in ordered))
    for split in _SPLITS:
        lines = ["query-id\tcorpus-id\tscore"]
        lines += [
            f"{question.id}\t{entry.name}\t1"
            for question in ordered
            if question.split == split
            for entry in question.relevant
        ]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "README.md").write_text(_readme(entries, ordered), "utf-8")
    unfinished = folder / f"{BEIR_CORPUS}.tmp"
    _write_rows(unfinished, map(_document, entries))
    unfinished.replace(folder / BEIR_CORPUS)


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "_id": entry.name,
        "title": entry.name,
        "text": entry.body,
        "package": entry.package,
        "aliases": list(entry.aliases),
    }


def _query(question: Question, text: str) -> dict[str, Any]:
    return {"_id": question.id, "text": text, "metadata": {"group": question.group}}


def _masked(question: Question) -> str:
    return mask_names(question.text, (name for entry in question.relevant for name in entry.names))


def _write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _readme(entries: Sequence[Entry], questions: Sequence[Question]) -> str:
    packages = Counter(entry.package for entry in entries).most_common()
    splits = Counter(question.split for question in questions)
    return _README.format(
        documents=len(entries),
        queries=len(questions),
        packages=", ".join(f"{name} {count:,}" for name, count in packages),
        splits=", ".join(f"{name} {splits[name]:,}" for name in _SPLITS),
    )


_README = """# Documentation of installed Python packages, as a retrieval task

Written by reindex from the packages of one Python installation; the docstrings belong to their
authors. The source files were parsed, nothing was imported.

- {documents:,} documents ({packages}): a qualified name, and the body of its docstring without the
  first sentence.
- {queries:,} queries ({splits}): the first sentences. The documents that a sentence stood above
  are relevant to it; nothing else was judged.

**A proxy task.** A first sentence was written by the author of the body, in the author's words. It
is close to what people type, and it is not what people typed. Figures from here compare models
with each other on this task and say nothing about absolute quality on another one.

Kept honest in these ways:

- Documents with equal bodies are one document (`aliases` has the other names).
- A sentence that stands above several documents is one query, and all of them are relevant.
- Whatever shares a sentence, or has near-equal bodies (TF-IDF cosine from 0.8), is one group, and a
  group is never in two splits. `metadata.group` of the queries names it.
- `queries-masked.jsonl` has the same queries with every word that occurs in the relevant
  documents' names replaced by "…": what a model finds with these is more than name matching.
"""
