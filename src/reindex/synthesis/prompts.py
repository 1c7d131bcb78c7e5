"""Prompt files: a text with ``{passage}``, ``{n}``, ``{language}`` and ``{examples}`` in it.

The prompt that comes along shows a few examples of passage and queries, as InPars (Bonifacio et
al. 2022, arXiv:2202.05144) and Promptagator (Dai et al. 2022, arXiv:2209.11755: two to eight
examples of the task at hand) do, and asks for several queries per passage, as docTTTTTquery
(Nogueira & Lin 2019) and GPL (Wang et al. 2022, arXiv:2112.07577: three) do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from reindex.errors import ConfigError
from reindex.records import TrainingExample
from reindex.synthesis.texts import first_words

SHOWN_EXAMPLES, EXAMPLE_WORDS = 4, 100
_NAMES = ("passage", "n", "language", "examples")
_PLACEHOLDER = re.compile(r"\{(" + "|".join(_NAMES) + r")\}")
_SAME_LANGUAGE = "Write in the language of the passage."
_EXAMPLES = (
    (
        "The cache is cleared when the server restarts. To keep it, set cache.persist to true and "
        "give cache.path a folder that the service may write to. Entries older than cache.ttl "
        "(default 24 h) are removed at start-up.",
        (
            "how do I keep the cache after a restart",
            "cache.ttl default value",
            "Cached entries are gone every time the service starts, which setting prevents that?",
        ),
    ),
    (
        "Iron deficiency is the most frequent cause of anaemia. Tiredness, pale skin and brittle "
        "nails are typical. Ferritin below 30 µg/l confirms it; tablets are taken for three months "
        "after the blood count is normal again, to fill the stores.",
        (
            "What blood value shows that somebody lacks iron?",
            "iron tablets how long after blood count normal",
            "signs of anaemia on skin and nails",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt whose examples and language stand already; a passage is what it still lacks."""

    text: str
    n: int

    @property
    def sha256(self) -> str:
        """Of the prompt without a passage."""
        return hashlib.sha256(f"{self.n}\n{self.text}".encode("utf-8", "surrogatepass")).hexdigest()

    def render(self, passage: str) -> str:
        """The prompt for one passage; what looks like a placeholder within that stays."""
        return _filled(self.text, {"passage": passage, "n": str(self.n)})


def make_prompt(
    file: Path | None, *, n: int, language: str = "", examples: Sequence[TrainingExample] = ()
) -> Prompt:
    """The prompt of a file, or the one that comes along.

    Raises:
        ConfigError: the file cannot be read, or lacks ``{passage}``.
    """
    text = _read(file)
    if "{passage}" not in text:
        raise ConfigError(
            f"The prompt file {file} lacks {{passage}}, where the passage goes. It may also have "
            "{n} (how many queries), {language} and {examples}."
        )
    said = f"Write the queries in {language}." if language else _SAME_LANGUAGE
    return Prompt(_filled(text, {"language": said, "examples": _shown(examples, n)}), n)


def _read(file: Path | None) -> str:
    if file is None:
        return resources.files("reindex.synthesis").joinpath("prompt.txt").read_text("utf-8")
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The prompt file {file} cannot be read: {error}.") from None


def _filled(text: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def _shown(examples: Sequence[TrainingExample], n: int) -> str:
    """Passages with the queries that they answer, as the answer shall look."""
    by_passage: dict[str, list[str]] = {}
    for example in examples:
        by_passage.setdefault(example.positive, []).append(example.anchor)
    given = [(first_words(text, EXAMPLE_WORDS), asked) for text, asked in by_passage.items()]
    shown = given[:SHOWN_EXAMPLES] or [(text, list(asked)) for text, asked in _EXAMPLES]
    return "\n\n".join(
        f'Passage:\n"""\n{text}\n"""\nQueries:\n{json.dumps(asked[:n], ensure_ascii=False)}'
        for text, asked in shown
    )
