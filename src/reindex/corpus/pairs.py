"""Training pairs from the judgements of a BEIR folder."""

from __future__ import annotations

import logging
from pathlib import Path

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.judgements import load_judgements
from reindex.errors import DataError
from reindex.protocols import DeadLetterSink, DocumentSource
from reindex.records import TrainingExample

_log = logging.getLogger(__name__)


def examples_from_beir(
    queries: Path, qrels: Path, source: DocumentSource, dead: DeadLetterSink | None = None
) -> list[TrainingExample]:
    """A pair per positive judgement, in the order of the queries; the text is the embedded one.

    The source is streamed, and only judged documents are kept. Judgements of documents that the
    source does not hold are left out, with a warning in the log.

    Raises:
        DataError: queries or judgements are malformed, or no judged document is in the source.
    """
    judged = load_judgements(queries, qrels)
    wanted = {
        document
        for grades in judged.qrels.values()
        for document, grade in grades.items()
        if grade > 0
    }
    texts = {
        str(document.id): document.text
        for document in source.documents(dead or IgnoredLetters())
        if str(document.id) in wanted
    }
    if not texts:
        raise DataError(
            f"None of the {len(wanted):,} documents judged in {qrels} is in {source.name}, "
            f"for example {min(wanted)!r}. The judgements must be of this source's ids."
        )
    if len(texts) < len(wanted):
        lacking = len(wanted) - len(texts)
        _log.warning("%d of %d documents judged in %s are missing", lacking, len(wanted), qrels)
    return [
        TrainingExample(query.text, texts[document])
        for query in judged.queries
        for document, grade in judged.qrels[query.id].items()
        if grade > 0 and document in texts
    ]
