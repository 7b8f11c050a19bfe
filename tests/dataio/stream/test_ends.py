"""How a loader ends: by close, exception, Ctrl-C, the collector, the end of the interpreter, or a disk that never answers."""

import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dataio import ClipLoader
from tests.tiny import TINY, tiny_set


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_set(tmp_path_factory.mktemp("tiny") / "set", 120)


def ours() -> tuple[list[str], int]:
    """Threads and open files."""
    gc.collect()
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("sonosphere")]
    return names, sum(1 for _ in Path("/proc/self/fd").iterdir())


def broken_loop(loader: ClipLoader) -> None:
    for batch in loader:
        batch["nothing"]


@pytest.mark.parametrize("decoder", ["turbo", "dali"])
@pytest.mark.parametrize("readers", [0, 3])
def test_close_break_and_exceptions_leave_nothing(tiny, decoder, readers, tmp_path):
    def use(how: str) -> None:
        loader = ClipLoader(tiny, TINY, batch_size=4, decoder=decoder, readers=readers, trace=tmp_path / "trace.json")
        if how == "unused":
            loader.close()
        elif how == "break":
            for _ in loader:
                break
            loader.close()
            loader.close()
        elif how == "exception":
            with loader, pytest.raises(KeyError):
                broken_loop(loader)
        elif how == "collected":
            for _ in loader:
                break
            del loader
        elif how == "collected with a cycle":
            loader.myself = loader
            next(iter(loader))
            del loader

    use("break")  # what is made once for a process: buffers of DALI, compiled code
    before = ours()
    for how in ("unused", "break", "exception", "collected", "collected with a cycle"):
        use(how)
        assert ours() == before, how


def test_batches_stay_when_their_loader_is_gone(tiny):
    batches = list(ClipLoader(tiny, TINY, batch_size=8, epochs=1))
    with ClipLoader(tiny, TINY, batch_size=8, epochs=1) as again:
        for a, b in zip(batches, again, strict=True):
            assert all((a[name] == b[name]).all() for name in a)


def run(code: str, *arguments: str, seconds: float = 600, sigint_after: str = "") -> subprocess.CompletedProcess:
    """A Python process; SIGINT is sent when it prints the line `sigint_after`."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # CI may run with it ignored
    )
    try:
        if sigint_after:
            for line in process.stdout:
                if line.strip() == sigint_after:
                    break
            process.send_signal(signal.SIGINT)
        for last in [False] * 39 + [True]:
            try:
                out, err = process.communicate(timeout=seconds / 40)
                break
            except subprocess.TimeoutExpired:
                if last:
                    raise
                # Python drops an interrupt that meets a finalizer, as every batch has one: people press the keys again
                if sigint_after:
                    process.send_signal(signal.SIGINT)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


FOREVER = """
import sys
from dataio import ClipLoader
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4)
while True:
    for i, batch in enumerate(loader):
        if i == 3:
            print("running", flush=True)
"""


def test_ctrl_c_ends_the_process_at_once(tiny):
    ended = run(FOREVER, str(tiny), sigint_after="running")
    assert ended.returncode in (-signal.SIGINT, 130, 1)
    assert "KeyboardInterrupt" in ended.stderr and "Fatal" not in ended.stderr


def test_after_ctrl_c_the_loader_goes_on(tiny):
    """As in a notebook: the interrupted iteration ends, the loader is as good as before."""
    code = """
import sys
from dataio import ClipLoader
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4)
seen = []
try:
    while True:
        for i, batch in enumerate(loader):
            seen.append(batch["clip"].tolist())
            if i == 3:
                print("running", flush=True)
except KeyboardInterrupt:
    pass
state = loader.state_dict()
rest = next(iter(loader))["clip"].tolist()
with ClipLoader(sys.argv[1], TINY, batch_size=4) as other:
    other.load_state_dict(state)
    assert next(iter(other))["clip"].tolist() == rest
loader.close()
print("fine")
"""
    ended = run(code, str(tiny), sigint_after="running")
    assert ended.returncode == 0 and ended.stdout.strip().endswith("fine"), ended.stderr


def test_the_interpreter_ends_with_a_loader_in_mid_iteration(tiny):
    code = FOREVER.replace('print("running", flush=True)', "sys.exit(0)")
    ended = run(code, str(tiny))
    assert ended.returncode == 0 and ended.stderr == ""


def test_a_read_that_hangs_is_named_after_the_deadline(tiny, tmp_path):
    """A tar that is a pipe: whoever opens it waits for ever, as on a server that went away. The process can still end."""
    import shutil

    shards = shutil.copytree(tiny, tmp_path / "set")
    (shards / "clips-000005.tar").unlink()
    os.mkfifo(shards / "clips-000005.tar")
    code = """
import sys, time
from dataio import ClipLoader
from dataio.stream.store.errors import StalledError
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4, deadline=1.5, threads=2)
start = time.monotonic()
try:
    for batch in loader:
        pass
    print("not noticed")
except StalledError as error:
    print(error, "|", error.shard)
    print("in time" if time.monotonic() - start < 300 else "late")
loader.close()
"""
    ended = run(code, str(shards))
    assert ended.returncode == 0, ended.stderr
    assert "hangs: clips-000005 at byte" in ended.stdout and "| clips-000005" in ended.stdout and "in time" in ended.stdout


def test_a_shard_that_vanishes_is_named_and_ends_the_run(tiny, tmp_path):
    import shutil

    from dataio.stream.store.errors import ShardMissingError

    shards = shutil.copytree(tiny, tmp_path / "set")
    (shards / "clips-000007.tar").unlink()
    with ClipLoader(shards, TINY, batch_size=4) as loader, pytest.raises(ShardMissingError, match=r"clips-000007\.tar is gone"):
        for _ in loader:
            pass
    state = loader.state_dict()
    assert 0 <= state["position"] < 120
    shutil.copy(tiny / "clips-000007.tar", shards)
    with ClipLoader(shards, TINY, batch_size=4) as loader:  # it was put back: the run goes on where it stood
        loader.load_state_dict(state)
        assert sum(len(batch["clip"]) for batch in loader) == 120 - state["position"]
