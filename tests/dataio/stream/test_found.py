"""Faults that a review found, so that they stay mended: jumps, hangs, arguments, budgets, forks."""

import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dataio import ClipLoader, ClipSpec, Health
from dataio.stream.buffers import BufferPool
from dataio.stream.loader import StateError
from dataio.stream.spec import SpecError
from tests.tiny import TINY, tiny_set


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_set(tmp_path_factory.mktemp("tiny") / "set", 120)


def test_no_batch_of_before_after_a_jump_to_the_end_of_an_epoch(tiny):
    with ClipLoader(tiny, TINY, batch_size=8) as loader:
        for taken, _ in enumerate(loader, 1):
            if taken == 2:
                break
        loader.load_state_dict(loader.state_dict() | {"epoch": 5, "position": loader.clips})
        assert list(loader) == [] and loader.epoch == 6
        batch = next(iter(loader))
        assert batch["clip"].tolist() == [pick.clip for pick in loader.planned(6, np.arange(8))]


def test_setting_the_epoch_goes_to_its_beginning(tiny):
    with ClipLoader(tiny, TINY, batch_size=8) as loader:
        for _ in loader:
            break
        loader.epoch = 3
        batch = next(iter(loader))
        assert batch["clip"].tolist() == [pick.clip for pick in loader.planned(3, np.arange(8))]
        assert loader.state_dict()["position"] == 8


def test_the_order_of_the_sets_is_part_of_the_state(tiny, tmp_path):
    other = tiny_set(tmp_path / "other", 40, recordings=3)
    with ClipLoader({"a": tiny, "b": other}, TINY, batch_size=8) as loader:
        state = json.loads(json.dumps(loader.state_dict(), sort_keys=True))
    with ClipLoader({"b": other, "a": tiny}, TINY, batch_size=8) as loader, pytest.raises(StateError, match="sets"):
        loader.load_state_dict(state)


@pytest.mark.parametrize(
    "wrong",
    [{"readers": -1}, {"epoch": -1}, {"batch_size": 2.5}, {"prefetch": 1.5}, {"epochs": 0}, {"threads": 0}, {"window": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_counts_that_cannot_be(tiny, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))} must be at least"):
        ClipLoader(tiny, TINY, **{"batch_size": 4} | wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"sound_rate": 0}, {"sound_rate": 8000, "sound_seconds": 0.02}, {"frames": 2.5}, {"size": (64.5, 128)}, {"yaw_classes": True}],
)
def test_specs_that_cannot_be(wrong):
    with pytest.raises(SpecError, match="frames|sound_rate|sound_seconds|size|yaw_classes"):
        ClipSpec(**wrong)


def test_devices_that_cannot_be(tiny):
    with pytest.raises(ValueError, match=r"device='gpu' must be cpu or cuda"):
        ClipLoader(tiny, TINY, batch_size=4, device="gpu")
    with ClipLoader(tiny, TINY, batch_size=4, device="cpu:0") as loader:
        assert loader.device == "cpu" and not loader.fallbacks


def test_close_from_another_thread_leaves_nobody_waiting(tiny, tmp_path):
    """The consumer waits for a batch that never comes, as its shards are pipes; whoever closes the loader frees it."""
    code = """
import os, sys, threading, time
from dataio import ClipLoader
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4, deadline=600, threads=2)
said = []
def consume():
    try:
        next(iter(loader))
    except RuntimeError as error:
        said.append(str(error))
thread = threading.Thread(target=consume, daemon=True)
thread.start()
time.sleep(1)
loader.close()
thread.join(600)
print(said)
"""
    shards = _pipes(tiny, tmp_path)
    ended = subprocess.run([sys.executable, "-c", code, str(shards)], capture_output=True, text=True, timeout=600)
    assert "was closed while it was being iterated" in ended.stdout, ended.stderr


