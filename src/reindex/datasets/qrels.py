"""Relevance judgements as training data: their ids become texts."""

from __future__ import annotations

from pathlib import Path

from reindex.corpus.judgements import judgement_rows, read_qrels
from reindex.datasets.forms import QUERY_ID
from reindex.datasets.graded import Graded
from reindex.datasets.ids import Texts
from reindex.errors import DataError

_SUFFIXES = (".tsv", ".txt", ".qrels", ".trec", "")
TRAIN_QRELS = "qrels/train.tsv"


def qrels_file(path: Path) -> Path | None:
    """The judgements that a path means: a BEIR folder's, or the file itself if it is such.

    Raises:
        DataError: a folder without judgements for training.
    """
    if path.is_dir():
        if not (path / TRAIN_QRELS).exists():
            raise DataError(
                f"{path} is a folder; expected a BEIR folder with {TRAIN_QRELS}. Name a file."
            )
        return path / TRAIN_QRELS
    return path if _is_qrels(path) else None


def _is_qrels(path: Path) -> bool:
    """By the first line: BEIR's three columns with tabs, or TREC's four with white space."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = next((line for line in lines if line.strip()), "")
    except (OSError, UnicodeDecodeError):
        return False
    tabs = [cell.strip() for cell in first.split("\t")]
    if len(tabs) == 3:
        return _integer(tabs[2]) or tabs[0].lower() in QUERY_ID
    cells = first.split()
    return len(cells) == 4 and _integer(cells[3])


def _integer(text: str) -> bool:
    return text.lstrip("+-").isdecimal()


def read_graded(path: Path, texts: Texts) -> tuple[list[Graded], dict[str, int]]:
    """The judgements of a qrels file with their texts, and how many have none, by the reason.

    Raises:
        DataError: the file is malformed, or no judged query or document has a text.
    """
    read_qrels(path)  # every judgement is well-formed, and none contradicts another
    found = [
        Graded(query, document, int(grade), line)
        for line, (query, document, grade) in judgement_rows(path)
    ]
    return with_texts(found, texts, path)


def with_texts(
    judged: list[Graded], texts: Texts, path: Path
) -> tuple[list[Graded], dict[str, int]]:
    """Judgements of ids as judgements of texts; see `read_graded`."""
    queries = texts.queries()
    documents = texts.documents({item.document for item in judged})
    kept, dropped = [], {"no text for the query": 0, "no text for the document": 0}
    for item in judged:
        query, document = queries.get(item.query), documents.get(item.document)
        if query is None:
            dropped["no text for the query"] += 1
        elif document is None:
            dropped["no text for the document"] += 1
        else:
            kept.append(Graded(query, document, item.grade, item.line))
    if not kept:
        raise DataError(
            f"{path}: none of {len(judged):,} judgements has the texts of its query and document; "
            f"for example query {judged[0].query!r}, document {judged[0].document!r}. Name the "
            "files that they are of: queries, documents."
            if judged
            else f"{path}: expected judgements; there are none."
        )
    return kept, {reason: count for reason, count in dropped.items() if count}
