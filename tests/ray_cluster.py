"""A Ray cluster of two machines (two raylets) with one core each, for tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def two_machines() -> Iterator[Any]:
    """A fixture's body: a head with one core and a second machine with one core."""
    import ray
    from ray.cluster_utils import Cluster as RayCluster

    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    memory = {"object_store_memory": 100_000_000}
    cluster = RayCluster(initialize_head=True, head_node_args={"num_cpus": 1, **memory})
    cluster.memory = memory
    cluster.second = cluster.add_node(num_cpus=1, **memory)
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def strike(cluster: Any) -> None:
    """Kill a worker on the first machine, and take the second one away."""
    _kill_a_worker(cluster)
    cluster.remove_node(cluster.second, allow_graceful=False)


def mend(cluster: Any) -> None:
    """A new second machine."""
    cluster.second = cluster.add_node(num_cpus=1, **cluster.memory)


def _kill_a_worker(cluster: Any) -> None:
    """SIGKILL to the process of the encoder on the first machine."""
    from ray._private.state import actors

    [pid] = [
        actor["Pid"]
        for actor in actors().values()
        if actor["State"] == "ALIVE"
        and actor["ActorClassName"] == "EncoderActor"
        and actor["Address"]["NodeID"] != cluster.second.node_id
    ]
    os.kill(pid, signal.SIGKILL)
