"""The loader as a user meets it: what is in a batch, in which order, and how it goes on."""

import gc
import io
import json
import tarfile
import threading

import numpy as np
import pytest
import torch
import torchaudio
from PIL import Image

from dataio import ClipLoader, ClipSpec
from dataio.format import index, manifest
from dataio.format.clip import PAIRS
from dataio.stream.health import Health, TooManyCorruptError
from dataio.stream.kernels.rotate import MEAN, STD
from dataio.stream.loader import StateError
from tests.tiny import flip

SMALL = ClipSpec(frames=4, size=(32, 64), pairs=("front",), yaw_classes=4)
WITHOUT_SOUND = ClipSpec(frames=2, size=(32, 64), pairs=(), yaw_classes=4)


def members(shards, clip: int) -> dict[str, bytes]:
    """All files of a clip by its global id, read with Python's own tarfile."""
    found = manifest.load(shards)
    shard = int(np.searchsorted(found.first_clip, clip, side="right")) - 1
    key = index.load(shards / f"{found.name(shard)}.npz", "x").clips["key"][clip - found.first_clip[shard]].decode()
    with tarfile.open(shards / f"{found.name(shard)}.tar") as tar:
        return {m.name.partition(".")[2]: tar.extractfile(m).read() for m in tar if m.name.partition(".")[0] == key}


def pcm(data: bytes) -> np.ndarray:
    return np.frombuffer(data[44:], np.int16).reshape(-1, 2)


def test_shapes_and_types(shards):
    spec = ClipSpec(frames=4, size=(32, 64), pairs=("front", "back"), yaw_classes=8)
    with ClipLoader(shards, spec, batch_size=3) as loader:
        batch = next(iter(loader))
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
        "clip": ((3,), torch.int64),
        "recording": ((3,), torch.int64),
        "yaw": ((3,), torch.int64),
        "yaw_degrees": ((3,), torch.float32),
        "sound_start": ((3,), torch.float64),
        "frames": ((3, 3, 4, 32, 64), torch.float32),
        "sound": ((3, 4, 257, 601), torch.float32),
    }


def test_nothing_that_was_not_asked_for(shards):
    with ClipLoader(shards, ClipSpec(frames=0, pairs=("left",)), batch_size=2) as loader:
        assert set(next(iter(loader))) == {"clip", "recording", "sound_start", "sound"}
        assert "decode" not in loader.report()["stages"]
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=2) as loader:
        assert set(next(iter(loader))) == {"clip", "recording", "yaw", "yaw_degrees", "frames"}
        assert "spectrogram" not in loader.report()["stages"]


def test_sound_is_torchaudios_spectrogram_of_the_same_window(shards):
    """‖a − b‖ / ‖b‖ ≤ 1e-4 on magnitudes; both ears from the same samples."""
    mean = manifest.load(shards).mean_rms
    reference = torchaudio.transforms.Spectrogram(n_fft=512, hop_length=160, power=1.0)
    spec = ClipSpec(frames=0, pairs=PAIRS, sound="magnitude")
    with ClipLoader(shards, spec, batch_size=4) as loader:
        batch = next(iter(loader))
    assert batch["sound"].shape == (4, 8, 257, 601)
    for i, clip in enumerate(batch["clip"].tolist()):
        files, start = members(shards, clip), round(batch["sound_start"][i].item() * 96_000)
        for p, pair in enumerate(PAIRS):
            window = pcm(files[f"{pair}.wav"])[start : start + 96_000].astype(np.float64) / 32768
            for e, ear in enumerate("LR"):
                expected = reference(torch.from_numpy(window[:, e] * 0.1 / mean[f"{pair}.{ear}"]).float())
                error = (batch["sound"][i, 2 * p + e] - expected).norm() / expected.norm()
                assert error <= 1e-4


@pytest.mark.parametrize("kind", ["log", "magnitude"])
def test_the_dali_graph_gives_the_same_as_the_kernel(shards, kind):
    """The GPU takes its spectrograms by this graph; the definition is the same on both devices, so it is checked here."""
    from dataio.stream.decode import graphs
    from dataio.stream.kernels import stft
    from dataio.stream.reader import ClipReader
    from dataio.stream.store.local import LocalStore

    spec = ClipSpec(frames=0, pairs=("front", "right"), sound=kind)
    with LocalStore(shards) as store:
        raw = ClipReader(store, spec).read(0, 1234, 0, False)
    pipe = graphs.sound("cpu", batch=4, threads=1, kind=kind)
    pipe.feed_input("pcm", [np.ascontiguousarray(pair[:, ear]) for pair in raw.sound.pairs for ear in (0, 1)])
    pipe.feed_input("gain", list(raw.sound.gains.reshape(-1)))
    theirs = np.asarray(pipe.run()[0].as_tensor())
    ours = np.empty((4, 257, 601), np.float32)
    for p, pair in enumerate(raw.sound.pairs):
        stft.spectrogram(pair, raw.sound.gains[p], ours[2 * p : 2 * p + 2], kind)
    assert np.linalg.norm(ours - theirs) <= 1e-4 * np.linalg.norm(theirs)


