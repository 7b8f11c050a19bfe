"""A build on a Ray cluster of two nodes: the same bytes as anywhere else, and errors that are the errors themselves."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor as Session
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import WorkerDiedError, executor, local
from dataio.ingest.executors.ray import RayCluster, RemoteTraceback
from dataio.ingest.sources import SourceError
from tests.clips import contents

OPTIONS = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=2_500_000)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def test_an_address_where_nobody_answers_is_said_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "garbage", "127.0.0.1:port"):
        with (
            pytest.raises(RuntimeError, match=f"no Ray cluster answers at {address}; allowed is"),
            RayCluster(address).session(),
        ):
            pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two nodes of one CPU each, on this machine."""
    folder = tempfile.mkdtemp(prefix="ray")  # short: its sockets have names of at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=node)
        try:
            nodes.add_node(**node)
            yield RayCluster(nodes.address)
        finally:
            nodes.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def connected(cluster: RayCluster) -> Iterator[RayCluster]:
    """Connected once for all tests that do not look at connecting; a session then leaves the connection alone."""
    import ray

    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a build in this process."""
    out = tmp_path_factory.mktemp("expected") / "shards"
    build(source, out, OPTIONS, local(1))
    return contents(out)


class Traced(RayCluster):
    """Leaves a file NODE/TASK for every task that ran. The first ones wait for the other node, whose workers take long to start."""

    def __init__(self, cluster: RayCluster, folder: Path) -> None:
        super().__init__(cluster.address)
        self._folder = folder

    @contextmanager
    def session(self) -> Iterator[Session]:
        with super().session() as session:
            submit, folder = session.submit, self._folder

            def traced(fn: Callable[..., Any], /, *args: Any) -> Any:
                def run(*args: Any) -> Any:
                    import ray

                    node = folder / ray.get_runtime_context().get_node_id()
                    node.mkdir(exist_ok=True)
                    deadline = time.monotonic() + 300
                    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
                        time.sleep(0.05)
                    result = fn(*args)
                    (node / f"{fn.__name__}-{getattr(args[0], 'name', args[0])}".replace("/", "_")).touch()
                    return result

                return submit(run, *args)

            session.submit = traced  # type: ignore[method-assign, assignment]
            yield session


class _StoppedError(Exception):
    """Stands for whatever may come in between."""


def test_two_nodes_build_what_one_process_does_and_go_on_after_an_error(
    connected: RayCluster, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected
) -> None:
    def stop(progress: Progress) -> None:
        if progress.name and progress.done == 2:
            raise _StoppedError

    (tmp_path / "nodes").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # relative paths mean the same on every node
    cluster = Traced(connected, tmp_path / "nodes")
    build(Path(os.path.relpath(source)), "whole", OPTIONS, cluster)
    assert contents(tmp_path / "here" / "whole") == expected
    nodes = [sorted(path.name for path in node.iterdir()) for node in (tmp_path / "nodes").iterdir()]
    assert len(nodes) == 2
    assert all(any(name.startswith("encode") for name in node) for node in nodes), nodes
    with pytest.raises(_StoppedError):
        build(Path(os.path.relpath(source)), "out", OPTIONS, cluster, stop)
    left = contents(tmp_path / "here" / "out")
    assert not any(name.endswith(".json") and "manifest" in name for name in left)
    time.sleep(1)
    assert contents(tmp_path / "here" / "out") == left  # nobody writes any more
    told: list[Progress] = []
    report = build(Path(os.path.relpath(source)), "out", OPTIONS, cluster, told.append)
    assert report["resumed"] is True
    assert sum(progress.name is not None for progress in told) <= 3  # nothing that was encoded is encoded again
    assert contents(tmp_path / "here" / "out") == expected


def test_workers_have_one_thread_and_results_their_order(connected: RayCluster) -> None:
    def seen(number: int) -> tuple[int, int, dict[str, str | None], str]:
        import torch

        time.sleep(0.2 * (number == 0))
        return number, torch.get_num_threads(), {name: os.environ.get(name) for name in THREADS}, str(Path.cwd())

    with connected.session():
        assert connected.slots == 2
    assert list(connected.map(seen, range(6))) == [(k, 1, dict.fromkeys(THREADS, "1"), str(Path.cwd())) for k in range(6)]


def test_errors_come_out_as_themselves(connected: RayCluster, source: Path, tmp_path: Path) -> None:
    def missing() -> None:
        raise FileNotFoundError(2, "No such file or directory", "a.mp4")

    def broken() -> None:
        try:
            missing()
        except OSError as error:
            raise SourceError("a.mp4 cannot be read as video") from error

    def odd() -> None:
        class OddError(Exception):
            def __init__(self, one: int, two: int) -> None:
                super().__init__(f"{one} and {two}")

        raise OddError(1, 2)

    with connected.session() as session:
        futures = [session.submit(fn) for fn in (missing, broken, odd)]
        errors = [future.exception(timeout=600) for future in futures]
    assert [type(error) for error in errors] == [FileNotFoundError, SourceError, RuntimeError]
    assert [str(error) for error in errors] == [
        "[Errno 2] No such file or directory: 'a.mp4'",
        "a.mp4 cannot be read as video",
        "OddError: 1 and 2",
    ]
    assert errors[0].errno == 2  # type: ignore[union-attr]
    where = errors[1].__cause__  # type: ignore[union-attr]
    assert isinstance(where, RemoteTraceback)
    assert "in broken" in str(where) and "in missing" in str(where)

    shutil.copytree(source, tmp_path / "source")
    (tmp_path / "source" / "one.wav").write_bytes(b"no sound")
    with pytest.raises(SourceError, match=r"--strict: one would be skipped"):
        build(tmp_path / "source", tmp_path / "out", OPTIONS, connected, strict=True)


def test_a_worker_that_is_killed_is_an_error_and_nothing_is_tried_twice(connected: RayCluster, tmp_path: Path) -> None:
    def die() -> None:
        (tmp_path / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)

    with connected.session() as session:
        error = session.submit(die).exception(timeout=600)
        assert session.submit(int, "7").result(timeout=600) == 7  # others go on
    assert isinstance(error, WorkerDiedError)
    assert str(error).startswith("a worker or a node of the Ray cluster died: ")
    assert "\n" not in str(error)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_exception_cancels_what_runs_and_what_waits(connected: RayCluster, tmp_path: Path) -> None:
    def begin(number: int) -> None:
        (tmp_path / str(number)).touch()
        time.sleep(900)
        (tmp_path / "over").touch()

    def leave() -> None:
        with connected.session() as session:
            futures.extend(session.submit(begin, number) for number in range(4))
            deadline = time.monotonic() + 300
            while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            raise _StoppedError

    futures: list[Any] = []
    start = time.monotonic()
    with pytest.raises(_StoppedError):
        leave()
    assert time.monotonic() - start < 300
    assert all(isinstance(future.exception(timeout=300), WorkerDiedError) for future in futures)
    assert len(list(tmp_path.iterdir())) == 2


def test_without_ray_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\nfrom dataio.ingest.executors import executor\n"
        "with executor(1, 'auto').session(): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == "RuntimeError: working on a Ray cluster needs a package that is not installed: pip install 'sonosphere[ray]'"
    assert isinstance(executor(1, "auto"), RayCluster)


@pytest.mark.parametrize("address", ["of the head", "auto"])
def test_a_session_connects_by_itself_and_leaves_nothing_connected(cluster: RayCluster, address: str) -> None:
    code = (
        "import sys\nfrom dataio.ingest.executors.ray import RayCluster\n"
        "cluster = RayCluster(sys.argv[1])\n"
        "with cluster.session() as session: print(cluster.slots, session.submit(abs, -3).result())\n"
        "import ray; print(cluster.slots, ray.is_initialized())"
    )
    address = address if address == "auto" else cluster.address
    done = subprocess.run([sys.executable, "-c", code, address], capture_output=True, text=True)
    assert done.stdout == "2 3\n1 False\n", done.stderr  # both nodes: the cluster that runs
    assert done.stderr == ""
