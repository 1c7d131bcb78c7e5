"""A corpus as it was when mining began: its different texts in one file, by number."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reindex.errors import DataError
from reindex.records import Document, query_hash

Progress = Any


def text_key(text: str) -> int:
    """64 bits that equal texts share, whatever their case and white space."""
    return int(query_hash(text)[:16], 16)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Texts by number, in the order of the source; each different text once.

    In memory are 24 bytes a text (and about 100 while it is written); the texts are in ``file``.

    Attributes:
        digest: sha256 over the texts, in order.
        offsets: where text i begins in the file, in bytes; one more entry is the file's end.
        keys: `text_key` of each text. ``order`` sorts them.
    """

    file: Path
    digest: str
    offsets: NDArray[np.int64]
    keys: NDArray[np.uint64]
    order: NDArray[np.int64]

    @classmethod
    def write(cls, documents: Iterable[Document], file: Path) -> Snapshot:
        """Read a source to its end.

        Raises:
            DataError: no document has a text.
        """
        digest, seen = hashlib.sha256(), set[int]()
        offsets, keys = array("q", [0]), array("Q")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for document in documents:
                key = text_key(document.text)
                if key in seen or not document.text.strip():
                    continue
                seen.add(key)
                keys.append(key)
                data = document.text.encode("utf-8", "surrogatepass")
                digest.update(len(data).to_bytes(8, "big") + data)
                out.write(data)
                offsets.append(offsets[-1] + len(data))
        if not keys:
            raise DataError("Expected documents to take negatives from, got none with a text.")
        numbers = np.array(keys, np.uint64)
        return cls(
            file, digest.hexdigest(), np.array(offsets, np.int64), numbers,
            np.argsort(numbers, kind="stable"),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.keys)

    def texts(self, numbers: Iterable[int]) -> list[str]:
        """The texts of these numbers."""
        with self.file.open("rb") as stored:
            return [self._read(stored, int(number)) for number in numbers]

    def _read(self, stored: Any, number: int) -> str:
        stored.seek(self.offsets[number])
        data: bytes = stored.read(int(self.offsets[number + 1] - self.offsets[number]))
        return data.decode("utf-8", "surrogatepass")

    def blocks(self, size: int) -> Iterator[tuple[int, list[str]]]:
        """All texts in order: number of the first one, and up to ``size`` texts."""
        for start in range(0, len(self), size):
            yield start, self.texts(range(start, min(start + size, len(self))))

    def find(self, keys: Sequence[int]) -> NDArray[np.int64]:
        """The number of the text with each key; -1 where there is none."""
        wanted = np.array(keys, np.uint64)
        places = np.searchsorted(self.keys, wanted, sorter=self.order)
        numbers = self.order[np.minimum(places, len(self) - 1)]
        return np.where(self.keys[numbers] == wanted, numbers, -1)
