"""The DALI graph that decodes pictures, crops them and resizes the crops; written once for both devices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.types import DALIDataType, DALIImageType, DALIInterpType

from dataio.stream.images.crop import middle
from dataio.stream.images.draws import Draws, boxes
from dataio.stream.images.size import jpeg_size
from dataio.stream.images.spec import ViewSpec


def placement(spec: ViewSpec, draws: Draws, data: np.ndarray) -> np.ndarray:
    """Where the views of one JPEG lie in it, for `ViewGraph`: (V, 8) float32.

    Of each view: top, left, height and width of the part that is cut out, then top, left, bottom and right, in that part and maybe
    between its pixels, of what becomes the view.

    Args:
        draws: of this picture alone, n = 1; unused without augmentation.

    Raises:
        DecodeError: the bytes are no JPEG.
    """
    height, width = jpeg_size(data)
    if not spec.augment:
        part = middle(height, width, spec.short, spec.size)
        scale = np.array(part.box[2:]) / part.size
        low = np.array([part.top, part.left])
        return np.concatenate([part.box, low * scale, (low + spec.size) * scale]).astype(np.float32)[None]
    crops = boxes(spec, draws, np.array([height]), np.array([width]))[0]
    return np.concatenate([crops, np.zeros((spec.views, 2), np.int64), crops[:, 2:]], 1).astype(np.float32)


@pipeline_def(enable_conditionals=False)
def _views(device: str, size: int, views: int):
    jpeg = fn.external_source(name="jpeg", ndim=1, dtype=DALIDataType.UINT8)
    decoder = "cpu" if device == "cpu" else "mixed"
    picture = fn.decoders.image(jpeg, device=decoder, output_type=DALIImageType.RGB, adjust_orientation=False)
    found: list[Any] = []
    for v in range(views):
        place = fn.external_source(name=f"place{v}", ndim=1, dtype=DALIDataType.FLOAT)
        box = fn.cast(place[0:4], dtype=DALIDataType.INT32)
        # cut out first: a resize with a region looks at pixels beyond its edges, which torchvision does not
        part = fn.slice(picture, box[0:2], box[2:4], axes=[0, 1])
        linear = DALIInterpType.INTERP_LINEAR
        found.append(
            fn.resize(part, roi_start=place[4:6], roi_end=place[6:8], size=[size, size], interp_type=linear, antialias=True)
        )
    return fn.stack(*found)


class ViewGraph:
    """JPEGs with their placements → uint8 (V, S, S, 3) each, on the device. A picture is decoded once, however many views it has.

    One picture that DALI cannot decode makes a whole batch fail, and may hurt the process, while one that fails alone hurts nothing
    (see decode/safe.py). So try what looks suspicious with `probe`, and `rebuild` after a failure.
    """

    def __init__(self, spec: ViewSpec, device: str, *, batch: int, threads: int) -> None:
        self.spec, self._device, self._batch, self._threads = spec, device, batch, threads
        self._pipe: Pipeline | None = self._build(batch, threads)
        self._single: Pipeline | None = None
        self.rebuilt = 0

    def _build(self, batch: int, threads: int) -> Pipeline:
        import torch

        device_id = None if self._device == "cpu" else torch.device(self._device).index or 0
        sizes = {"batch_size": batch, "num_threads": threads, "device_id": device_id}
        pipe = _views(
            self._device, self.spec.size, self.spec.views, **sizes, prefetch_queue_depth=1, exec_async=False, exec_dynamic=False
        )
        pipe.build()
        return pipe

    def run(self, jpegs: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> Any:
        """Views of a batch, a DALI TensorList; valid until `release`. places: see `placement`.

        Raises:
            RuntimeError: something could not be decoded. After that, `rebuild`.
        """
        assert self._pipe is not None
        self._feed(self._pipe, jpegs, places)
        self._pipe.schedule_run()
        return self._pipe.share_outputs()[0]

    def _feed(self, pipe: Pipeline, jpegs: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> None:
        pipe.feed_input("jpeg", list(jpegs))
        for v in range(self.spec.views):
            pipe.feed_input(f"place{v}", [place[v] for place in places])

    def probe(self, jpeg: np.ndarray, place: np.ndarray) -> str | None:
        """What DALI says against this picture alone; None: nothing."""
        try:
            self._single = self._single or self._build(1, 1)
            self._feed(self._single, [jpeg], [place])
            self._single.run()
        except RuntimeError as error:
            self._single = None
            return _reason(error)
        return None

    def rebuild(self) -> None:
        self._pipe = None  # the old one first: both may not fit the device
        self._pipe, self.rebuilt = self._build(self._batch, self._threads), self.rebuilt + 1

    def release(self) -> None:
        """Let DALI use the memory of the last result again."""
        if self._pipe is not None:
            self._pipe.release_outputs()

    def close(self) -> None:
        self._pipe = self._single = None


def _reason(error: Exception) -> str:
    """DALI's reason on one line, without the stack that it prints."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    after = [i for i, line in enumerate(lines) if line == "encountered:"]
    return lines[after[0] + 1] if after and after[0] + 1 < len(lines) else (lines or ["no reason given"])[0]
