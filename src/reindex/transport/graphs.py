"""Where an ONNX graph keeps its data, read from the file itself, without the onnx package.

A tensor may lie in another file, whose path the graph says; a runtime reads it from there. The
walk follows every message of ``onnx.proto`` that can hold a tensor, and no others, so that weights
are skipped and not read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from reindex.errors import ArtifactError

_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Message -> field number -> message within; of onnx.proto 1.19, where numbers are never reused."""

DEEPEST = 64
"""Graphs within graphs; loops and conditions of real models go a few levels deep."""

_Span = tuple[int, int]


def external_data(file: Path) -> list[str]:
    """The paths that the tensors of a graph name, relative to the graph's folder; each once.

    Raises:
        ArtifactError: the file is no ONNX model.
    """
    size = file.stat().st_size
    if not size:
        raise ArtifactError(f"{file.name} is empty, so it is no ONNX graph.")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            found = dict.fromkeys(_locations(data, (0, size), "model", 0))
        except (IndexError, ValueError) as error:
            raise ArtifactError(f"{file.name} is no ONNX graph ({error}).") from None
    return list(found)


def _locations(data: mmap.mmap, span: _Span, kind: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        raise ValueError("graphs within graphs within graphs")
    inside = _MESSAGES[kind]
    for number, part in _fields(data, span):
        if number not in inside:
            continue
        if inside[number] == "entry":
            yield from _location(data, part)
        else:
            yield from _locations(data, part, inside[number], depth + 1)


def _location(data: mmap.mmap, span: _Span) -> Iterator[str]:
    """The value of a key-value pair whose key is ``location``."""
    pair = {number: data[start:end] for number, (start, end) in _fields(data, span)}
    if pair.get(1) == b"location":
        yield pair.get(2, b"").decode("utf-8", "surrogateescape")


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, _Span]]:
    """The fields of a message that have a length: number, and where the content lies."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        if wire == 2:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise ValueError("a field is longer than its message")
            yield key >> 3, (at, at + length)
            at += length
        elif wire == 0:
            _, at = _varint(data, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
    if at != end:
        raise ValueError("a message ends within a field")


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise ValueError("a number has no end")
