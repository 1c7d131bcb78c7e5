"""References to images, in training data and dev sets, become images when a batch is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reindex.encoder.images import load_image
from reindex.errors import DataError
from reindex.records import image_path


def is_text_image(model: Any) -> bool:
    """Whether a sentence-transformers model embeds images beside texts, as CLIP does."""
    config = getattr(model[0], "config", None)
    return getattr(config, "model_type", "") == "clip"


def read_images(model: Any) -> None:
    """Let a model's inputs be references (`reindex.records.image_reference`), in place.

    Where anything else is taken for an image, the model does as before.
    """
    transformer = model[0]
    as_before = transformer.preprocess

    def preprocess(inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        paths = [image_path(item) if isinstance(item, str) else "" for item in inputs]
        if not any(paths):
            return as_before(inputs, *args, **kwargs)
        if not all(paths):
            raise DataError(
                "A batch holds images and texts beside each other, which the model cannot embed in "
                "one. In training and on dev let all documents be images, or all texts."
            )
        try:
            images = [load_image(Path(path)) for path in paths]
        except (OSError, ValueError) as error:
            raise DataError(f"An image of the training data cannot be read: {error}.") from None
        return as_before(images, *args, **kwargs)

    transformer.preprocess = preprocess
