"""A trial's parameters as the settings of a training, and which of them there can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from reindex.config import TrainSettings
from reindex.errors import ConfigError


def own_recipe(settings: TrainSettings, space: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of the settings themselves, as parameters."""
    own = json.loads(settings.model_dump_json())
    mined = settings.negatives
    own["negatives"] = mined.number if mined.sources else 0
    return {name: own[name] for name in space}


def variant(settings: TrainSettings, params: Mapping[str, Any]) -> TrainSettings:
    """The settings with a trial's parameters in place of theirs.

    Raises:
        ConfigError: they do not go together.
    """
    changes = dict(params)
    if "negatives" in changes:  # 0: none; else so many, from the configured sources
        mined = settings.negatives.model_dump()
        number = changes["negatives"]
        changes["negatives"] = mined | (
            {"number": number} if number else {"sources": (), "phases": 1}
        )
    try:
        return TrainSettings.model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        said = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise ConfigError(f"{dict(params)} does not go with [train]: {said}.") from None


def check_space(settings: TrainSettings, space: Mapping[str, Any]) -> None:
    """Refuse a search that would come upon a recipe that there cannot be.

    Raises:
        ConfigError: names every value that does not go with the rest of [train], and why.
    """
    wrong = []
    for name, values in space.items():
        for value in values.values() if isinstance(values, Mapping) else values:
            try:
                variant(settings, {name: value})
            except ConfigError as error:
                wrong.append(f"  {error}")
    if wrong:
        raise ConfigError(
            "[trials] holds what cannot be trained:\n" + "\n".join(wrong) + "\nTake these values "
            "out of [trials], or change in [train] what they do not go with."
        )
