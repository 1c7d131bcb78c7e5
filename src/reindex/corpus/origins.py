"""How a file of training pairs was made, in a JSON file beside it: ``pairs.jsonl.origin.json``."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reindex.errors import DataError

SUFFIX = ".origin.json"


def origin_file(path: Path) -> Path:
    """Where the origin of a file is told."""
    return path.with_name(path.name + SUFFIX)


def origin_of(path: Path) -> dict[str, Any] | None:
    """What is told of a file; None where nothing is, or where the file was changed since."""
    told = _told(path)
    return told if told and told.get("sha256") == _file_hash(path) else None


def _told(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(origin_file(path).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def check_ours(path: Path) -> None:
    """Raise DataError where a file would be overwritten that was not made so, or was changed."""
    told = _told(path)  # a kill may have left the file that was to be replaced
    if path.exists() and _file_hash(path) not in (told.get("sha256"), told.get("replaces")):
        raise DataError(
            f"{path} is there already, and not as it was written. Name another with --output."
        )


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], origin: Mapping[str, Any]) -> None:
    """Write a JSONL file in one step, and beside it how it was made.

    Raises:
        DataError: it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", errors="surrogatepass") as out:
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        told = {**origin, "sha256": _file_hash(part), "replaces": _file_hash(path)}
        beside = origin_file(path).with_name(f"{path.name}{SUFFIX}.part")
        beside.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
        os.replace(beside, origin_file(path))
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from None


def _file_hash(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