def test_frames_are_the_stored_pictures_rolled(shards):
    """A turned frame equals numpy.roll of the decoded one, to one grey level (and the JPEG decoders' own difference)."""
    with ClipLoader(shards, SMALL, batch_size=8) as loader:
        batch = next(iter(loader))
    assert len(set(batch["yaw"].tolist())) > 1
    for i, clip in enumerate(batch["clip"].tolist()):
        files = members(shards, clip)
        for f in range(4):
            stored = np.asarray(Image.open(io.BytesIO(files[f"f{f:03d}.jpg"]))).astype(int)
            expected = np.roll(stored, -16 * batch["yaw"][i].item(), axis=1)
            seen = (batch["frames"][i, :, f].permute(1, 2, 0).numpy() * STD + MEAN) * 255
            difference = np.abs(seen - expected)
            assert np.quantile(difference, 0.99) <= 2 and difference.mean() < 0.5


def test_turned_frames_equal_unturned_ones_rolled_exactly(shards):
    """Against the loader's own unturned pictures, so that no JPEG decoder stands between: to one grey level, and much better."""
    still = ClipSpec(frames=4, size=(32, 64), pairs=())
    with ClipLoader(shards, SMALL, batch_size=24) as turned, ClipLoader(shards, still, batch_size=24) as unturned:
        a, b = next(iter(turned)), next(iter(unturned))
    assert torch.equal(a["clip"], b["clip"])
    for i, yaw in enumerate(a["yaw"].tolist()):
        assert torch.equal(a["frames"][i], b["frames"][i].roll(-16 * yaw, -1))


def test_augmented_batches_are_turned_and_mirrored_worlds(shards):
    """Frames and ears of an augmented batch, explained by one turn and one mirror of what is stored."""
    plain = ClipSpec(frames=4, size=(32, 64), pairs=PAIRS)
    spec = ClipSpec(frames=4, size=(32, 64), pairs=PAIRS, yaw_classes=4, augment=("turn", "mirror"))
    with ClipLoader(shards, spec, batch_size=24) as loader, ClipLoader(shards, plain, batch_size=24) as stored:
        a, b = next(iter(loader)), next(iter(stored))
    seen = set()
    for i in range(24):
        found = []
        for q in range(4):
            for mirror in (False, True):
                ears = b["sound"][i].reshape(4, 2, 257, 601)
                ears = torch.stack([ears[(p + q) % 4] for p in range(4)])
                frames = b["frames"][i].roll(-16 * q, -1)
                if mirror:
                    ears = torch.stack([ears[(-p) % 4].flip(0) for p in range(4)])
                    frames = frames.flip(-1)
                frames = frames.roll(-16 * a["yaw"][i].item(), -1)
                if torch.equal(frames, a["frames"][i]):
                    found.append((q, mirror, (ears.reshape(8, 257, 601) - a["sound"][i]).abs().mean().item()))
        best = min(found, key=lambda f: f[2])
        assert best[2] < 0.05  # the gains of exchanged ears differ by the set's mean levels
        seen.add(best[:2])
    assert len(seen) >= 6


@pytest.mark.parametrize("last", ["drop", "pad", "partial"])
def test_same_order_for_any_ranks_and_threads(shards, last):
    def order(world: int, threads: int) -> list[int]:
        loaders = [
            ClipLoader(
                shards, WITHOUT_SOUND, batch_size=8 // world, rank=r, world_size=world, threads=threads, last_batch=last, window=2
            )
            for r in range(world)
        ]
        try:
            assert len({len(loader) for loader in loaders}) == 1
            return [clip for step in zip(*loaders, strict=True) for batch in step for clip in batch["clip"].tolist()]
        finally:
            for loader in loaders:
                loader.close()

    reference = order(1, 1)
    assert sorted(set(reference)) == list(range(24))
    assert order(2, 2) == reference and order(4, 1) == reference and order(8, 3) == reference


def test_state_goes_on_elsewhere(shards):
    """Stopped at any step on one rank, continued on two with another batch size: every clip exactly once."""
    for steps in range(7):
        with ClipLoader(shards, WITHOUT_SOUND, batch_size=4, seed=3) as loader:
            seen = []
            for batch, _ in zip(loader, range(steps), strict=False):
                seen += batch["clip"].tolist()
            seen = seen[: 4 * steps]
            loader._position = min(4 * steps, 24)  # zip took one batch more than it kept
            state = json.loads(json.dumps(loader.state_dict()))
        assert len(json.dumps(state)) < 400
        for rank in range(2):
            with ClipLoader(shards, WITHOUT_SOUND, batch_size=2, seed=3, rank=rank, world_size=2, last_batch="partial") as loader:
                loader.load_state_dict(state)
                seen += [clip for batch in loader for clip in batch["clip"].tolist()]
        assert sorted(seen) == list(range(24))


