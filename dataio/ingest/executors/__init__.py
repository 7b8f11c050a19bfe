"""Where the builder's work runs: in this process, in processes of this machine, or on a Ray cluster. One small interface."""

from dataio.ingest.executors.executor import Executor, WorkerDiedError
from dataio.ingest.executors.local import Inline, LocalPool, local

__all__ = ["Executor", "Inline", "LocalPool", "WorkerDiedError", "executor", "local"]


def executor(workers: int, ray: str | None) -> Executor:
    """`workers` processes of this machine, or the Ray cluster at this address."""
    if ray is None:
        return local(workers)
    from dataio.ingest.executors.ray import RayCluster

    return RayCluster(ray)
