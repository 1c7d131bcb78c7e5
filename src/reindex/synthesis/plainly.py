"""Pairs without a language model: titles and headings, and the inverse cloze task."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from reindex.records import query_hash
from reindex.synthesis.records import MadePair, Passage, Tally
from reindex.synthesis.texts import sentences, word_count

COMMON_TITLE = 3
"""A title that more documents than these have, such as "Introduction", says nothing of one."""
LEAST_BODY = 10
"""Words of a text under a heading."""
LEAST_SENTENCE = 4
"""Words of a sentence that asks for its passage."""
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_MARKUP = re.compile(r"[*_`]+|\[([^\]]*)\]\([^)]*\)")


def title_pairs(passages: Sequence[Passage], tally: Tally) -> Iterator[MadePair]:
    """A document's title with its text, and the headings of a Markdown text with what follows.

    The text is without its title, so that the pair is not won by its words alone. A heading below
    another is asked together with that ("Install: On Windows"). Titles that several documents have
    are left out.
    """
    found = [
        MadePair(query, body, passage.document)
        for passage in passages
        for query, body in _titled(passage)
    ]
    times = Counter(query_hash(pair.query) for pair in found)
    for pair in found:
        if times[query_hash(pair.query)] > COMMON_TITLE:
            tally.total += 1
            tally.drop("common titles")
        elif word_count(pair.query) > 1:
            yield pair


def _titled(passage: Passage) -> Iterator[tuple[str, str]]:
    """Of one document: title or headings, each with its text."""
    sections = list(_sections(passage.text))
    if passage.title and len(sections) < 2:
        yield " ".join(passage.title.split()), _without(passage.title, passage.text)
    for path, body in sections:
        if word_count(body) >= LEAST_BODY:
            yield ": ".join(path[-2:]), body


def _without(title: str, text: str) -> str:
    body = text.removeprefix(title).lstrip() if text.startswith(title) else text
    return body or text


def _sections(text: str) -> Iterator[tuple[list[str], str]]:
    """The headings that a part of a Markdown text stands under, outermost first, and the part."""
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= _FENCE.match(line) is not None
        found = None if fenced else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        if path and any(lines):
            yield [name for _, name in path], "\n".join(lines).strip()
        level, lines = len(found[1]), []
        path = [item for item in path if item[0] < level]
        path.append((level, _MARKUP.sub(lambda match: match[1] or "", found[2]).strip()))
    if path and any(lines):
        yield [name for _, name in path], "\n".join(lines).strip()


def cloze_pairs(
    passages: Sequence[Passage], *, per_passage: int, keep_sentence: float, seed: int
) -> Iterator[MadePair]:
    """A sentence as the query, the others of its passage as the text that it belongs to.

    The inverse cloze task of Lee, Chang & Toutanova (2019, arXiv:1906.00300), who leave the
    sentence in the text in a tenth of the pairs, so that shared words count for something too.
    Which sentences are asked depends on the seed and the document's id alone; one that several
    passages hold asks for none of them.
    """
    split = [sentences(passage.shown) for passage in passages]
    times = Counter(query_hash(part) for parts in split for part in set(parts))
    for passage, parts in zip(passages, split, strict=True):
        dice = _dice(seed, passage.document)
        eligible = [
            at
            for at, part in enumerate(parts)
            if word_count(part) >= LEAST_SENTENCE and times[query_hash(part)] == 1
        ]
        if len(parts) < 2:
            continue
        for at in dice.sample(eligible, min(per_passage, len(eligible))):
            kept = dice.random() < keep_sentence
            rest = parts if kept else parts[:at] + parts[at + 1 :]
            yield MadePair(parts[at], " ".join(rest), passage.document)


def _dice(seed: int, document: str) -> random.Random:
    named = f"{seed}\n{document}".encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(named).digest())  # noqa: S311
