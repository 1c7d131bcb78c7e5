"""What was mined before: a file by the content that it was mined from."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reindex.mining.miner import Request
from reindex.mining.results import Mined, MiningReport
from reindex.plain import from_plain, to_plain
from reindex.records import TrainingExample

FORMAT = 1
"""Of the file, and of the way that negatives are chosen."""
SUFFIX = ".mined.gz"
_ELSEWHERE = {"model", "cross_encoder", "cache_mb", "rounds", "search"}
"""Settings that stand for what is hashed by its content, or that change no result."""


def content_key(request: Request, corpus: str, judges: Mapping[str, str]) -> str:
    """A hash of all that decides what is mined.

    Args:
        corpus: the snapshot's digest.
        judges: what scores, by what decides its scores: the model's encoding, for example.
    """
    digest = hashlib.sha256()
    settings = request.settings.model_dump(mode="json", exclude=_ELSEWHERE)
    _add(digest, [FORMAT, settings, request.seed, corpus, dict(judges)])
    for row in request.examples:
        _add(digest, [row.anchor, row.positive, *row.negatives])
    for key in sorted(request.positives):
        _add(digest, [key, sorted(request.positives[key])])
    return digest.hexdigest()[:32]


def _add(digest: Any, value: Any) -> None:
    digest.update(json.dumps(value, sort_keys=True).encode("utf-8", "surrogatepass") + b"\n")


class KeptMinings:
    """A folder of minings; past ``limit`` bytes the least lately used ones go."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit

    def get(self, key: str) -> Mined | None:
        """What was mined from the same content; None where it is not here, or damaged."""
        file = self._file(key)
        try:
            with gzip.open(file, "rt", encoding="utf-8", errors="surrogatepass") as lines:
                report = from_plain(MiningReport, json.loads(next(lines)))
                rows = tuple(_row(json.loads(line)) for line in lines)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, StopIteration):
            file.unlink(missing_ok=True)
            return None
        if len(rows) != report.rows:
            return None
        os.utime(file)
        report.cached = True
        return Mined(rows, report)

    def put(self, key: str, mined: Mined) -> None:
        """Keep a mining; its file appears whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{key}.{os.getpid()}.partial"
        report = json.dumps(to_plain(mined.report))
        with gzip.open(
            partial, "wt", compresslevel=3, encoding="utf-8", errors="surrogatepass"
        ) as out:
            out.write(report + "\n")
            out.writelines(_lines(mined.rows))
        partial.replace(self._file(key))
        self._make_room(self._file(key))

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}{SUFFIX}"

    def _make_room(self, newest: Path) -> None:
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
        used = sum(file.stat().st_size for file in files)
        for file in files:
            if used <= self._limit or file == newest:
                continue
            used -= file.stat().st_size
            file.unlink(missing_ok=True)


def _lines(rows: Iterable[TrainingExample]) -> Iterable[str]:
    return (json.dumps([row.anchor, row.positive, list(row.negatives)]) + "\n" for row in rows)


def _row(content: list[Any]) -> TrainingExample:
    anchor, positive, negatives = content
    return TrainingExample(anchor, positive, tuple(negatives))
