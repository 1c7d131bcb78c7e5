"""What a build runs on: this process, or the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from reindex.build.hand import Crew
from reindex.encoder import OnnxEncoder
from reindex.protocols import DocumentSource, Encoder
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Engine:
    """Where texts are embedded. ``address``: of the Ray cluster; None: as the config says."""

    name: Literal["local", "ray"] = "local"
    address: str | None = None


LOCAL = Engine()


@dataclass(frozen=True, slots=True)
class Means:
    """What a build embeds with and reads through; ``details`` are recorded with the run.

    ``crew``: embeds and writes elsewhere; None: the build writes.
    """

    encoder: Encoder
    source: Callable[[DocumentSource], DocumentSource]
    details: dict[str, Any]
    crew: Crew | None = None


@contextlib.contextmanager
def means(
    workspace: Workspace, encoder: OnnxEncoder, documents: Encoder, engine: Engine
) -> Iterator[Means]:
    """The engine's encoder, and its way to read, for the time of the block.

    ``documents`` embeds documents in this process; ``encoder`` is what workers load.

    Raises:
        MissingExtra: ray is not installed.
        BuildError: the cluster does not answer, or no worker fits on it.
    """
    if engine.name == "local":
        tuning = getattr(encoder, "tuning", None)
        threads = {"threads": None if tuning is None else asdict(tuning)}
        yield Means(documents, lambda source: source, threads)
        return
    from reindex.distributed import Cluster, Reading, hands, joined

    settings = workspace.settings.distributed
    cluster = Cluster(engine.address or settings.address, settings.workers, settings.cpus)
    with joined(cluster, workspace.encoder_maker(encoder), encoder) as pooled:
        details: dict[str, Any] = {"engine": "ray", "workers": pooled.workers}
        reading, crew = Reading(pooled.workers), hands(pooled, workspace.store)
        details["writing"] = "the driver" if crew is None else "the workers"
        yield Means(pooled, reading, details, crew)
        details["lost_calls"] = pooled.lost
        details["reading"] = reading.how()
