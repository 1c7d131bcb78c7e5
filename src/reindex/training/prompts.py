"""The prompts of a training: those of the settings, else those that the base declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reindex.prompts import FILE, read_prompts
from reindex.training.base import resolve_base
from reindex.training.hub import without_hub
from reindex.training.libraries import load

if TYPE_CHECKING:
    from reindex.config import TrainSettings


def with_prompts(settings: TrainSettings, base: str) -> TrainSettings:
    """The settings with both prompts said. ``base`` is what `resolve_base` takes."""
    query, document = prompts_of(settings, base)
    return settings.model_copy(update={"query_prompt": query, "document_prompt": document})


def prompts_of(settings: TrainSettings, base: str) -> tuple[str, str]:
    """Before queries and before documents; a configured one wins, also an empty one.

    Raises:
        ModelError: there is no such base.
    """
    given = settings.query_prompt, settings.document_prompt
    if given[0] is not None and given[1] is not None:
        return given[0], given[1]
    own = _declared(resolve_base(base))
    return (
        own[0] if given[0] is None else given[0],
        own[1] if given[1] is None else given[1],
    )


def _declared(place: str) -> tuple[str, str]:
    """Of a folder, or of a repository of the Hub (its small file is fetched and kept)."""
    if Path(place).is_dir():
        return read_prompts(Path(place))
    hub = load("huggingface_hub")
    try:
        kept = without_hub(place)
        return read_prompts(Path(hub.hf_hub_download(place, FILE, local_files_only=kept)).parent)
    except Exception:  # no such file, no such repository, no network: loading the model tells
        return "", ""
