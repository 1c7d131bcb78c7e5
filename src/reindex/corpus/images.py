"""Images as documents: the reference that stands for the text, checked to be an image."""

from __future__ import annotations

from pathlib import Path

from reindex.errors import MissingExtra
from reindex.records import image_reference


def checked_reference(folder: Path, name: str) -> str:
    """The `image_reference` of a file that a row names.

    Headers and checksums are looked at, so that what is no image is a bad row wherever rows are
    read; a file that is broken further in is refused when it is embedded.

    Raises:
        ValueError: there is no such file, or it is no image; the message is a row's reason.
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("images", "pillow") from None
    try:
        with Image.open(folder / name) as image:
            image.verify()
        return image_reference(folder / name)
    except Exception as error:  # Pillow raises all sorts for broken files
        reason = getattr(error, "strerror", None) or "it is no image"
        raise ValueError(f"the image cannot be read ({reason}): {name}") from None
