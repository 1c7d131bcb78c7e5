"""The Ray cluster of one build: joined or started, and how many workers fit."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reindex.distributed.encoder import PooledEncoder
from reindex.errors import BuildError, MissingExtra
from reindex.protocols import Encoder

MakeEncoder = Callable[[int], Encoder]
"""Loads the encoder on a worker, with so many threads. It is pickled, so it is a function of a
module, or a partial of one."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where to build, and with what.

    Attributes:
        address: of the cluster; None: `RAY_ADDRESS`, else one of this machine alone.
        workers: encoders; None: as many as fit.
        cpus: cores per encoder; None: those of the smallest machine.
    """

    address: str | None = None
    workers: int | None = None
    cpus: int | None = None


@contextlib.contextmanager
def joined(cluster: Cluster, make: MakeEncoder, local: Encoder) -> Iterator[PooledEncoder]:
    """Start the workers, and end them afterwards.

    Args:
        cluster: which one.
        make: loads the same encoder as ``local`` on a worker.
        local: the driver's, which says what the workers' must be.

    Raises:
        MissingExtra: ray is not installed.
        BuildError: no cluster answers, no worker fits, or none can load the encoder.
    """
    with _connected(cluster):
        size = _fitting(cluster)
        encoder = PooledEncoder(make, local, size.workers or 1, size.cpus or 1)
        try:
            encoder.start()
            yield encoder
        finally:
            encoder.close()


@contextlib.contextmanager
def _connected(cluster: Cluster) -> Iterator[None]:
    """A connection for the time of the block, unless the process has one already."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(
            address=cluster.address or os.environ.get("RAY_ADDRESS") or "local",
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=None if cluster.address else False,
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise BuildError(
            f"no Ray cluster answers at {cluster.address or 'this machine'}: {error}. Start one "
            "with `ray start --head`, or pass --address HOST:PORT of one that runs."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra("distributed", "ray[data]") from None
    return ray


def _fitting(cluster: Cluster) -> Cluster:
    """The cluster with its numbers filled in from what the machines have.

    Raises:
        BuildError: not one worker fits.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    cpus = cluster.cpus or max(1, min((count for count in cores if count), default=1))
    fitting = sum(count // cpus for count in cores)
    if not fitting:
        raise BuildError(
            f"no worker fits: each wants {cpus} cores, and the cluster's machines have "
            f"{cores} cores. Lower [distributed] cpus, or add machines."
        )
    workers = min(fitting, cluster.workers or fitting)
    return Cluster(cluster.address, workers, cpus)
