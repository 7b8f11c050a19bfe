"""The loader against what one would write without it, on the same shards and with the same tensors as the result.

- a torch DataLoader with worker processes over a map-style dataset: random access by an index of offsets, torchvision's JPEG
  decoder, torch.stft, `roll` for the turn;
- webdataset's WebLoader with the same transforms, reading the tars from front to back.

Both get what they do well: the files lie in the page cache, workers are persistent, no clip is read that is not used, and torch has
one thread a worker, which is the fastest here.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.loader.turns import Endless, rates
from dataio.format import index, manifest
from dataio.format.clip import frame_extension
from dataio.stream.kernels.rotate import MEAN, STD
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec
from train.environment import machine

AHEAD = 2  # batches that each of a DataLoader's workers prepares, torch's default
TURN = 3.0  # seconds


@dataclass(frozen=True)
class Wanted:
    """One clip as the loader would give it. shift: columns. start: first sample of the window."""

    shard: int
    row: int
    shift: int
    start: int


class ByIndex(torch.utils.data.Dataset):
    """Clips by number, as the loader's own order and choices have them, so that the tensors can be compared."""

    def __init__(self, shards: Path, spec: ClipSpec, wanted: list[Wanted]) -> None:
        self._shards, self._spec, self._wanted = shards, spec, wanted
        self._manifest = manifest.load(shards)
        self._indexes: dict[int, index.ShardIndex] = {}
        self._files: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        w, spec, media = self._wanted[i], self._spec, self._manifest.media
        entry = self._index(w.shard)
        jpegs = [self._member(w, entry, frame_extension(f * media.frames // spec.frames)) for f in range(spec.frames)]
        sounds = []
        for pair in spec.pairs:
            row = entry.column(f"{pair}.wav")[w.row]
            at = int(entry.members["offset"][row]) + int(entry.members["data"][row]) + 4 * w.start
            sounds.append(np.frombuffer(os.pread(self._file(w.shard), 4 * spec.samples, at), np.int16).reshape(-1, 2))
        return transform(jpegs, sounds, w.shift, self._manifest.mean_rms, spec)

    def _index(self, shard: int) -> index.ShardIndex:
        if shard not in self._indexes:
            self._indexes[shard] = index.load(self._shards / f"{self._manifest.name(shard)}.npz", "index")
        return self._indexes[shard]

    def _file(self, shard: int) -> int:
        if shard not in self._files:
            self._files[shard] = os.open(self._shards / f"{self._manifest.name(shard)}.tar", os.O_RDONLY)
        return self._files[shard]

    def _member(self, w: Wanted, entry: index.ShardIndex, extension: str) -> bytes:
        row = entry.column(extension)[w.row]
        return os.pread(self._file(w.shard), int(entry.members["length"][row]), int(entry.members["offset"][row]))


def transform(
    jpegs: list[bytes], sounds: list[np.ndarray], shift: int, mean_rms: dict[str, float], spec: ClipSpec
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (3, F, H, W) and sound (2P, 257, T) of one clip, by torchvision and torch alone."""
    from torchvision.io import ImageReadMode, decode_jpeg

    pictures = [decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB) for jpeg in jpegs]
    frames = torch.stack(pictures, 1).float().div_(255)
    frames = frames.sub_(torch.tensor(MEAN).view(3, 1, 1, 1)).div_(torch.tensor(STD).view(3, 1, 1, 1))
    frames = frames.roll(-shift, -1)
    gains = [0.1 / mean_rms[f"{pair}.{ear}"] for pair in spec.pairs for ear in "LR"]
    signal = torch.from_numpy(np.concatenate(sounds, 1).T.astype(np.float32)) * (torch.tensor(gains)[:, None] / 32768)
    spectrum = torch.stft(signal, 512, 160, window=torch.hann_window(512), center=True, return_complex=True)
    return frames.contiguous(), spectrum.abs().square().clamp_(min=1e-5).log_()


def peers(
    shards: Path, spec: ClipSpec, *, batch_size: int, workers: int, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure on a shard set of JPEGs and PCM.

    Args:
        spec: frames of the stored size, sound `log`, no augmentation: what the others can do as well.
        workers: of the DataLoaders; our loader has as many threads.

    Returns:
        JSON: `clips_per_second` → contender → median, min, max; `times` as fast as each peer; `equal`: by how much the tensors of
        the first batches differ.

    Raises:
        ValueError: the tensors differ by more than JPEG decoders do.
    """
    torch.set_num_threads(1)
    with ExitStack() as stack:
        loader = stack.enter_context(ClipLoader(shards, spec, batch_size=batch_size, threads=workers))
        wanted = _wanted(loader, batch_size)
        by_index = ByIndex(shards, spec, wanted)
        equal = _compare(loader, by_index, batch_size, batches=4)
        torch_loader = torch.utils.data.DataLoader(
            by_index, batch_size, num_workers=workers, persistent_workers=True, worker_init_fn=_one_thread, prefetch_factor=AHEAD
        )
        web = _web_loader(shards, spec, batch_size, workers)
        found = {
            "Sonosphere ClipLoader": Endless(loader, loader.batches_ahead),
            "torch DataLoader, torchvision, torch.stft": Endless(torch_loader, AHEAD * workers + 1),
            "webdataset WebLoader, torchvision, torch.stft": Endless(web, AHEAD * workers + 1),
        }
        seen = rates(found, batch_size, rounds=rounds, seconds=TURN, say=say)
    ours, *others = seen
    return {
        "bench": "peers",
        "machine": machine(),
        "spec": asdict(spec),
        "batch_size": batch_size,
        "workers": workers,
        "rounds": rounds,
        "unit": "clips/s",
        "clips_per_second": seen,
        "times": {other: seen[ours]["median"] / seen[other]["median"] for other in others},
        "equal": equal,
    }


def _wanted(loader: ClipLoader, batch_size: int) -> list[Wanted]:
    """The first epoch of the loader, as full batches."""
    return [
        Wanted(*loader.locate(pick), pick.shift, pick.start)
        for position in range(0, loader.clips - batch_size + 1, batch_size)
        for pick in loader.planned(0, np.arange(position, position + batch_size))
    ]


def _compare(loader: ClipLoader, by_index: ByIndex, batch_size: int, batches: int) -> dict[str, float]:
    """How far the tensors of the first batches are apart: grey levels at the 99.9th percentile, and relative norm of the sound."""
    levels, apart = 0.0, 0.0
    scale = 255 * torch.tensor(STD).view(3, 1, 1, 1)
    for number, batch in enumerate(loader):
        for i in range(batch_size):
            frames, sound = by_index[number * batch_size + i]
            difference = ((batch["frames"][i] - frames).abs() * scale).numpy()
            levels = max(levels, float(np.quantile(difference, 0.999)))
            apart = max(apart, float((batch["sound"][i] - sound).norm() / sound.norm()))
        if number + 1 == min(batches, len(loader)):
            break
    if levels > 2 or apart > 1e-4:
        raise ValueError(f"the peers' tensors differ: {levels:.2f} grey levels on 99.9 % of the pixels, sound by {apart:.1e}")
    return {"grey_levels_999": levels, "sound_relative": apart}


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _web_loader(shards: Path, spec: ClipSpec, batch_size: int, workers: int) -> Any:
    import webdataset as wds

    found = manifest.load(shards)
    media = found.media
    draw = np.random.default_rng(0)
    most = round(media.clip_seconds * media.rate) - spec.samples
    step = spec.size[1] // (spec.yaw_classes or 1)

    def samples(stream: Iterator[dict[str, Any]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for sample in stream:
            jpegs = [sample[frame_extension(f * media.frames // spec.frames)] for f in range(spec.frames)]
            start = int(draw.integers(most + 1))
            sounds = [np.frombuffer(sample[f"{p}.wav"][44:], np.int16).reshape(-1, 2)[start:][: spec.samples] for p in spec.pairs]
            yield transform(jpegs, sounds, step * int(draw.integers(spec.yaw_classes or 1)), found.mean_rms, spec)

    urls = [str(shards / f"{found.name(i)}.tar") for i in range(len(found))]
    dataset = (
        wds.WebDataset(urls, shardshuffle=len(urls), nodesplitter=None, empty_check=False).repeat().shuffle(64).compose(samples)
    )
    batched = dataset.batched(batch_size, partial=False, collation_fn=torch.utils.data.default_collate)
    return wds.WebLoader(batched, batch_size=None, num_workers=workers, persistent_workers=True, worker_init_fn=_one_thread)
