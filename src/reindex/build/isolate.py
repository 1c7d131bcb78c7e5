"""One text that the encoder cannot embed must not cost the run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reindex.errors import BuildError, ReindexError
from reindex.protocols import Encoder
from reindex.records import Vector


@dataclass(slots=True)
class Encoded:
    """Vectors by text hash; for the texts that gave none, why."""

    vectors: dict[str, Vector] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def encode_each(encoder: Encoder, texts: dict[str, str]) -> Encoded:
    """Embed ``texts`` (by their hash) in one call; if that fails, in halves, down to single texts.

    Raises:
        BuildError: arrays of a wrong shape, or no finite vector for any text, a plain one included.
        Exception: the encoder's own, where it fails for every text and for a plain one too: then
            it is the encoder that is broken, not a text.
    """
    try:
        found = _usable(encoder, texts)
    except ReindexError:
        raise
    except Exception as error:
        found = _halves(encoder, texts, error)
        if not found.vectors and not _works(encoder):
            raise
    if not found.vectors and not _works(encoder):
        raise BuildError(
            f"The encoder gave no finite vector for any of {len(texts)} texts. The artifact is "
            "broken: export again."
        )
    return found


def _works(encoder: Encoder) -> bool:
    """Whether the encoder embeds a plain text."""
    try:
        return bool(_usable(encoder, {"": "a plain text"}).vectors)
    except ReindexError:
        raise
    except Exception:
        return False


def _halves(encoder: Encoder, texts: dict[str, str], error: Exception) -> Encoded:
    if len(texts) == 1:
        return Encoded(refused=dict.fromkeys(texts, f"encoder: {type(error).__name__}: {error}"))
    items, middle = list(texts.items()), len(texts) // 2
    found = Encoded()
    for part in (dict(items[:middle]), dict(items[middle:])):
        try:
            some = _usable(encoder, part)
        except ReindexError:
            raise
        except Exception as again:
            some = _halves(encoder, part, again)
        found.vectors |= some.vectors
        found.refused |= some.refused
    return found


def _usable(encoder: Encoder, texts: dict[str, str]) -> Encoded:
    rows = encoder.encode_documents(list(texts.values()))
    if rows.shape != (len(texts), encoder.dim):
        raise BuildError(
            f"The encoder gave an array of shape {rows.shape} for {len(texts)} texts; "
            f"expected {(len(texts), encoder.dim)}. The artifact is broken: export again."
        )
    finite = np.isfinite(rows).all(axis=1) & (np.abs(rows).max(axis=1, initial=0) > 0)
    pairs = list(zip(texts, rows, finite, strict=True))
    return Encoded(
        {key: row for key, row, good in pairs if good},
        {key: "encoder: the vector is zero or not finite" for key, _, good in pairs if not good},
    )
