"""What a training will need, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reindex.cli.amounts import duration, size
from reindex.cli.output import emit_json, table

if TYPE_CHECKING:
    from reindex.training.needs import TrainingNeeds


def show_needs(needs: TrainingNeeds, *, as_json: bool) -> None:
    """Figures, and a warning where the memory is not enough."""
    if as_json:
        from dataclasses import asdict

        emit_json({**asdict(needs), "feasible": needs.fits})
        return
    table(["figure", "training"], _rows(needs), title=f"Training {needs.base}")
    if not needs.fits:
        click.secho(
            f"error: a batch of {needs.batch_size} does not fit into memory. Lower "
            f"train.batch_size to {needs.largest_batch or 1}, or train.max_length, or set "
            "train.batch_size above 128: gradients are cached then, 32 rows at a time.",
            fg="red",
        )


def _rows(needs: TrainingNeeds) -> list[list[str]]:
    kind = "packed" if needs.packed else "in parts of similar length"
    free = "" if needs.available is None else f" of {size(needs.available)} available"
    return [
        ["pairs", f"{needs.pairs:,}"],
        ["steps", f"{needs.steps:,} of {needs.batch_size} pairs"],
        ["tokens a pair", f"{needs.tokens:,.0f}, texts cut at {needs.max_length}, {kind}"],
        ["rate of this machine", f"{needs.pairs_per_second:.3g} pairs/s, {needs.threads} threads"],
        ["time, without evaluations", duration(needs.seconds)],
        ["weights, gradients, optimizer", size(needs.state)],
        ["activations of a step", size(needs.activations)],
        ["memory", size(needs.memory) + free],
        [
            "largest batch that fits",
            "" if needs.largest_batch is None else f"{needs.largest_batch:,}",
        ],
    ]
