"""Two crops of a picture in DALI alone, as one would write it without kernels of one's own: a peer of the loader, on the CPU.

Its colours are near torchvision's, not equal: one affine map of YIQ, in one order, with contrast about mid grey. Two graphs: one
decodes a picture once and cuts both views from it, the other decodes the region of each view.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def
from nvidia.dali.types import DALIDataType, DALIImageType, DALIInterpType

from dataio.stream.images.draws import Draws, boxes
from dataio.stream.images.spec import ViewSpec

_MIDDLE = [[255 * level for level in ViewSpec().mean], [255 * level for level in ViewSpec().std]]


@pipeline_def(enable_conditionals=True)
def _graph(once: bool, size: int):
    names = ("box0", "box1") if once else ("box0",)
    jpeg = fn.external_source(name="jpeg", ndim=1, dtype=DALIDataType.UINT8)
    if once:
        picture = fn.decoders.image(jpeg, output_type=DALIImageType.RGB)
    found = []
    for name in names:
        box = fn.external_source(name=name, ndim=1, dtype=DALIDataType.INT32)
        numbers = fn.external_source(name=f"numbers{name}", ndim=1, dtype=DALIDataType.FLOAT)
        if once:
            part = fn.slice(picture, box[0:2], box[2:4], axes=[0, 1])
        else:
            part = fn.decoders.image_slice(jpeg, box[0:2], box[2:4], axes=[0, 1], output_type=DALIImageType.RGB)
        view: Any = fn.resize(part, size=[size, size], interp_type=DALIInterpType.INTERP_LINEAR, antialias=True)
        if fn.cast(numbers[6], dtype=DALIDataType.BOOL):
            view = fn.color_twist(view, brightness=numbers[0], contrast=numbers[1], saturation=numbers[2], hue=numbers[3])
        if fn.cast(numbers[4] > 0, dtype=DALIDataType.BOOL):
            view = fn.gaussian_blur(view, sigma=numbers[4])
        mean, std = _MIDDLE
        mirror = fn.cast(numbers[5], dtype=DALIDataType.INT32)
        found.append(fn.crop_mirror_normalize(view, mean=mean, std=std, mirror=mirror, output_layout="CHW"))
    return tuple(found)


def contender(
    spec: ViewSpec, draws: Draws, jpegs: list[np.ndarray], sizes: list[tuple[int, int]], threads: int, *, once: bool
) -> Callable[[], Any]:
    """A function that makes the views of this batch. sizes: (height, width) of the pictures. once: decode whole pictures, once."""
    views = draws.grey.shape[1]
    assert views == 2
    crops = boxes(spec, draws, *np.array(sizes).T).astype(np.int32)
    changed = (draws.factors != [1, 1, 1, 0]).any(-1) | draws.grey
    factors = draws.factors * [1, 1, 1, 360]
    factors[..., 2] *= ~draws.grey
    numbers = np.concatenate([factors, np.stack([draws.sigma, draws.flip, changed], -1)], -1).astype(np.float32)
    batch = len(jpegs) if once else views * len(jpegs)
    pipe = _graph(
        once, spec.size, batch_size=batch, num_threads=threads, device_id=None, prefetch_queue_depth=1, exec_dynamic=False
    )
    pipe.build()

    def run() -> Any:
        if once:
            pipe.feed_input("jpeg", jpegs)
            for v in range(views):
                pipe.feed_input(f"box{v}", list(crops[:, v]))
                pipe.feed_input(f"numbersbox{v}", list(numbers[:, v]))
        else:
            pipe.feed_input("jpeg", [jpeg for jpeg in jpegs for _ in range(views)])
            pipe.feed_input("box0", list(crops.reshape(-1, 4)))
            pipe.feed_input("numbersbox0", list(numbers.reshape(-1, numbers.shape[-1])))
        return pipe.run()

    return run