def test_break_goes_on_in_the_same_epoch_and_the_next_is_another(shards):
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=6) as loader:
        first = next(iter(loader))["clip"].tolist()
        rest = [clip for batch in loader for clip in batch["clip"].tolist()]
        assert sorted(first + rest) == list(range(24)) and loader.epoch == 1
        second = [clip for batch in loader for clip in batch["clip"].tolist()]
        assert sorted(second) == list(range(24)) and second != first + rest


def test_a_state_taken_after_the_last_batch_ends_its_epoch(shards):
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=12) as loader:
        for batch in loader:
            state = loader.state_dict()
        following = next(iter(loader))["clip"]
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=12) as loader:
        loader.load_state_dict(state)
        assert list(loader) == []
        assert torch.equal(next(iter(loader))["clip"], following)
    del batch


def test_a_foreign_state_is_refused(shards):
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=4) as loader:
        state = loader.state_dict()
        with pytest.raises(StateError, match="fingerprint='other'"):
            loader.load_state_dict(state | {"fingerprint": "other"})
        with pytest.raises(StateError, match="seed=5"):
            loader.load_state_dict(state | {"seed": 5})


def test_splits_share_no_recording(shards):
    seen = {}
    for split in ("train", "val"):
        with ClipLoader(shards, WITHOUT_SOUND, batch_size=1, split=split) as loader:
            seen[split] = {batch["recording"].item() for batch in loader}
            assert loader.clips == len(loader) == 4 * len(seen[split])
    assert len(seen["train"]) == 4 and len(seen["val"]) == 2 and not seen["train"] & seen["val"]


def test_batches_outlive_the_loader_and_each_other(shards):
    """Memory is used again only when nobody holds it."""
    with ClipLoader(shards, SMALL, batch_size=4) as loader:
        kept = [(batch["frames"], batch["frames"].clone(), batch["sound"], batch["sound"].clone()) for batch in loader]
        for _ in range(4):
            for _ in loader:
                pass
        a_batch = sum(tensor.nbytes for tensor in (kept[0][0], kept[0][2]))
        under_way = 2 + 2 + 1 + 1  # waiting in the queue, being made, held by the loop, and being taken from the queue
        assert loader.report()["buffer_bytes"] <= (len(kept) + under_way) * a_batch
    gc.collect()
    assert all(torch.equal(a, b) and torch.equal(c, d) for a, b, c, d in kept)


def test_threads_end_with_break_exception_and_close(shards):
    before = threading.active_count()
    loader = ClipLoader(shards, SMALL, batch_size=2)
    for _ in loader:
        break

    def broken_loop() -> None:
        for batch in loader:
            batch["nothing"]

    with pytest.raises(KeyError):
        broken_loop()
    loader.close()
    gc.collect()
    assert threading.active_count() == before


def test_a_flipped_bit_is_named_and_can_be_forbidden(shards, tmp_path):
    import shutil

    broken = shutil.copytree(shards, tmp_path / "broken")
    key = flip(broken, 2, "f000.jpg")
    strict = Health(tmp_path / "quarantine.jsonl", rate=0, after=0)
    with (
        ClipLoader(broken, WITHOUT_SOUND, batch_size=4, health=strict) as loader,
        pytest.raises(TooManyCorruptError, match=rf"{key}\.f000\.jpg: checksum mismatch.*quarantine\.jsonl lists them"),
    ):
        for _ in loader:
            pass
    assert loader.state_dict()["position"] < 24
    (line,) = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == key


def test_missing_gpu_is_said_once(shards, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with ClipLoader(shards, WITHOUT_SOUND, batch_size=4, device="cuda") as loader:
        assert loader.device == "cpu" and "no usable GPU" in loader.fallbacks[0]
    assert capsys.readouterr().err.count("no usable GPU") == 1


def test_report(shards):
    with ClipLoader(shards, SMALL, batch_size=4, epochs=1) as loader:
        assert loader.report()["verdict"].startswith("nothing was delivered")
        for _ in loader:
            pass
        report = loader.report()
    assert report["clips"] == 24 and report["clips_per_second"] > 0
    assert set(report["stages"]) == {"read", "decode", "rotate", "spectrogram", "wait"}
    assert report["stages"]["rotate"]["count"] == report["stages"]["decode"]["count"] == 24
    assert report["verdict_code"] and report["verdict"]


def test_one_iteration_at_a_time_and_none_after_close(shards):
    loader = ClipLoader(shards, WITHOUT_SOUND, batch_size=4)
    first = iter(loader)
    next(first)
    with pytest.raises(RuntimeError, match="is being iterated already"):
        next(iter(loader))
    loader.close()
    with pytest.raises(RuntimeError, match="was closed while it was being iterated"):
        next(first)
    with pytest.raises(RuntimeError, match="was closed"):
        next(iter(loader))
    assert not [t for t in threading.enumerate() if t.name.startswith("sonosphere")]
