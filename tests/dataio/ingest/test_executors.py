"""Wherever work runs: results in order, no more under way than asked for, one thread a worker, and nobody outlives the end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dataio.format import manifest
from dataio.ingest.executors import Executor, Inline, LocalPool, WorkerDiedError, executor, local
from dataio.ingest.executors.local import ONE_THREAD

AT_ONCE = 120.0  # seconds: far less than the quarter of an hour for which the tasks below would run


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + AT_ONCE
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(_alive(pid) for pid in pids)


def _first_slow(number: int) -> int:
    time.sleep(0.5 if number == 0 else 0.0)
    return -number


def _pid_then_sleep(folder: Path, seconds: float) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(seconds)


def _fail(number: int) -> int:
    if number == 2:
        raise FileNotFoundError(2, "No such file or directory", "a.mp4")
    return number


def _die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _threads(_: int) -> dict[str, object]:
    import cv2
    import torch

    np.ones((500, 500)) @ np.ones((500, 500))  # OpenBLAS would start its threads now
    tasks = len(list(Path("/proc/self/task").iterdir()))
    torch.ones(2_000_000).exp()  # and torch its own
    more = len(list(Path("/proc/self/task").iterdir())) - tasks
    return {"torch": torch.get_num_threads(), "opencv": cv2.getNumThreads(), "more": more} | {
        name: os.environ.get(name) for name in ONE_THREAD
    }


@pytest.fixture(params=[1, 2])
def anywhere(request: pytest.FixtureRequest) -> Executor:
    return local(request.param)


def test_which_is_chosen() -> None:
    assert isinstance(local(1), Inline)
    assert isinstance(local(2), LocalPool)
    assert local(3).slots == 3
    assert isinstance(executor(2, None), LocalPool)
    for workers in (0, -1):
        with pytest.raises(ValueError, match=f"workers={workers} must be at least 1"):
            local(workers)


def test_results_come_in_the_order_of_the_items_and_few_are_under_way(anywhere: Executor) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    for done, result in enumerate(anywhere.map(_first_slow, items())):
        assert result == -done
        assert len(taken) <= done + 1 + 2 * anywhere.slots
    assert done == 19
    assert list(anywhere.map(_first_slow, [])) == []


def test_an_error_is_the_error_itself(anywhere: Executor) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        list(anywhere.map(_fail, range(6)))
    assert str(caught.value) == "[Errno 2] No such file or directory: 'a.mp4'"


def test_workers_have_one_thread_and_the_caller_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    (seen,) = LocalPool(2).map(_threads, [0])
    assert seen == {"torch": 1, "opencv": 1, "more": 0} | dict.fromkeys(ONE_THREAD, "1")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


def _wait_for(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 3 * AT_ONCE
    while len(list(folder.iterdir())) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return [int(path.name) for path in folder.iterdir()]


def _leave(folder: Path, seconds: float) -> None:
    """A session that an exception ends while two tasks run and two more wait."""
    with LocalPool(2).session() as session:
        for _ in range(4):
            session.submit(_pid_then_sleep, folder, seconds)
        _wait_for(folder, 2)
        raise KeyError("stop")


def test_an_exception_ends_the_others_at_once(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(KeyError):
        _leave(tmp_path, 900)
    assert time.monotonic() - begin < AT_ONCE
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2  # what waited never began
    assert not any(_alive(pid) for pid in pids)


def test_a_worker_that_is_killed_is_an_error_of_its_own() -> None:
    with pytest.raises(WorkerDiedError, match="a worker process died: it was killed, ran out of memory, or crashed"):
        list(LocalPool(2).map(_die, [1]))


PARENT = """
import sys
from pathlib import Path
from dataio.ingest.executors import LocalPool
from tests.dataio.ingest.test_executors import _pid_then_sleep
if __name__ == "__main__":
    with LocalPool(2).session() as session:
        for _ in range(2):
            session.submit(_pid_then_sleep, Path(sys.argv[1]), 900)
"""


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, tmp_path / "parent.py", tmp_path / "pids"], env=environment) as parent:
        pids = _wait_for(tmp_path / "pids", 2)
        assert len(pids) == 2
        parent.kill()
    assert _gone(pids)


def _command(source: Path, out: Path) -> list[str]:
    options = ["--size", "32x64", "--rate", "48000", "--split", "train=0.6,val=0.4"]
    return [sys.executable, "-m", "sonosphere", "shards", "build", str(source), str(out), "--workers", "2", *options]


def _importing(pid: int) -> bool:
    """Whether workers of the process have begun; for half a second they import."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children) >= 2


def _heed_ctrl_c() -> None:
    """As in a terminal, even where the tests were started in the background, whose processes ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


SLOW_TO_IMPORT = """
import sys, time
if any("spawn_main" in word for word in sys.orig_argv):
    time.sleep(30)
"""


def _interrupt(source: Path, out: Path, when: str) -> tuple[int, str, float]:
    """Press Ctrl-C, which the whole group gets, at a certain moment of a build: status, output, seconds to the end."""
    environment = dict(os.environ)
    if when == "workers import":  # they are held there, so that the moment is met on any machine
        held = out.parent / "held"
        held.mkdir(exist_ok=True)
        (held / "sitecustomize.py").write_text(SLOW_TO_IMPORT)
        environment["PYTHONPATH"] = os.pathsep.join([str(held), str(Path.cwd())])
    process = subprocess.Popen(
        _command(source, out),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )
    deadline = time.monotonic() + 3 * AT_ONCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError):  # a child that has just ended
            if _importing(process.pid) if when == "workers import" else list(out.glob(".build/*.spool")):
                break
        time.sleep(0.01)
    if when == "workers import":
        time.sleep(0.15)  # Python itself is up by then, and would take Ctrl-C
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=600)
    return process.returncode, said, time.monotonic() - begin


@pytest.mark.parametrize("when", ["workers import", "workers encode"])
def test_ctrl_c_ends_a_build_with_a_word_and_the_same_command_goes_on(source: Path, tmp_path: Path, when: str) -> None:
    if when == "workers encode":  # for long enough that the key is pressed before the end
        for copy in range(8):
            shutil.copytree(source, tmp_path / "source" / f"copy{copy}")
        source = tmp_path / "source"
    for attempt in range(4):  # beside others, the build may be done nevertheless
        out = tmp_path / f"shards{attempt}"
        status, said, seconds = _interrupt(source, out, when)
        if status:
            break
    assert said == "interrupted; what is finished stays, and the same command goes on\n"
    assert status == 130
    assert seconds < AT_ONCE
    assert not (out / manifest.FILE).exists()
    done = subprocess.run(_command(source, out), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert manifest.load(out).clips == (12 if when == "workers import" else 8 * 12)
    assert not (out / ".build").exists()
