"""Every field that a batch may have, from sets in every form that the builder makes, against what the members themselves say."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dataio import ClipLoader, ClipSpec
from dataio.format import index, manifest
from dataio.format.clip import PAIRS
from dataio.format.flow import decode_flow
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from dataio.stream.health import Health
from dataio.stream.kernels.rotate import STD

SIZE = (32, 64)
FORMS = {
    "jpeg": {"flow": True, "mask": True},
    "h264": {"frames": "h264", "gop": 8},
    "hevc": {"frames": "hevc", "gop": 1},
    "vp9": {"frames": "vp9"},
    "av1": {"frames": "av1"},
    "copy": {"frames": "copy"},
    "flac": {"sound": "flac"},
}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two recordings, eight clips, as shard sets of every form."""
    folder = tmp_path_factory.mktemp("forms")
    write_recordings(folder / "recordings", recordings=2, seconds=8.0, seed=5, size=SIZE)
    found = {}
    for name, options in FORMS.items():
        encode = EncodeOptions(size=SIZE, fps=4.0, **options)
        build(folder / "recordings", folder / name, BuildOptions(encode, split="train=1"), local(1))
        found[name] = folder / name
    return found


def every(shards: Path, spec: ClipSpec, **options) -> dict[str, torch.Tensor]:
    """All clips of a set in one batch, in the order of their ids."""
    count = manifest.load(shards).clips
    with ClipLoader(shards, spec, batch_size=count, epochs=1, health=Health(None, rate=0, after=0), **options) as loader:
        (batch,) = loader
    order = batch["clip"].argsort()
    assert batch["clip"][order].tolist() == list(range(count))
    return {name: value[order] for name, value in batch.items()}


def members(shards: Path, clip: int) -> dict[str, bytes]:
    """All files of a clip, read with Python's own tarfile."""
    found = manifest.load(shards)
    shard = int(np.searchsorted(found.first_clip, clip, side="right")) - 1
    key = index.load(shards / f"{found.name(shard)}.npz", "x").clips["key"][clip - found.first_clip[shard]].decode()
    with tarfile.open(shards / f"{found.name(shard)}.tar") as tar:
        return {m.name.partition(".")[2]: tar.extractfile(m).read() for m in tar if m.name.partition(".")[0] == key}


