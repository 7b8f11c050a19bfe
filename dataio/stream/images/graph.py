"""The DALI graph that decodes pictures, crops them and resizes the crops; written once for both devices."""

from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.types import DALIDataType, DALIImageType, DALIInterpType

from dataio.stream.decode.form import suspicious_jpeg
from dataio.stream.decode.graphs import execution
from dataio.stream.decode.safe import Encoded
from dataio.stream.images.crop import middle
from dataio.stream.images.draws import Draws, boxes
from dataio.stream.images.size import jpeg_size
from dataio.stream.images.spec import ViewSpec


def placement(spec: ViewSpec, draws: Draws, data: np.ndarray) -> np.ndarray:
    """Where the views of one JPEG lie in it, for `views`: (V, 8) float32.

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


def encoded(spec: ViewSpec, draws: Draws, data: np.ndarray) -> Encoded:
    """What `views` is fed of one JPEG. draws: as in `placement`.

    Raises:
        DecodeError: the bytes are no JPEG.
    """
    place = placement(spec, draws, data)
    return Encoded({"jpeg": [data]} | {f"place{v}": [part] for v, part in enumerate(place)}, suspicious_jpeg(data))


def views(spec: ViewSpec, device: str, threads: int, batch: int) -> Pipeline:
    """JPEGs with their placements → uint8 (V, S, S, 3) each, on the device. A picture is decoded once for all its views."""
    pipe = _views(device, spec.size, spec.views, batch_size=batch, num_threads=threads, **execution(device))
    pipe.build()
    return pipe
