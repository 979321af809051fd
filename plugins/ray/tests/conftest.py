"""A Ray cluster of nodes on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

HERE = str(Path(__file__).parent)


def _started(cluster, **node):
    """Add a node. Ray gives one 15 seconds to start, which is too little on a machine that is busy with other tests."""
    for _ in range(4):
        try:
            return cluster.add_node(**node)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return cluster.add_node(**node)


@pytest.fixture(scope="module")
def cluster():
    """A cluster of a node without CPUs, to which others are added."""
    before = {name: os.environ.get(name) for name in ("RAY_ADDRESS", "PYTHONPATH")}
    # The modules of these tests, for the processes of the cluster.
    os.environ["PYTHONPATH"] = HERE
    made = Cluster()
    _started(made, num_cpus=0, include_dashboard=False)
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    ray.shutdown()
    made.shutdown()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="module")
def node(cluster):
    """A node that lives as long as the cluster."""
    return _started(cluster, num_cpus=1)


@pytest.fixture(scope="module")
def start_node():
    """What adds a node to a cluster."""
    return _started
