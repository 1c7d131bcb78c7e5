"""Training rows -> files that read back as the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reindex.corpus.training_sets import Row, TrainingSet
from reindex.datasets.forms import WEIGHT
from reindex.errors import DataError
from reindex.records import (
    LabelledPair,
    ScoredPair,
    TrainingExample,
    query_hash,
    text_hash,
)


def fields_of(row: Row) -> dict[str, Any]:
    """A row as a JSON object whose columns are recognised."""
    if isinstance(row, TrainingExample):
        fields: dict[str, Any] = {"query": row.anchor, "positive": row.positive}
        fields |= {f"negative_{at}": text for at, text in enumerate(row.negatives, 1)}
        return fields | ({"scores": list(row.scores)} if row.scores else {})
    if isinstance(row, ScoredPair):
        return {"sentence1": row.first, "sentence2": row.second, "score": row.score}
    if isinstance(row, LabelledPair):
        return {"sentence1": row.first, "sentence2": row.second, "label": row.label}
    return {"text": row.text, "label": row.label}


def lines(objects: Iterable[Any]) -> str:
    """JSONL."""
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects)


def as_files(parts: Mapping[str, TrainingSet]) -> dict[str, str]:
    """A JSONL file per part: its name -> its content. Weights are a column."""
    return {f"{name}.jsonl": lines(_weighted(part)) for name, part in parts.items()}


def _weighted(part: TrainingSet) -> Iterator[dict[str, Any]]:
    for at, row in enumerate(part.rows):
        yield fields_of(row) | ({WEIGHT: part.weights[at]} if part.weights else {})


def as_beir(parts: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """A BEIR folder: documents and queries of all parts, and judgements per part; no weights.

    Ids are hashes of the texts, so that the same text has the same id in every part.

    Raises:
        DataError: the rows are not queries with documents.
    """
    rows = [row for part in parts.values() for row in part]
    examples = [row for row in rows if isinstance(row, TrainingExample)]
    if len(examples) < len(rows):
        raise DataError(
            "A BEIR folder holds queries with documents; these rows are of other kinds."
        )
    documents = {
        text_hash(text): text for row in examples for text in (row.positive, *row.negatives)
    }
    queries = {query_hash(row.anchor): row.anchor for row in reversed(examples)}
    files = {
        "corpus.jsonl": lines({"_id": id, "title": "", "text": documents[id]} for id in documents),
        "queries.jsonl": lines({"_id": id, "text": queries[id]} for id in queries),
    }
    for name, part in parts.items():
        grades: dict[tuple[str, str], int] = {}
        for row in part:
            if isinstance(row, TrainingExample):
                query = query_hash(row.anchor)
                grades.update({(query, text_hash(text)): 0 for text in row.negatives
                               if (query, text_hash(text)) not in grades})  # fmt: skip
                grades[query, text_hash(row.positive)] = 1
        judged = "".join(f"{query}\t{id}\t{grade}\n" for (query, id), grade in grades.items())
        files[f"qrels/{name}.tsv"] = "query-id\tcorpus-id\tscore\n" + judged
    return files


def write_files(folder: Path, files: dict[str, str], *, force: bool) -> list[Path]:
    """Write the files into a folder, each whole or not at all.

    Raises:
        DataError: one of them is there already, and ``force`` is not given.
    """
    targets = {folder / name: content for name, content in files.items()}
    there = [path for path in targets if path.exists()]
    if there and not force:
        names = ", ".join(str(path) for path in there[:3])
        raise DataError(f"{names} {'is' if len(there) == 1 else 'are'} there already. To write "
                        "anew: --force, or name another folder with --output.")  # fmt: skip
    for path, content in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(content, "utf-8")
        partial.replace(path)
    return list(targets)
