"""What may be wrong with training rows, apart from their being readable.

A check yields findings with examples that name file and line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reindex.corpus.training_sets import Row, TrainingSet, texts_of
from reindex.datasets.near import near_pairs, own_texts
from reindex.evaluation.sketches import Sketches, similarity, sketch
from reindex.inspection.findings import Finding, Severity
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample, query_hash

SHOWN = 5
"""Examples per finding."""

FEW = 500
"""Rows below which more data, made or found, is the first thing to look for."""

APART = 0.2
"""Difference of two scores of one pair from which they contradict each other."""

NEAR_NEGATIVE = 0.9
"""Word overlap with the positive from which a negative is suspected to be relevant itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row and where it stands."""

    file: str
    line: int | None
    row: Row

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def places(sets: Iterable[TrainingSet]) -> list[Place]:
    """All rows with their places."""
    return [
        Place(data.name, data.lines[at] if data.lines else None, row)
        for data in sets
        for at, row in enumerate(data.rows)
    ]


def short(text: str, width: int = 60) -> str:
    """One line of a text."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def found(
    severity: Severity, check: str, message: str, advice: str, examples: Sequence[str]
) -> Iterator[Finding]:
    """A finding with its count before the message, if there is an example."""
    if examples:
        yield Finding(
            severity, check, f"{len(examples):,} {message}", advice, tuple(examples[:SHOWN])
        )


def _key(row: Row) -> tuple[str, ...]:
    return tuple(map(query_hash, texts_of(row)))


def _label(row: Row) -> str | float:
    if isinstance(row, ScoredPair):
        return row.score
    return row.label if isinstance(row, LabelledPair | LabelledText) else ""


def duplicates(rows: Sequence[Place]) -> Iterator[Finding]:
    """The same row again, and queries that nearly are one another."""
    seen: dict[tuple[object, ...], Place] = {}
    again = []
    for place in rows:
        first = seen.setdefault((*_key(place.row), _label(place.row)), place)
        if first is not place:
            again.append(f"{place}: as in {first}: {short(texts_of(place.row)[0])}")
    yield from found(
        "warning", "duplicates", "rows are there twice",
        "They count twice in training. Leave one of each.", again,
    )  # fmt: skip
    first_place: dict[str, Place] = {}
    for place in rows:
        first_place.setdefault(own_texts(place.row)[0], place)
    near = [
        f"{first_place[one]} and {first_place[other]}: {short(one)} / {short(other)}"
        for one, other in near_pairs(list(first_place))
    ]
    yield from found(
        "info", "near-duplicates", "pairs of queries have nearly the same words",
        "Split with `reindex data split`, which keeps them together.", near,
    )  # fmt: skip


def contradictions(rows: Sequence[Place]) -> Iterator[Finding]:
    """One pair with two labels or scores; a text that is positive and negative of one query."""
    labels: dict[tuple[str, ...], Place] = {}
    apart = []
    for place in rows:
        if isinstance(place.row, TrainingExample):
            continue
        key = _key(place.row) if isinstance(place.row, LabelledText) else _unordered(place.row)
        first = labels.setdefault(key, place)
        if _differ(_label(first.row), _label(place.row)):
            apart.append(
                f"{place}: {_label(place.row)}, but {_label(first.row)} in {first}: "
                f"{short(texts_of(place.row)[0])}"
            )
    yield from found(
        "error", "contradictory labels", "rows contradict another one's label or score",
        "Decide which is right; the model cannot.", apart,
    )  # fmt: skip
    yield from _both(rows)


def _unordered(row: Row) -> tuple[str, ...]:
    """Similarity has no direction; entailment has."""
    key = _key(row)
    return tuple(sorted(key)) if isinstance(row, ScoredPair) else key


