"""Who gets what when: the same for any number of ranks and threads, from any state, whatever is broken."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataio import ClipLoader, ClipSpec
from dataio.stream.health import Health
from dataio.stream.loader import StateError
from tests.tiny import TINY, tiny_set

QUICK = ClipSpec(frames=0, pairs=("front",), sound_rate=8000, sound_seconds=0.08)
"""Nothing to decode: for tests that load thousands of clips."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_set(tmp_path_factory.mktemp("tiny") / "set", 203)


def order_file(shards: Path, world: int, threads: int, *, clips: int = 16, epochs: int = 2, **options) -> bytes:
    """One line a clip with all that was drawn for it, as the ranks together get them: the batch of rank 0, of rank 1, …"""
    loaders = [
        ClipLoader(shards, TINY, batch_size=clips // world, rank=rank, world_size=world, threads=threads, epochs=epochs, **options)
        for rank in range(world)
    ]
    lines = []
    for _ in range(epochs):
        for batches in zip(*loaders, strict=True):
            for batch in batches:
                means = [batch["frames"].mean((1, 2, 3, 4)), batch["sound"].mean((1, 2, 3))]
                columns = [batch[name] for name in ("clip", "recording", "yaw", "sound_start")] + means
                lines += [
                    " ".join(f"{value:.5f}" for value in row) + "\n" for row in zip(*(c.tolist() for c in columns), strict=True)
                ]
    for loader in loaders:
        loader.close()
    return "".join(lines).encode()


@pytest.mark.parametrize("last_batch", ["drop", "pad"])
def test_the_order_file_is_the_same_for_any_ranks_and_threads(tiny, last_batch):
    one = order_file(tiny, 1, 1, last_batch=last_batch)
    for world in (1, 2, 4, 8):
        for threads in (1, 2, 8):
            found = order_file(tiny, world, threads, last_batch=last_batch)
            assert found == one, f"{world} ranks, {threads} threads"


def test_every_clip_comes_once_an_epoch_whatever_the_last_batch(tiny):
    for last, world in (("partial", 1), ("partial", 3), ("pad", 4)):
        loaders = [
            ClipLoader(tiny, QUICK, batch_size=9, last_batch=last, rank=rank, world_size=world, epochs=1) for rank in range(world)
        ]
        seen: Counter[int] = Counter()
        steps = []
        for loader in loaders:
            batches = [batch["clip"].tolist() for batch in loader]
            steps.append(len(batches))
            seen.update(clip for batch in batches for clip in batch)
            loader.close()
        assert len(set(steps)) == 1 and steps[0] == len(loaders[0])  # the same number of steps, though some may be empty
        assert set(seen) == set(range(203))
        assert sum(seen.values()) == (203 if last == "partial" else steps[0] * 9 * world)


def run(shards: Path, world: int, batch: int, state: dict | None, steps: int | None, **options) -> tuple[list[int], dict]:
    """Clips that all ranks get in so many steps (None: to the end of the epoch) from a state on, in order, and the state then."""
    loaders = [ClipLoader(shards, QUICK, batch_size=batch, rank=r, world_size=world, threads=1, **options) for r in range(world)]
    try:
        for loader in loaders:
            if state is not None:
                loader.load_state_dict(json.loads(json.dumps(state)))
        iterators = [iter(loader) for loader in loaders]
        seen: list[int] = []
        taken = 0
        while steps is None or taken < steps:
            batches = [next(iterator, None) for iterator in iterators]
            if batches[0] is None:
                assert batches == [None] * world
                break
            seen += [clip for part in batches for clip in part["clip"].tolist()]
            taken += 1
        states = [loader.state_dict() for loader in loaders]
        assert all(found == states[0] for found in states)
        return seen, states[0]
    finally:
        for loader in loaders:
            loader.close()


def test_two_hundred_resumes_at_random_places(tiny):
    """Stop anywhere, go on with other ranks and another batch size, save again, go on again: nothing lost, nothing twice."""
    whole, _ = run(tiny, 1, 1, None, None, last_batch="partial", seed=3)
    assert sorted(whole) == list(range(203))
    draw = random.Random(4)
    for _ in range(100):  # two restores each
        seen: list[int] = []
        state = None
        for _ in range(2):
            world, batch = draw.choice([1, 1, 2, 2, 3, 4, 8]), draw.choice([1, 2, 3, 5, 8])
            left = 203 - len(seen)
            part, state = run(
                tiny, world, batch, state, draw.randrange(0, left // (world * batch) + 1), last_batch="partial", seed=3
            )
            seen += part
            assert state["position"] == len(seen) and state["epoch"] == 0
        part, state = run(tiny, draw.choice([1, 2, 4]), draw.choice([1, 4, 7]), state, None, last_batch="partial", seed=3)
        assert seen + part == whole
        assert (state["epoch"], state["position"]) == (1, 0)


def test_a_restored_loader_goes_on_into_the_same_next_epochs(tiny):
    with ClipLoader(tiny, QUICK, batch_size=20) as loader:
        epochs = [[clip for batch in loader for clip in batch["clip"].tolist()] for _ in range(3)]
        assert loader.state_dict()["epoch"] == 3
    with ClipLoader(tiny, QUICK, batch_size=20) as loader:
        for _ in loader:
            break
        state = loader.state_dict()
    with ClipLoader(tiny, QUICK, batch_size=20) as loader:
        loader.load_state_dict(state)
        found = [[clip for batch in loader for clip in batch["clip"].tolist()] for _ in range(3)]
    assert found == [epochs[0][20:], *epochs[1:]]


def test_a_state_of_another_set_or_order_is_refused(tiny, tmp_path):
    other = tiny_set(tmp_path / "other", 30)
    with ClipLoader(tiny, QUICK, batch_size=2) as loader:
        state = loader.state_dict()
        for change, name in (
            ({"fingerprint": {"": "0"}}, "fingerprint"),
            ({"seed": 1}, "seed"),
            ({"window": 5}, "window"),
            ({"shuffle": False}, "shuffle"),
            ({"pairs": ["back"]}, "pairs"),
            ({"version": 1}, "version"),
            ({"position": 204}, "position"),
            ({"epoch": "1"}, "epoch"),
        ):
            with pytest.raises(StateError, match=name):
                loader.load_state_dict(state | change)
    assert len(json.dumps(state)) < 400
    with ClipLoader(other, QUICK, batch_size=2) as loader, pytest.raises(StateError, match="fingerprint"):
        loader.load_state_dict(state)


def test_two_sets_become_one_stream_in_exact_shares(tiny, tmp_path):
    small = tiny_set(tmp_path / "small", 31, recordings=3)
    both = {"large": tiny, "small": small}
    with ClipLoader(both, QUICK, batch_size=6, last_batch="partial") as loader:
        batches = list(loader)
        clips = [clip for batch in batches for clip in batch["clip"].tolist()]
        assert sorted(clips) == list(range(203 + 31))  # ids of the second set go on where the first ends
        source = np.concatenate([batch["source"] for batch in batches])
        assert np.array_equal(source, (np.array(clips) >= 203).astype(int))
        recordings = {
            (r, s) for batch in batches for r, s in zip(batch["recording"].tolist(), batch["source"].tolist(), strict=True)
        }
        assert recordings == {(r, 0) for r in range(7)} | {(7 + r, 1) for r in range(3)}
    with ClipLoader(both, QUICK, batch_size=6, last_batch="partial", shares={"large": 1, "small": 1}) as loader:
        for _ in range(2):
            seen = Counter(s for batch in loader for s in batch["source"].tolist())
            assert seen == {0: 117, 1: 117}
        state = loader.state_dict()
        assert state["shares"] == {"large": 1, "small": 1} and set(state["fingerprint"]) == {"large", "small"}
    with ClipLoader(both, QUICK, batch_size=6) as loader, pytest.raises(StateError, match="shares"):
        loader.load_state_dict(state)
    with pytest.raises(ValueError, match=r"shares=\{'large': 1\} must name the sets: large, small"):
        ClipLoader(both, QUICK, batch_size=2, shares={"large": 1})


def test_damage_is_replaced_and_listed_the_same_for_every_world(tmp_path):
    """Flipped bits, pictures cut off and emptied before their checksum was taken, sound without samples, and a tar cut short."""
    from tests.tiny import flip, member_at

    draw = random.Random(1)
    broken = draw.sample(range(0, 380), 19)  # the last shard is cut short instead
    flips, cut, empty, silent = broken[:7], broken[7:11], broken[11:15], broken[15:]
    shards = tiny_set(
        tmp_path / "set",
        400,
        pictures={clip: lambda data: data[: len(data) // 2] for clip in cut} | {clip: lambda data: b"" for clip in empty},
        sounds={clip: lambda data: b"" for clip in silent},
    )
    for i, clip in enumerate(flips):
        flip(shards, clip, ("f000.jpg", "f001.jpg", "front.wav")[i % 3], bit=i % 8)
    tar, offset, _ = member_at(shards, 397, "f000.jpg")
    with tar.open("r+b") as file:
        file.truncate(offset + 10)
    lost = {*broken, 397, 398, 399}
    whole = ClipSpec(frames=2, size=(8, 16), sound_rate=8000, sound_seconds=0.1)
    found: dict[tuple[int, int], list[int]] = {}
    for world, threads in ((1, 2), (1, 1), (2, 2), (4, 1)):
        quarantine = tmp_path / f"q{world}{threads}.jsonl"
        loaders = [
            ClipLoader(
                shards,
                whole,
                batch_size=16 // world,
                rank=r,
                world_size=world,
                threads=threads,
                health=Health(quarantine),
                epochs=1,
            )
            for r in range(world)
        ]
        steps = list(zip(*loaders, strict=True))
        found[world, threads] = [clip for step in steps for batch in step for clip in batch["clip"].tolist()]
        reports = [loader.report()["health"] for loader in loaders]
        for loader in loaders:
            loader.close()
        assert len(found[world, threads]) == 400
        names = {json.loads(line)["key"] for line in quarantine.read_text().splitlines()}
        assert names == {f"r{clip % 7}-{clip // 7:06d}" for clip in lost}
        assert len(quarantine.read_text().splitlines()) == len(lost)
        assert sum(report["corrupt"] for report in reports) >= len(lost)
    first = found[1, 2]
    assert all(other == first for other in found.values())
    assert set(first) == set(range(400)) - lost
    # the one that comes instead is the next healthy one of the order, and its own turn comes too
    with ClipLoader(shards, whole, batch_size=16, epochs=1, health=Health(None)) as loader:
        planned = [pick.clip for pick in loader.planned(0, np.arange(400))]
        after = [pick.clip for pick in loader.planned(1, np.arange(400))]
    endless = planned + after
    assert first == [next(clip for clip in endless[i:] if clip not in lost) for i in range(400)]


def test_too_much_damage_stops_the_run_and_names_the_file(tmp_path):
    shards = tiny_set(tmp_path / "set", 100, pictures={clip: lambda data: b"" for clip in range(0, 100, 3)})
    from dataio.stream.health import TooManyCorruptError

    with (
        ClipLoader(shards, TINY, batch_size=10, health=Health(tmp_path / "q.jsonl", rate=0.2, after=20)) as loader,
        pytest.raises(TooManyCorruptError, match=r"more than the 20% allowed.*q\.jsonl lists them"),
    ):
        list(loader)
