"""Two crops of a picture as one would write it with torchvision: a DataLoader with worker processes, on the same shards."""

import io
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from dataio.format import index, manifest
from dataio.stream.images.spec import ViewSpec

Backend = Literal["tensor", "pillow"]
BACKENDS: tuple[Backend, ...] = ("tensor", "pillow")


def augmentation(spec: ViewSpec, backend: Backend) -> Any:
    """MoCo-v2's transforms by torchvision v2, in uint8 until the end, as its documentation advises; with Pillow, its own
    blur, which MoCo's code takes.
    """
    from PIL import Image, ImageFilter
    from torchvision.transforms import v2

    class PillowBlur(torch.nn.Module):
        def forward(self, picture: Image.Image) -> Image.Image:
            return picture.filter(ImageFilter.GaussianBlur(float(torch.empty(1).uniform_(*spec.blur))))

    radius = round(0.05 * spec.size)
    blur = PillowBlur() if backend == "pillow" else v2.GaussianBlur(2 * radius + 1, spec.blur)
    return v2.Compose(
        [
            v2.RandomResizedCrop(spec.size, spec.scale, spec.ratio, antialias=True),
            v2.RandomApply([v2.ColorJitter(*spec.jitter)], spec.jitter_p),
            v2.RandomGrayscale(spec.grey_p),
            v2.RandomApply([blur], spec.blur_p),
            v2.RandomHorizontalFlip(spec.flip_p),
            *([v2.PILToTensor()] if backend == "pillow" else []),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(spec.mean), list(spec.std)),
        ]
    )


class Pictures(torch.utils.data.Dataset):
    """Views of pictures by number, read at random from the tars by our index."""

    def __init__(self, shards: Path, spec: ViewSpec, backend: Backend) -> None:
        self._found, self._shards, self._spec, self._backend = manifest.load(shards), shards, spec, backend
        self._augment = augmentation(spec, backend)
        self._open: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self._found.clips

    def __getitem__(self, clip: int) -> tuple[torch.Tensor, ...]:
        shard = int(np.searchsorted(self._found.first_clip, clip, side="right")) - 1
        file, offset, length = self._member(shard)
        row = clip - int(self._found.first_clip[shard])
        picture = self._decode(os.pread(file, int(length[row]), int(offset[row])))
        return tuple(self._augment(picture) for _ in range(self._spec.views))

    def _decode(self, data: bytes) -> Any:
        if self._backend == "pillow":
            from PIL import Image

            return Image.open(io.BytesIO(data)).convert("RGB")
        from torchvision.io import ImageReadMode, decode_jpeg

        return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)

    def _member(self, shard: int) -> tuple[int, np.ndarray, np.ndarray]:
        if shard not in self._open:
            name = self._found.name(shard)
            table = index.load(self._shards / f"{name}.npz", name)
            rows = table.column("jpg")
            file = os.open(self._shards / f"{name}.tar", os.O_RDONLY)
            self._open[shard] = file, table.members["offset"][rows], table.members["length"][rows]
        return self._open[shard]


def loader(shards: Path, spec: ViewSpec, backend: Backend, batch_size: int, workers: int) -> torch.utils.data.DataLoader:
    """Shuffled, with workers that stay, one torch thread each, which is the fastest here."""
    return torch.utils.data.DataLoader(
        Pictures(shards, spec, backend),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
