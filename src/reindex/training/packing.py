"""A forward pass over packed texts: no padding is computed, and dropout is cheap.

Takes the place of the transformer's forward pass while training on a CPU, for the architectures
of a table; all others keep their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reindex.training.libraries import load

CHUNK_TOKENS = 2048
"""Tokens per pass through the layers: what they hand on stays in the processor's caches."""

POSITIONS_FROM_PAD = {
    "BertModel": False,
    "RobertaModel": True,
    "XLMRobertaModel": True,
    "CamembertModel": True,
}
"""Architecture -> whether positions count from the padding token's id + 1, or from 0."""


class PackedTransformer:
    """Computes the token embeddings of right-padded texts as one stream without padding.

    The same as the transformer's own forward pass up to rounding, and, where the model has
    dropout, up to which numbers are drawn.

    Args:
        transformer: sentence-transformers' transformer module.
        own: its own forward pass, which serves in evaluation and wherever something is asked
            that the stream does not give.
    """

    def __init__(self, transformer: Any, own: Any) -> None:
        self._transformer = transformer
        self._own = own

    def __call__(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """``token_embeddings`` of ``(n, tokens, width)``; zeros where there is padding."""
        model = self._transformer.auto_model
        if kwargs or not model.training or not _is_plain(model, features):
            return dict(self._own(features, **kwargs))
        return {**features, "token_embeddings": _encode(model, features)}


def pack(model: Any) -> bool:
    """Let a sentence-transformers model train on packed texts; False: its kind is not known."""
    transformer = model[0]
    encoder = getattr(transformer, "auto_model", None)
    if encoder is None or not _is_known(encoder):
        return False
    transformer.forward = PackedTransformer(transformer, transformer.forward)
    return True


def _is_known(encoder: Any) -> bool:
    config = encoder.config
    return (
        type(encoder).__name__ in POSITIONS_FROM_PAD
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not getattr(config, "is_decoder", False)
        and not getattr(config, "add_cross_attention", False)
    )


def _is_plain(model: Any, features: dict[str, Any]) -> bool:
    """Whether all padding is on the right, and only the last layer's output is asked for."""
    mask, ids = features.get("attention_mask"), features.get("input_ids")
    if mask is None or ids is None or mask.shape != ids.shape:
        return False
    if model.config.output_hidden_states or model.is_gradient_checkpointing:
        return False
    if _first_position(model) and bool(((ids == model.config.pad_token_id) & (mask != 0)).any()):
        return False  # a padding token within a text has a position of its own there
    return bool(mask[:, 0].all() and (mask[:, 1:] <= mask[:, :-1]).all())


def _first_position(model: Any) -> int:
    from_pad = POSITIONS_FROM_PAD[type(model).__name__]
    return int(model.config.pad_token_id) + 1 if from_pad else 0


def _encode(model: Any, features: dict[str, Any]) -> Any:
    """All texts, shortest first, as a stream through the layers; and back to rows."""
    from reindex.training.packed_ops import Dice, blocks_of, dropout

    torch = load("torch")
    mask = features["attention_mask"]
    lengths = mask.sum(dim=1)
    order = torch.argsort(lengths, stable=True)
    rows, columns = mask[order].nonzero(as_tuple=True)
    rows, dice = order[rows], Dice()
    hidden = _embed(model, features, rows, columns)
    hidden = dropout(hidden, model.embeddings.dropout.p, dice)
    chunks = _chunks(lengths[order].tolist())
    done = []
    for texts, part in zip(chunks, hidden.split([sum(texts) for texts in chunks]), strict=True):
        blocks, state = blocks_of(texts), part
        for layer in model.encoder.layer:
            state = _through(layer, state, blocks, dice)
        done.append(state)
    stream = torch.cat(done)
    return stream.new_zeros((*mask.shape, stream.shape[-1])).index_put((rows, columns), stream)


def _chunks(lengths: Sequence[int]) -> list[list[int]]:
    """Neighbours together, up to `CHUNK_TOKENS`."""
    chunks: list[list[int]] = [[]]
    for length in lengths:
        if chunks[-1] and sum(chunks[-1]) + length > CHUNK_TOKENS:
            chunks.append([])
        chunks[-1].append(length)
    return chunks


def _embed(model: Any, features: dict[str, Any], rows: Any, columns: Any) -> Any:
    table = model.embeddings
    kinds = features.get("token_type_ids")
    kinds = columns.new_zeros(columns.shape) if kinds is None else kinds[rows, columns]
    words = table.word_embeddings(features["input_ids"][rows, columns])
    places = table.position_embeddings(columns + _first_position(model))
    return table.LayerNorm(words + table.token_type_embeddings(kinds) + places)


def _through(layer: Any, hidden: Any, blocks: Any, dice: Any) -> Any:
    """One layer: attention and the two dense ones, each with dropout, residual and norm."""
    from reindex.training.packed_ops import Attention, dropout

    attention, after, last = layer.attention.self, layer.attention.output, layer.output
    chance = attention.dropout.p
    mixed = Attention.apply(
        _side_by_side(attention, hidden),
        blocks, attention.num_attention_heads, chance, dice if chance else None,
    )  # fmt: skip
    hidden = after.LayerNorm(dropout(after.dense(mixed), after.dropout.p, dice, hidden))
    inner = last.dense(layer.intermediate(hidden))
    return last.LayerNorm(dropout(inner, last.dropout.p, dice, hidden))


def _side_by_side(attention: Any, hidden: Any) -> Any:
    """Queries, keys and values: one matrix product where the three are plain layers."""
    torch = load("torch")
    parts = (attention.query, attention.key, attention.value)
    if any(type(part) is not torch.nn.Linear for part in parts):  # adapters
        return torch.cat([part(hidden) for part in parts], dim=-1)
    weight = torch.cat([part.weight for part in parts])
    bias = torch.cat([part.bias for part in parts])
    return torch.nn.functional.linear(hidden, weight, bias)
