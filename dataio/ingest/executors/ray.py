"""Running on the machines of a Ray cluster (https://docs.ray.io)."""

import concurrent.futures
import os
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dataio.ingest.executors.executor import Executor, WorkerDiedError
from dataio.ingest.executors.local import ONE_THREAD

_CANCELLED = 10.0  # seconds in which cancelled tasks should have ended
_ANSWERS = 5.0  # seconds in which a cluster should
_COUNTED = 5.0  # seconds for which the number of CPUs is believed


class RemoteTraceback(Exception):  # noqa: N818  it is the cause of an error, never raised
    """Where an error arose in a worker, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class RayCluster(Executor):
    """One-CPU tasks on a Ray cluster, each single-threaded.

    Every machine must have this version of sonosphere installed, and see the source, and the output unless it is a URL, under the
    same paths (a shared file system). What the output's URL needs to be opened (see RemoteFolder) must be set on every machine, in
    the environment in which its Ray was started. A task is never tried twice: a build goes on when it is started again.

    Args:
        address: `HOST:PORT` of the head, `ray://HOST:PORT` of its client server, or `auto`: `$RAY_ADDRESS`, or the cluster that
            `ray start` has started on this machine, or else one that is started for the length of the session and ends with it. A
            process that is already connected to a cluster stays with it, whatever the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._counted, self._slots = -_COUNTED, 1

    @property
    def slots(self) -> int:  # type: ignore[override]
        """CPUs of the cluster now, which may grow and shrink; 1 outside a session."""
        if (now := time.monotonic()) - self._counted > _COUNTED and _connected():
            self._slots, self._counted = max(1, int(_ray().cluster_resources().get("CPU", 0))), now
        return self._slots

    @contextmanager
    def session(self) -> Iterator[concurrent.futures.Executor]:
        """Connect, unless this process is connected; leave what was not connected here.

        Raises:
            RuntimeError: Ray is not installed, or no cluster answers.
        """
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address)
        session = _Session(ray)
        try:
            yield session
        except BaseException:
            session.cancel()
            raise
        finally:
            self._counted, self._slots = -_COUNTED, 1
            if ours:
                ray.shutdown()


class _Session(concurrent.futures.Executor):
    """Hands tasks to Ray and turns what comes back into plain futures."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._task = ray.remote(_run).options(
            num_cpus=1, max_retries=0, scheduling_strategy="SPREAD", runtime_env={"env_vars": dict(ONE_THREAD)}
        )
        self._under_way: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()  # Ray settles futures in a thread of its own

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        reference = self._task.remote(str(Path.cwd()), fn, args, kwargs)
        with self._lock:
            self._under_way[future] = reference
        reference.future().add_done_callback(lambda settled: self._settle(settled, future))
        return future

    def _settle(self, settled: Future[Any], future: Future[Any]) -> None:
        with self._lock:
            self._under_way.pop(future, None)
        if settled.cancelled():
            future.cancel()
            return
        if (error := settled.exception()) is not None:
            future.set_exception(_translated(self._ray, error))
            return
        result, error, where = settled.result()
        if error is None:
            future.set_result(result)
            return
        error.__cause__ = RemoteTraceback(where)
        future.set_exception(error)

    def cancel(self) -> None:
        """Stop what is running, so that nobody writes any more when this returns."""
        with self._lock:
            left = list(self._under_way.values())
        for reference in left:
            with suppress(Exception):  # it may just have ended, and its node too
                self._ray.cancel(reference, force=True)
        if left:
            with suppress(Exception):
                self._ray.wait(left, num_returns=len(left), timeout=_CANCELLED, fetch_local=False)


def _run(folder: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Exception | None, str]:
    """In a worker: the result, or the error itself, which Ray would wrap and print.

    folder: the working folder of whoever runs the build, to which relative paths refer.
    """
    with suppress(OSError):  # then there can be no relative paths into it
        os.chdir(folder)
    try:
        return fn(*args, **kwargs), None, ""
    except Exception as error:
        where = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return None, RuntimeError(f"{type(error).__name__}: {error}"), where
        return None, error, where


def _translated(ray: Any, error: BaseException) -> Exception:
    """What Ray says when no answer came from the function itself."""
    e = ray.exceptions
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if isinstance(error, e.RayTaskError):
        return RuntimeError(
            f"a node of the Ray cluster cannot run the task ({str(error).strip().splitlines()[-1].strip()}); every node needs the "
            "same version of sonosphere"
        )
    if isinstance(error, e.RuntimeEnvSetupError):
        return RuntimeError(f"a node of the Ray cluster cannot set up its workers: {first}")
    if isinstance(error, e.TaskCancelledError):
        return WorkerDiedError("a task on the Ray cluster was cancelled")
    if isinstance(error, e.OutOfMemoryError):
        return WorkerDiedError("a worker of the Ray cluster was killed because its machine ran out of memory")
    return WorkerDiedError(f"a worker or a node of the Ray cluster died: {first}")


def _ray() -> Any:
    """Ray, which is an extra.

    Raises:
        RuntimeError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise RuntimeError(
            "working on a Ray cluster needs a package that is not installed: pip install 'sonosphere[ray]'"
        ) from None
    return ray


def _connected() -> bool:
    try:
        return bool(_ray().is_initialized())
    except RuntimeError:
        return False


def _connect(ray: Any, address: str) -> None:
    """Quietly, and not for minutes where nobody listens: Ray itself would try for five and print about it.

    Raises:
        RuntimeError: no cluster answers at the address.
    """
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address == "auto" and (running := os.environ.get("RAY_ADDRESS")):
        address = running
    if address == "auto":
        running = _started()
        address = running if running and _listens(running) else "local"
    if address == "local":
        quiet["include_dashboard"] = False
    elif not _listens(address):
        raise RuntimeError(f"no Ray cluster answers at {address}; allowed is HOST:PORT, ray://HOST:PORT or auto")
    try:
        ray.init(address=address, **quiet)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise RuntimeError(f"the Ray cluster at {address} cannot be used: {said}") from error


def _started() -> str | None:
    """Where `ray start` has noted the cluster that it started last on this machine, which may be gone."""
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    with suppress(OSError):
        return (Path(temporary) / "ray" / "ray_current_cluster").read_text().strip() or None
    return None


def _listens(address: str) -> bool:
    try:
        place = urlsplit(address if "://" in address else f"//{address}")
        with socket.create_connection((place.hostname, place.port or 10001), timeout=_ANSWERS):
            return place.hostname is not None
    except (OSError, ValueError):
        return False
