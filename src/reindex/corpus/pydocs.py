"""The demo corpus: the documentation of the Python packages that are installed here.

A document is a qualified name and the body of a docstring; a query is the docstring's first
sentence, which the document does not contain. That is a proxy for a search task, and the folder's
README says so.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from reindex.corpus.docstrings import CORE, Docstring, Root, installed_roots, read_docstrings
from reindex.corpus.pydocs_files import Entry, Question, write_folder
from reindex.corpus.twins import components, near_equal
from reindex.errors import DataError
from reindex.protocols import Progress, no_progress

SPLITS = {"test": 0.30, "dev": 0.10}
"""Share of the queries in each split; the rest is for training."""

_LARGE = 0.02  # a component with more than this share of the queries is for training alone


@dataclass(frozen=True, slots=True)
class PydocsReport:
    """What was written: documents by package, queries and judged pairs by split."""

    folder: Path
    documents: int
    packages: Mapping[str, int]
    queries: Mapping[str, int]
    pairs: Mapping[str, int]
    groups: int
    largest_group: int

    def __str__(self) -> str:
        return (
            f"{self.documents:,} documents ({_listed(self.packages)}); "
            f"queries: {_listed(self.queries)}; in {self.groups:,} groups, "
            f"the largest of {self.largest_group} documents"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def write_pydocs(
    folder: Path,
    *,
    limit: int = 5000,
    seed: int = 13,
    roots: Sequence[Path] | None = None,
    progress: Progress = no_progress,
) -> PydocsReport:
    """Write the demo corpus as a BEIR folder; the same packages and seed give the same bytes.

    Args:
        folder: Where ``corpus.jsonl``, ``queries.jsonl``, ``queries-masked.jsonl``,
            ``qrels/{train,dev,test}.tsv`` and ``README.md`` are written.
        limit: Most documents. What shares a sentence is taken or left as a whole.
        seed: Decides what is taken, and the splits.
        roots: Package folders to read. None: the standard library, numpy, scipy and scikit-learn,
            and as many other packages as it takes to reach the limit.
        progress: Told how far it is.

    Raises:
        DataError: nothing was found.
        MissingExtra: scikit-learn is not installed.
    """
    found = _read(roots, limit, progress)
    entries = _sample(merge_equal(found), limit, seed)
    if not entries:
        raise DataError("Found no docstrings with a first sentence and a body to make a corpus of.")
    progress("comparing bodies", 0, len(entries))
    groups = _groups(entries)
    progress("comparing bodies", len(entries), len(entries))
    questions = _questions(entries, groups, seed)
    write_folder(folder, entries, questions)
    return _report(folder, entries, questions, groups)


def _read(roots: Sequence[Path] | None, limit: int, progress: Progress) -> list[Docstring]:
    """All docstrings of the given roots, or of the core and then of others up to the limit."""
    found: list[Docstring] = []
    known = [Root(root.name, root) for root in roots] if roots is not None else installed_roots()
    for done, root in enumerate(known):
        if roots is None and done > len(CORE) and len(found) >= limit:
            break
        progress(f"reading {root.package}", len(found), None)
        found.extend(read_docstrings(root))
    return found


def merge_equal(docstrings: Iterable[Docstring]) -> list[Entry]:
    """One entry per body (white space aside), under its shortest name; the others are aliases."""
    by_body: dict[str, list[Docstring]] = {}
    for docstring in docstrings:
        by_body.setdefault(" ".join(docstring.body.split()), []).append(docstring)
    merged = []
    for equal in by_body.values():
        equal.sort(key=lambda docstring: (len(docstring.name), docstring.name))
        sentences = {sentence_key(one.sentence): one.sentence for one in reversed(equal)}
        names = dict.fromkeys(one.name for one in equal)
        best = equal[0]
        merged.append(Entry(best.name, best.package, best.body, tuple(names)[1:], sentences))
    return sorted(merged, key=lambda entry: entry.name)


def sentence_key(sentence: str) -> str:
    """What equal sentences have in common: their words, in lower case."""
    return " ".join("".join(c if c.isalnum() else " " for c in sentence.casefold()).split())


def _same_sentence(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    holders: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        for key in entry.sentences:
            holders.setdefault(key, []).append(i)
    return [pair for same in holders.values() for pair in pairwise(same)]


def _sample(entries: list[Entry], limit: int, seed: int) -> list[Entry]:
    """At most ``limit`` entries, in whole components of shared sentences."""
    if len(entries) <= limit:
        return entries
    whole = components(len(entries), _same_sentence(entries))
    random.Random(seed).shuffle(whole)  # noqa: S311 (no secret)
    taken: list[int] = []
    for component in whole:
        if len(taken) + len(component) <= limit:
            taken += component
    return [entries[i] for i in sorted(taken)]


def _groups(entries: Sequence[Entry]) -> list[list[int]]:
    bodies = [entry.body for entry in entries]
    return components(len(entries), [*_same_sentence(entries), *near_equal(bodies)])


def _questions(
    entries: Sequence[Entry], groups: Sequence[Sequence[int]], seed: int
) -> list[Question]:
    """One question per distinct sentence, with all its documents; a group stays in one split."""
    by_group: list[list[Question]] = []
    for number, group in enumerate(groups):
        found: dict[str, Question] = {}
        for i in group:
            for key, sentence in entries[i].sentences.items():
                new = Question(key, sentence, f"g{number:05}", "train", ())
                held = found.get(key, new)
                found[key] = replace(held, relevant=(*held.relevant, entries[i]))
        by_group.append(list(found.values()))
    splits = split_groups([len(group) for group in by_group], seed)
    return [
        replace(question, split=split)
        for group, split in zip(by_group, splits, strict=True)
        for question in group
    ]


def split_groups(sizes: Sequence[int], seed: int) -> list[str]:
    """A split for each group of queries, by its size: whole groups, shares as in ``SPLITS``."""
    total = sum(sizes)
    order = [i for i, size in enumerate(sizes) if size <= max(1, _LARGE * total)]
    random.Random(seed).shuffle(order)  # noqa: S311 (no secret)
    splits = ["train"] * len(sizes)
    for split, share in SPLITS.items():
        filled = 0
        while order and filled + sizes[order[-1]] <= share * total:
            group = order.pop()
            splits[group] = split
            filled += sizes[group]
    return splits


def _report(
    folder: Path,
    entries: Sequence[Entry],
    questions: Sequence[Question],
    groups: Sequence[Sequence[int]],
) -> PydocsReport:
    pairs: Counter[str] = Counter()
    for question in questions:
        pairs[question.split] += len(question.relevant)
    return PydocsReport(
        folder=folder,
        documents=len(entries),
        packages=dict(Counter(entry.package for entry in entries).most_common()),
        queries=dict(Counter(question.split for question in questions).most_common()),
        pairs=dict(pairs.most_common()),
        groups=len(groups),
        largest_group=max(map(len, groups)),
    )