def _differ(one: str | float, other: str | float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > APART
    return one != other


def _both(rows: Sequence[Place]) -> Iterator[Finding]:
    relevant: dict[str, dict[str, Place]] = defaultdict(dict)
    examples = [(place, place.row) for place in rows if isinstance(place.row, TrainingExample)]
    for place, row in examples:
        relevant[query_hash(row.anchor)].setdefault(query_hash(row.positive), place)
    both = [
        f"{place}: negative is a positive in {other}: {short(row.anchor)}"
        for place, row in examples
        for text in row.negatives
        if (other := relevant[query_hash(row.anchor)].get(query_hash(text))) is not None
    ]
    yield from found(
        "error", "positive and negative", "negatives are a positive of the same query",
        "Remove them from the negatives.", both,
    )  # fmt: skip
    same = [
        f"{place}: {short(row.anchor)}"
        for place, row in examples
        if query_hash(row.anchor) == query_hash(row.positive)
    ]
    yield from found(
        "warning", "query is its positive", "rows have the query itself as the positive",
        "They teach nothing: a text is nearest to itself in any model.", same,
    )  # fmt: skip


def false_negatives(rows: Sequence[Place]) -> Iterator[Finding]:
    """Negatives that look relevant, and positives of other queries that nearly are a query's own.

    A batch takes the other rows' positives for negatives, so the second kind hurts as well.
    """
    near = [
        f"{place}: {short(text)}"
        for place in rows
        if isinstance(place.row, TrainingExample)
        for text in place.row.negatives
        if query_hash(text) != query_hash(place.row.positive)
        and similarity(sketch(text), sketch(place.row.positive)) >= NEAR_NEGATIVE
    ]
    yield from found(
        "warning", "false negatives", "negatives have nearly the words of their row's positive",
        "They are probably relevant. Leave them out, or mine again with margins.", near,
    )  # fmt: skip
    owner: dict[str, Place] = {}
    for place in rows:
        if isinstance(place.row, TrainingExample):
            owner.setdefault(place.row.positive, place)
    pairs = [
        f"{owner[one]} and {owner[other]}: {short(one)}"
        for one, other in near_pairs(list(owner))
        if query_hash(_anchor(owner[one])) != query_hash(_anchor(owner[other]))
    ]
    yield from found(
        "info", "near-equal positives", "pairs of positives of different queries are nearly equal",
        "In one batch each is a false negative of the other's query. The loss gist leaves such "
        "negatives out; merging the documents is better.", pairs,
    )  # fmt: skip


def _anchor(place: Place) -> str:
    return place.row.anchor if isinstance(place.row, TrainingExample) else ""


def leakage(rows: Sequence[Place], judged: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Texts of the rows that are, or nearly are, one of those held out: split -> its queries."""
    for split, texts in judged.items():
        hashes = {query_hash(text) for text in texts}
        longest = 4 * max(map(len, texts), default=0)
        asked = list(
            {text: None for place in rows for text in own_texts(place.row) if len(text) <= longest}
        )
        near = dict(zip(asked, Sketches.of(texts).nearest(asked), strict=True))
        exact, alike = [], []
        for place in rows:
            for text in own_texts(place.row):
                if query_hash(text) in hashes:
                    exact.append(f"{place}: {short(text)}")
                elif near.get(text):
                    alike.append(f"{place}: {short(text)}")
        advice = "Training leaves such rows out where the split is judged in this project."
        yield from found("error", f"leakage: {split}", f"texts are also in {split}", advice, exact)
        yield from found(
            "error", f"near leakage: {split}", f"texts have nearly the words of one in {split}",
            advice, alike,
        )  # fmt: skip


def amounts(data: TrainingSet) -> Iterator[Finding]:
    """Too few rows, labels of one kind, scores that say nothing."""
    if len(data.rows) < FEW:
        yield Finding(
            "info", "few rows", f"{data.name} has {len(data.rows):,} rows",
            f"Below {FEW}, make more (`reindex data synthesize`), and judge by "
            "`reindex train --folds 5` rather than by one split.",
        )  # fmt: skip
    labels = {_label(row) for row in data.rows}
    if not isinstance(data.rows[0], TrainingExample) and len(labels) == 1:
        yield Finding(
            "error", "one label", f"{data.name}: every row has the label {labels.pop()}",
            "There is nothing to tell apart. Is the right column named?",
        )  # fmt: skip
    yield from _label_order(data)


def _label_order(data: TrainingSet) -> Iterator[Finding]:
    """Entailed texts share more words with their premise than contradicting ones, on average."""
    overlap: dict[str, list[float]] = defaultdict(list)
    if data.kind != "nli":
        return
    for row in data.rows[:5000]:
        if isinstance(row, LabelledPair):
            words = {*row.second.lower().split()}
            shared = words & {*row.first.lower().split()}
            overlap[row.label].append(len(shared) / max(1, len(words)))
    yes, no = overlap.get("entailment", []), overlap.get("contradiction", [])
    if min(len(yes), len(no)) >= 30 and sum(yes) / len(yes) < 0.8 * sum(no) / len(no):
        yield Finding(
            "warning", "label order", f"{data.name}: contradictions share more words with their "
            "premise than entailments do",
            'Labels may be in another order: labels = ["contradiction", "entailment", "neutral"].',
        )  # fmt: skip
