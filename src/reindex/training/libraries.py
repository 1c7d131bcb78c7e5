"""The libraries of the [train] extra: loaded when used, kept quiet, their versions told."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from reindex.errors import MissingExtra

_DECIDE = ("torch", "sentence-transformers", "transformers", "tokenizers", "datasets", "accelerate")
_CHATTY = ("transformers", "sentence_transformers", "datasets", "accelerate")


def load(*modules: str) -> Any:
    """Import the modules; return the last.

    Raises:
        MissingExtra: one of them, or what it needs, is not installed.
    """
    module: Any = None
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = (error.name or name).split(".")[0].replace("_", "-")
            raise MissingExtra("train", missing) from None
    return module


def sentence_transformers_part(name: str) -> Any:
    """``losses`` or ``evaluation``, from where this release of the library keeps it."""
    library = load("torch", "transformers", "sentence_transformers")
    for home in (f"{library.__name__}.sentence_transformer", library.__name__):
        if importlib.util.find_spec(home) and importlib.util.find_spec(f"{home}.{name}"):
            return importlib.import_module(f"{home}.{name}")
    raise MissingExtra("train", "sentence-transformers")


def versions() -> dict[str, str]:
    """Versions of all that decides a training's result, for its lineage."""
    found = {"python": platform.python_version()}
    for name in _DECIDE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars, notes and warnings of the libraries for a while.

    Their loggers fall back to errors and their bars are off: stderr belongs to our own progress,
    and stdout to the command's result. Everything is put back as it was.
    """
    bars = load("transformers.utils.logging")
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