def _pipes(shards: Path, folder: Path) -> Path:
    """The set with tars that never give a byte."""
    import shutil

    found = shutil.copytree(shards, folder / "pipes")
    for tar in found.glob("*.tar"):
        tar.unlink()
        os.mkfifo(tar)
    return found


def test_a_read_that_hangs_while_dali_replaces_is_noticed(tmp_path):
    """The clip that DALI refuses is the last one before a shard that hangs: reading the replacement is what hangs."""
    code = """
import os, sys
from dataio import ClipLoader, Health
from dataio.stream.store.errors import StalledError
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4, shuffle=False, decoder="dali", deadline=1.5, health=Health(None))
try:
    for batch in loader:
        pass
except StalledError as error:
    print("stalled at", error.shard)
loader.close()
"""
    shards = tiny_set(tmp_path / "set", 40, pictures={9: lambda data: b""})
    (shards / "clips-000001.tar").unlink()
    os.mkfifo(shards / "clips-000001.tar")
    ended = subprocess.run([sys.executable, "-c", code, str(shards)], capture_output=True, text=True, timeout=600)
    assert ended.stdout.strip() == "stalled at clips-000001", ended.stderr


def test_the_collector_may_run_in_a_worker(tiny):
    loader = ClipLoader(tiny, TINY, batch_size=4, threads=2, readers=1)
    next(iter(loader))
    loader.myself = loader
    stores, workers, done = loader._sets.stores, loader._engine._batcher._workers, threading.Event()

    class Work:
        def fail(self, error: BaseException) -> None:
            done.set()

    def collect() -> None:
        gc.collect()
        done.set()

    gc.disable()
    try:
        del loader
        workers.submit(Work(), collect)
        assert done.wait(600)
    finally:
        gc.enable()
    workers.close()
    assert stores[0]._closing.is_set()


def test_a_forked_child_leaves_the_trace_and_the_loader_of_its_parent_alone(tiny, tmp_path):
    code = """
import json, os, sys
from dataio import ClipLoader
from tests.tiny import TINY
loader = ClipLoader(sys.argv[1], TINY, batch_size=4, trace=sys.argv[2])
batches = iter(loader)
next(batches)
child = os.fork()
if not child:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
rest = sum(1 for _ in batches)
loader.close()
json.load(open(sys.argv[2]))
print(rest)
"""
    run = [sys.executable, "-c", code, str(tiny), str(tmp_path / "trace.json")]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=600)
    assert ended.stdout.strip() == "29", ended.stderr


def test_a_quarantine_given_as_text_and_one_clip_met_by_two_ranks(tmp_path):
    from dataio.stream.errors import CorruptClipError
    from dataio.stream.health import Ward

    ranks = [Ward(Health(str(tmp_path / "q.jsonl"))) for _ in range(2)]  # type: ignore[arg-type]
    for ward, extension in zip(ranks, ("f000.jpg", "front.wav"), strict=True):
        ward.ill(CorruptClipError("s", "k-000001", extension, 0, "x"), 0, 1)
    assert len((tmp_path / "q.jsonl").read_text().splitlines()) == 1


def test_nothing_beyond_the_last_epoch_is_fetched(tiny, tmp_path):
    with ClipLoader(tiny, TINY, batch_size=4, window=2) as loader:
        every = loader.order.shards_ahead(0, 100, 50)
        last = loader.order.shards_ahead(0, 100, 50, 1)
    assert len(every) == 12 and 1 <= len(last) <= 4 and last == every[: len(last)]


def test_a_pool_of_buffers_keeps_no_more_than_was_out_at_once():
    pool = BufferPool()
    for size in range(2**16, 15 * 2**20, 2**18):
        pool.bytes_of(size)  # and at once given back
    assert pool.bytes <= 16 * 2**20


def test_threads_begin_with_the_first_task(tiny):
    def ours() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("sonosphere")]

    with ClipLoader(tiny, TINY, batch_size=4) as loader:
        assert ours() == []
        next(iter(loader))
        assert any(name.startswith("sonosphere-clip") for name in ours())
