"""Averaging a fine-tuned model with its base: what the base knew is kept, at a price.

WiSE-FT (Wortsman et al. 2021, arXiv:2109.01903) and LM-Cocktail (Xiao et al. 2023,
arXiv:2311.13534): each weight of the result is a mean of the base's and the tuned model's. How
much of the base is fixed, or chosen: the best on dev among those that keep the general sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reindex.errors import ConfigError
from reindex.protocols import Progress, no_progress
from reindex.training.libraries import load
from reindex.training.measures import Measures

if TYPE_CHECKING:
    from reindex.config.training_losses import AveragingSettings

GRID = tuple(step / 10 for step in range(10))
"""Shares of the base that are tried, none to nine tenths."""


@dataclass(frozen=True, slots=True)
class Average:
    """A share of the base's weights, and what the average scores on dev and in general."""

    base_weight: float
    dev: Mapping[str, float]
    general: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Averaged:
    """The share that was taken, what was tried, and what was forgotten.

    ``before`` are the base's general figures; ``kept`` says whether none of those that count, the
    first of each set, fell by more than the limit.
    """

    chosen: Average
    tried: tuple[Average, ...]
    before: Mapping[str, float]
    kept: bool

    def as_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        figures = [
            {"base_weight": item.base_weight, "dev": item.dev, "general": item.general}
            for item in self.tried
        ]
        return {
            "base_weight": self.chosen.base_weight,
            "general_before": self.before,
            "general_after": self.chosen.general,
            "kept": self.kept,
            "tried": figures,
        }


def check(settings: AveragingSettings, *, measured: bool, general: bool) -> None:
    """Refuse to choose by nothing.

    Raises:
        ConfigError: the share is to be chosen, and there is neither a dev nor a general set.
    """
    if settings.base_weight == "auto" and not (measured and general):
        lacking = "general set (train.averaging.general)" if measured else "dev data"
        raise ConfigError(
            f'train.averaging.base_weight = "auto" chooses the best on dev that keeps the general '
            f"sets, and there is no {lacking}. Give one, or a number."
        )


def average(
    model: Any,
    base: Any,
    settings: AveragingSettings,
    *,
    dev: Measures,
    general: Measures,
    progress: Progress = no_progress,
) -> Averaged:
    """Make ``model`` the average of itself and ``base``, in place.

    Args:
        model: the fine-tuned one.
        base: of the same architecture; not changed.
        settings: the share, or how to choose it.
        dev: what chooses, by its first figure.
        general: what must not fall: the first figure of each.
        progress: stage ``average``.
    """
    before = general.figures(base, untrained=True)
    tuned = {name: item.clone() for name, item in _floats(model).items()}
    shares = GRID if settings.base_weight == "auto" else (settings.base_weight,)
    tried = []
    for place, share in enumerate(shares):
        progress("average", place, len(shares))
        _mix(model, base, tuned, share)
        tried.append(Average(share, dev.figures(model), general.figures(model)))
    progress("average", len(shares), len(shares))
    firsts = {part.names[0] for part in general.parts}
    counted = {name: figure for name, figure in before.items() if name in firsts}
    chosen = _choose(tried, counted, settings.max_drop)
    _mix(model, base, tuned, chosen.base_weight)
    return Averaged(chosen, tuple(tried), before, _worst(chosen, counted) <= settings.max_drop)


def _floats(model: Any) -> dict[str, Any]:
    return {name: item for name, item in model.state_dict().items() if item.is_floating_point()}


def _mix(model: Any, base: Any, tuned: Mapping[str, Any], share: float) -> None:
    with load("torch").no_grad():
        other = _floats(base)
        for name, item in _floats(model).items():
            item.copy_((1 - share) * tuned[name] + share * other[name])


def _choose(tried: Sequence[Average], before: Mapping[str, float], limit: float) -> Average:
    """The best on dev of those within the limit; none is: the one that forgets least."""
    within = [item for item in tried if _worst(item, before) <= limit]
    if not within:
        return min(tried, key=lambda item: _worst(item, before))
    return max(within, key=lambda item: (next(iter(item.dev.values()), 0.0), -item.base_weight))


def _worst(item: Average, before: Mapping[str, float]) -> float:
    """The largest relative fall among the figures in ``before``; 0 where none fell."""
    falls = [1 - item.general[name] / figure for name, figure in before.items() if figure > 0]
    return max([0.0, *falls])
