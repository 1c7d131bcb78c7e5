"""How many tokens texts have before anything is cut: for plans, not for embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reindex.artifact import TOKENIZER_NAME


def token_lengths(folder: Path, texts: Sequence[str]) -> list[int]:
    """Tokens per text, special ones included, by the tokenizer of an artifact's folder."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(clean)]
