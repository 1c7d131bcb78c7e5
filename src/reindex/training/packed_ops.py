"""Differentiable pieces of a forward pass over packed texts: dropout and attention.

A *stream* is ``(tokens, width)``: texts one after the other, without padding. Import this module
only where torch is loaded anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

BLOCK_TOKENS = 128
"""Short texts share a block of attention up to this many tokens; what they see is masked."""


class Dice:
    """Random signs for dropout, ten times cheaper than torch's own on a CPU.

    ``torch.bernoulli_`` takes 15 to 20 ns a number there, one thread at a time: a third of a
    training step of a small encoder. Here a number is 16 bits of numpy's SFC64, so the probability
    is exact to 1/65,536. The seed comes from torch's generator: what replays that one (a resumed
    training, cached gradients) replays these.
    """

    def __init__(self) -> None:
        self._bits: Any = None

    def signs(self, shape: Sequence[int], probability: float) -> torch.Tensor:
        """float32 of that shape: -1 with the probability, else 1."""
        if self._bits is None:
            seed = int(torch.randint(2**63 - 1, ()))
            self._bits = np.random.Generator(np.random.SFC64(seed))
        count = int(np.prod(shape))
        words = self._bits.integers(0, 2**64, -(-count // 4), dtype=np.uint64)
        drawn = torch.from_numpy(words.view(np.int16))[:count].to(torch.float32)
        # kept where drawn >= edge; at a half, so that no number is on it; then cut to -1 and 1
        edge = round(probability * 2**16) - 2**15 - 0.5
        return drawn.sub_(edge).mul_(2).clamp_(-1, 1).view(*shape)


class _Dropout(torch.autograd.Function):  # type: ignore[misc]
    """``residual + dropout(x)``; see `dropout`."""

    @staticmethod
    def forward(ctx: Any, x: Any, residual: Any, signs: Any, probability: float) -> Any:
        noise = signs.clamp_(min=0).to(x.dtype)
        ctx.save_for_backward(noise)
        ctx.scale, ctx.residual = 1 / (1 - probability), residual is not None
        if residual is None:
            return (x * noise).mul_(ctx.scale)
        if residual.dtype == x.dtype:
            return torch.addcmul(residual, x, noise, value=ctx.scale)
        return residual + (x * noise).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (noise,) = ctx.saved_tensors
        (gradient,) = gradients
        own = (gradient * noise).mul_(ctx.scale).to(noise.dtype)
        return own, gradient if ctx.residual else None, None, None


def dropout(x: Any, probability: float, dice: Dice | None, residual: Any = None) -> Any:
    """``x`` after dropout, plus ``residual``; ``dice`` is None where nothing is dropped."""
    if not probability or dice is None:
        return x if residual is None else x + residual
    return _Dropout.apply(x, residual, dice.signs(x.shape, probability), probability)


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens ``start`` to ``end`` of a stream, whose attention is computed at once.

    ``bias`` is None for one text, else ``(1, n, n)`` of zeros within a text and -inf between two.
    """

    start: int
    end: int
    bias: torch.Tensor | None


def blocks_of(lengths: Sequence[int], most: int = BLOCK_TOKENS) -> list[Block]:
    """Long texts alone, short neighbours together."""
    found: list[Block] = []
    group: list[int] = []
    start = 0
    for length in [*lengths, most]:
        if group and sum(group) + length > most:
            found.append(Block(start, start + sum(group), _bias(group)))
            start, group = start + sum(group), []
        group.append(length)
    return found


def _bias(lengths: Sequence[int]) -> torch.Tensor | None:
    if len(lengths) == 1:
        return None
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    apart = owner[:, None] != owner[None, :]
    return torch.zeros(apart.shape).masked_fill_(apart, float("-inf"))[None]


def _attend(
    ctx: Any, packed: Any, blocks: list[Block], heads: int, probability: float, dice: Any
) -> Any:
    """The output of `Attention`; what its gradient needs is noted in ``ctx``."""
    tokens, width = packed.shape[0], packed.shape[1] // 3
    parts = packed.view(tokens, 3, heads, width // heads).permute(1, 2, 0, 3).contiguous()
    query, key, value = parts
    query.mul_((width // heads) ** -0.5)
    out = torch.empty_like(query)
    kept = []
    for block in blocks:
        rows = slice(block.start, block.end)
        scores = torch.bmm(query[:, rows], key[:, rows].transpose(1, 2))
        if block.bias is not None:
            scores.add_(block.bias)
        chances = torch.softmax(scores, -1)
        used = chances
        if dice is not None:
            chances.mul_(dice.signs(chances.shape, probability))
            used = torch.relu(chances)
        out[:, rows] = torch.bmm(used, value[:, rows])  # bmm is slow into a part
        kept.append(chances)
    ctx.scale = 1.0 if dice is None else 1 / (1 - probability)
    result = out.permute(1, 0, 2).reshape(tokens, width).mul_(ctx.scale)
    ctx.save_for_backward(parts, result, *kept)
    ctx.blocks, ctx.dropped = blocks, dice is not None
    return result


def _slopes(ctx: Any, gradient: Any) -> Any:
    """The gradient of queries, keys and values, from that of the output."""
    parts, result, *kept = ctx.saved_tensors
    query, key, value = parts
    heads, tokens, dim = query.shape
    inner = (gradient * result).view(tokens, heads, dim).sum(-1).t().unsqueeze(-1)
    above = gradient.view(tokens, heads, dim).permute(1, 0, 2).contiguous().mul_(ctx.scale)
    found = torch.empty_like(parts)
    for block, chances in zip(ctx.blocks, kept, strict=True):
        rows = slice(block.start, block.end)
        used = torch.relu(chances) if ctx.dropped else chances
        found[2][:, rows] = torch.bmm(used.transpose(1, 2), above[:, rows])
        slope = torch.bmm(above[:, rows], value[:, rows].transpose(1, 2))
        if ctx.dropped:
            slope = torch.ops.aten.threshold_backward(slope, chances, 0)
        slope.sub_(inner[:, rows]).mul_(chances.abs())
        found[0][:, rows] = torch.bmm(slope, key[:, rows])
        found[1][:, rows] = torch.bmm(slope.transpose(1, 2), query[:, rows])
    found[0].mul_(dim**-0.5)
    return found.permute(2, 0, 1, 3).reshape(tokens, -1)


class Attention(torch.autograd.Function):  # type: ignore[misc]
    """Softmax attention within each text of a stream.

    Takes queries, keys and values ``(tokens, 3 * heads * dim)`` side by side, and gives
    ``(tokens, heads * dim)``. What is kept for the backward pass is one number per pair of
    tokens: the probability, negative where it was dropped. Gradients as in FlashAttention (Dao et
    al. 2022, arXiv:2205.14135, appendix B.4): of a row's softmax by the row of the output.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any, packed: Any, blocks: list[Block], heads: int, probability: float, dice: Any
    ) -> Any:
        with torch.autocast("cpu", enabled=False):  # in the precision that came
            return _attend(ctx, packed, blocks, heads, probability, dice)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:  # noqa: D102
        return _slopes(ctx, gradients[0]), None, None, None, None