def levels(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """Grey levels by which frames differ."""
    return (a - b).abs().numpy() * np.array(STD).reshape(1, 3, 1, 1, 1) * 255


@pytest.mark.parametrize("form", ["h264", "hevc", "vp9", "av1", "copy"])
def test_frames_from_containers_are_those_of_the_jpegs(forms, form):
    """As near as two lossy codecs of the same quality come; a shift by one column is twice as far away."""
    spec = ClipSpec(frames=4, size=SIZE, pairs=(), yaw_classes=4, augment=("mirror",))
    jpegs, found = every(forms["jpeg"], spec, seed=2), every(forms[form], spec, seed=2)
    mine, theirs = _by_scene(forms["jpeg"], jpegs), _by_scene(forms[form], found)
    assert set(mine) == set(theirs)
    for scene in mine:
        a, b = mine[scene], theirs[scene]
        # the order of the sets differs, and so do the draws: turn both back
        difference = levels(_straight(a), _straight(b))
        assert difference.mean() < 0.7 * levels(_straight(a).roll(1, -1), _straight(b)).mean()


def _by_scene(shards: Path, batch: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    found = manifest.load(shards)
    keys = [k.decode() for i in range(len(found)) for k in index.load(shards / f"{found.name(i)}.npz", "x").clips["key"]]
    with ClipLoader(
        shards, ClipSpec(frames=4, size=SIZE, pairs=(), yaw_classes=4, augment=("mirror",)), batch_size=1, seed=2
    ) as loader:
        picks = {pick.clip: pick for pick in loader.planned(0, np.arange(len(keys)))}
    return {
        keys[clip]: {name: value[clip : clip + 1] for name, value in batch.items()}
        | {"mirror": torch.tensor(int(picks[clip].mirror)), "shift": torch.tensor(picks[clip].shift)}
        for clip in range(len(keys))
    }


def _straight(clip: dict[str, torch.Tensor]) -> torch.Tensor:
    frames = clip["frames"].flip(-1) if clip["mirror"] else clip["frames"]
    return frames.roll(int(clip["shift"]), -1)


def test_vp9_through_dali_is_vp9_through_ffmpeg(forms):
    """The chroma of 4:2:0 is repeated by the one and interpolated by the other: levels apart, and no more."""
    spec = ClipSpec(frames=8, size=SIZE, pairs=(), yaw_classes=4)
    ours, theirs = every(forms["vp9"], spec), every(forms["vp9"], spec, decoder="dali")
    assert torch.equal(ours["yaw"], theirs["yaw"])
    difference = levels(ours["frames"], theirs["frames"])
    assert difference.mean() < 3 and np.quantile(difference, 0.99) < 25


def test_flac_is_pcm(forms):
    spec = (
        ClipSpec(frames=0, pairs=("front", "left"), augment=("mirror",)) if False else ClipSpec(frames=0, pairs=("front", "back"))
    )
    pcm, flac = forms["jpeg"], forms["flac"]
    assert manifest.load(flac).media.sound == "flac"
    a, b = every(pcm, spec, seed=1), every(flac, spec, seed=1)
    mine = {key: i for i, key in enumerate(_keys(pcm))}
    for i, key in enumerate(_keys(flac)):
        if a["sound_start"][mine[key]] == b["sound_start"][i]:
            assert torch.equal(a["sound"][mine[key]], b["sound"][i])
    whole = ClipSpec(frames=0, pairs=PAIRS, sound_seconds=2.0)
    a, b = every(pcm, whole), every(flac, whole)
    for i, key in enumerate(_keys(flac)):
        assert torch.equal(a["sound"][mine[key]], b["sound"][i])


def _keys(shards: Path) -> list[str]:
    found = manifest.load(shards)
    return [k.decode() for i in range(len(found)) for k in index.load(shards / f"{found.name(i)}.npz", "x").clips["key"]]


@pytest.mark.parametrize("augment", [(), ("mirror",), ("turn",), ("turn", "mirror")])
def test_maps_turn_with_the_frames(forms, augment):
    shards = forms["jpeg"]
    spec = ClipSpec(frames=1, size=SIZE, pairs=(), yaw_classes=8, augment=augment, flow=True, mask=True, labels=True)
    batch = every(shards, spec, seed=4)
    assert {name: (tuple(batch[name].shape[1:]), batch[name].dtype) for name in ("flow", "mask", "labels")} == {
        "flow": ((2, *SIZE), torch.float32),
        "mask": ((1, *SIZE), torch.uint8),
        "labels": ((1, *SIZE), torch.uint8),
    }
    with ClipLoader(shards, spec, batch_size=1, seed=4) as loader:
        picks = {pick.clip: pick for pick in loader.planned(0, np.arange(loader.clips))}
    assert len({(p.shift, p.mirror) for p in picks.values()}) > 3
    for clip, pick in picks.items():
        files = members(shards, clip)

        def seen(picture: np.ndarray, pick=pick) -> np.ndarray:
            turned = np.roll(picture, -pick.shift, 1)
            return turned[:, ::-1] if pick.mirror else turned

        for name in ("mask", "labels"):
            stored = np.asarray(Image.open(io.BytesIO(files[f"{name}.png"])))
            assert np.array_equal(batch[name][clip, 0].numpy(), seen(stored))
        flow, valid = decode_flow(files["flow.png"])
        u, v = seen(flow[..., 0]) * (-1 if pick.mirror else 1), seen(flow[..., 1])
        known = seen(valid)
        assert np.allclose(batch["flow"][clip, 0].numpy()[known], u[known])
        assert np.allclose(batch["flow"][clip, 1].numpy()[known], v[known])


def test_a_damaged_map_is_a_corrupt_clip(forms, tmp_path):
    import json
    import shutil

    from tests.tiny import flip

    shards = shutil.copytree(forms["jpeg"], tmp_path / "set")
    key = flip(shards, 3, "labels.png")
    spec = ClipSpec(frames=1, size=SIZE, pairs=(), labels=True)
    with ClipLoader(shards, spec, batch_size=8, health=Health(tmp_path / "q.jsonl"), epochs=1) as loader:
        (batch,) = loader
    assert 3 not in batch["clip"].tolist()
    (line,) = (tmp_path / "q.jsonl").read_text().splitlines()
    assert (json.loads(line)["key"], json.loads(line)["extension"]) == (key, "labels.png")


def test_a_partner_is_another_window_of_the_same_recording(forms):
    shards = forms["jpeg"]
    spec = ClipSpec(frames=0, pairs=("front",), sound="magnitude", partner=True, reach=4.0)
    found = manifest.load(shards)
    starts = np.concatenate([index.load(shards / f"{found.name(i)}.npz", "x").clips["start"] for i in range(len(found))])
    recordings = every(shards, ClipSpec(frames=0))["recording"].numpy()
    others = 0
    for seed in range(3):
        batch = every(shards, spec, seed=seed)
        with ClipLoader(shards, spec, batch_size=1, seed=seed) as loader:
            picks = {pick.clip: pick for pick in loader.planned(0, np.arange(loader.clips))}
        for clip, partner in enumerate(batch["partner"].tolist()):
            assert recordings[partner] == recordings[clip]
            own, other = picks[clip].start, picks[clip].partner_start
            gap = starts[partner] - starts[clip] + (other - own) / 96_000
            assert batch["gap"][clip].item() == pytest.approx(gap / 4.0, abs=1e-6) and abs(gap) <= 4.0
            others += partner != clip
            window = _window(shards, partner, other)
            assert torch.allclose(batch["partner_sound"][clip], _magnitudes(shards, window), rtol=1e-3, atol=1e-4)
            assert torch.allclose(batch["sound"][clip], _magnitudes(shards, _window(shards, clip, own)), rtol=1e-3, atol=1e-4)
    assert others > 12  # of 24; a clip is its own partner only where no other one is near enough


def _window(shards: Path, clip: int, start: int) -> np.ndarray:
    data = members(shards, clip)["front.wav"]
    return np.frombuffer(data[44:], np.int16).reshape(-1, 2)[start : start + 96_000].T.astype(np.float64) / 32768


def _magnitudes(shards: Path, window: np.ndarray) -> torch.Tensor:
    return _transform(shards, window).abs().float()


def _transform(shards: Path, window: np.ndarray, pair: str = "front") -> torch.Tensor:
    mean = manifest.load(shards).mean_rms
    gains = np.array([[0.1 / mean[f"{pair}.L"]], [0.1 / mean[f"{pair}.R"]]])
    signal = torch.from_numpy(window * gains)
    return torch.stft(signal, 512, 160, window=torch.hann_window(512, dtype=torch.float64), return_complex=True)


def test_complex_and_interaural_phase_are_torchs(forms):
    shards = forms["jpeg"]
    spec = {"frames": 0, "pairs": ("front",)}
    parts = every(shards, ClipSpec(**spec, sound="complex"))
    phase = every(shards, ClipSpec(**spec, sound="ipd"))
    assert parts["sound"].shape == (8, 2, 2, 257, 601) and phase["sound"].shape == (8, 1, 2, 257, 601)
    for clip in range(8):
        start = round(parts["sound_start"][clip].item() * 96_000)
        expected = _transform(shards, _window(shards, clip, start))
        found = torch.complex(parts["sound"][clip, :, 0].double(), parts["sound"][clip, :, 1].double())
        assert (found - expected).norm() <= 1e-5 * expected.norm()
        angle = (expected[0] * expected[1].conj()).angle()
        loud = (expected.abs() > 1e-2).all(0)
        assert (phase["sound"][clip, 0, 0].double() - angle.cos())[loud].abs().max() < 1e-2
        assert (phase["sound"][clip, 0, 1].double() - angle.sin())[loud].abs().max() < 1e-2


def test_reduced_pictures_are_nearly_the_same(forms):
    for form, size in (("jpeg", (16, 32)), ("h264", (8, 16))):
        spec = {"frames": 2, "size": size, "pairs": (), "yaw_classes": 4}
        full, reduced = every(forms[form], ClipSpec(**spec)), every(forms[form], ClipSpec(**spec, reduced=True))
        difference = levels(full["frames"], reduced["frames"])
        assert 0 < difference.mean() < 4
