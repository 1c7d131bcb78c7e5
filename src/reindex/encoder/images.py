"""Images -> vectors: the vision tower of a text–image model, with onnxruntime, numpy and Pillow.

Preprocessing is that of the model's image processor (resize, crop, rescale, normalise), done here
without transformers. One image per ``run()`` call, as with texts.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.artifact import ImageTower
from reindex.encoder.runtime import open_graph, unit
from reindex.errors import ArtifactError, MissingExtra
from reindex.records import Vector, image_path

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXELS, EMBEDDING = "pixel_values", "image_embeds"


class ImageEncoder:
    """The vision tower of an artifact. Safe to call from several threads.

    Raises:
        ArtifactError: the graph cannot be loaded.
        MissingExtra: Pillow is not installed.
    """

    def __init__(self, folder: Path, tower: ImageTower, graph: str) -> None:
        try:
            import PIL.Image  # noqa: F401
        except ImportError:
            raise MissingExtra("images", "pillow") from None
        self._tower = tower
        self._graph = graph
        self._file = folder / tower.graphs[graph].file
        self._session = open_graph(self._file)

    def __call__(self, reference: str) -> Vector:
        """The image that a document's text refers to -> ``(dim,)``, unit length.

        Raises:
            OSError: there is no such file. ValueError: it is no image that can be read.
        """
        return self.embed(load_image(Path(image_path(reference))))

    def embed(self, image: Any) -> Vector:
        """A PIL image -> ``(dim,)``, unit length."""
        pixels = preprocess(image, self._tower)
        return unit(self._session.run([EMBEDDING], {PIXELS: pixels})[0][0])

    def check_probe(self, tolerance: float) -> None:
        """Raises ArtifactError where the image made for it has another vector here (by cosine)."""
        expected = np.frombuffer(base64.b64decode(self._tower.probes[self._graph]), "<f4")
        cosine = float(self.embed(probe_image()) @ expected)
        if not cosine >= tolerance:
            raise ArtifactError(
                f"{self._file} computes other vectors of images here than where it was exported: "
                f"expected a cosine of at least {tolerance}, found {cosine:.5f}. Export the "
                "version again here and build its collection anew."
            )


def load_image(file: Path) -> Any:
    """A file as an RGB image, turned as its EXIF tag says it was taken.

    Raises:
        OSError: there is no such file. ValueError: it is no image that can be read.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow raises all sorts for broken files
        raise ValueError(f"{file} is no image that can be read ({error})") from None


def probe_image() -> Any:
    """A made image with edges and gradients, the same everywhere; wider than high."""
    from PIL import Image

    rows, columns = np.mgrid[0:120, 0:180]
    bands = [columns, rows * 2, (rows // 24 + columns // 30) % 2 * 255]
    return Image.fromarray(np.stack(bands, axis=-1).astype(np.uint8), "RGB")


def preprocess(image: Any, tower: ImageTower) -> Vector:
    """``(1, 3, height, width)`` float32, as transformers' CLIPImageProcessor computes it."""
    if tower.resize:
        image = image.resize(_resized(image.size, tower.resize), tower.resample)
    pixels: Vector = np.asarray(image, dtype=np.float32)
    if tower.crop:
        pixels = _centre(pixels, *tower.crop)
    pixels = pixels * np.float32(tower.rescale)
    mean, std = np.array(tower.mean, np.float32), np.array(tower.std, np.float32)
    normal = (pixels - mean) / std
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)


def _resized(size: tuple[int, int], wanted: Sequence[int]) -> tuple[int, int]:
    """(width, height) after resizing: to ``(height, width)``, or so that the shorter side fits."""
    width, height = size
    if len(wanted) == 2:
        return wanted[1], wanted[0]
    short = wanted[0]
    if width <= height:
        return short, int(short * height / width)
    return int(short * width / height), short


def _centre(pixels: Vector, height: int, width: int) -> Vector:
    """The middle of an image; what lies beyond its edges is black."""
    rows, columns = pixels.shape[:2]
    out = np.zeros((max(rows, height), max(columns, width), 3), np.float32)
    top, left = (out.shape[0] - rows + 1) // 2, (out.shape[1] - columns + 1) // 2
    out[top : top + rows, left : left + columns] = pixels
    top, left = (out.shape[0] - height) // 2, (out.shape[1] - width) // 2
    cut: Vector = out[top : top + height, left : left + width]
    return cut
