"""Words and sentences of passages, in scripts with and without spaces."""

from __future__ import annotations

import re

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""A run of letters and digits; of Chinese, Japanese and Thai, which have no spaces, a character."""
_SENTENCE_END = re.compile(
    r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[^\W_a-z]|[\"'“‘(\[])|(?<=[。！？])|\n\s*\n"
)


def word_count(text: str) -> int:
    """Words of a text."""
    return sum(1 for _ in _WORD.finditer(text))


def first_words(text: str, count: int) -> str:
    """The text up to its ``count``-th word, as it stands."""
    for number, word in enumerate(_WORD.finditer(text), start=1):
        if number > count:
            return text[: word.start()].rstrip()
    return text


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its white space folded."""
    parts = (" ".join(part.split()) for part in _SENTENCE_END.split(text))
    return [part for part in parts if part]


def estimated_tokens(text: str) -> int:
    """Tokens of a text, told by its length: four bytes of UTF-8 each, OpenAI's rule of thumb."""
    return max(1, round(len(text.encode("utf-8", "surrogatepass")) / 4))
