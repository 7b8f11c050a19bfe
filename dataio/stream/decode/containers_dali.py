"""The DALI graph for video containers: VP9 and MJPEG on the CPU, and on a GPU also H.264, HEVC and AV1, by NVDEC.

On the CPU `container.numbered` is faster: by a tenth to a quarter where all frames are needed, and six times where eight of sixty
that stand alone are (VP9 of GOP 1, MJPEG), since DALI decodes what lies between. Its pictures are those of `numbered` with
`interpolate`, bit for bit. The GPU's part is written for it, and was not run yet.
"""

from collections.abc import Sequence

from nvidia.dali import fn, pipeline_def
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.types import DALIDataType

from dataio.stream.decode.graphs import execution

CPU_CODECS = ("vp9", "mjpeg")
"""What DALI decodes without a GPU."""


@pipeline_def(enable_conditionals=False)
def _containers(device: str, numbers: list[int] | None):
    data = fn.external_source(name="data", ndim=1, dtype=DALIDataType.UINT8)
    wanted = fn.external_source(name="numbers", ndim=1, dtype=DALIDataType.INT32) if numbers is None else numbers
    # a container with too few frames is damaged: the default would hand out black ones
    return fn.decoders.video(data, device="cpu" if device == "cpu" else "mixed", frames=wanted, pad_mode="none")


def containers(device: str, *, batch: int, threads: int, numbers: Sequence[int] | None) -> Pipeline:
    """Containers, fed as `data`, one a clip → uint8 (F, H, W, 3) each, on the device.

    Args:
        numbers: of the F frames, in the order of display, for every clip; None: they are fed as `numbers`, (F,) int32 each, as for
            copied packets, of which every clip has its own (see `container.numbers_at`).
    """
    pipe = _containers(
        device,
        list(numbers) if numbers is not None else None,
        batch_size=batch,
        num_threads=threads,
        **execution(device),
    )
    pipe.build()
    return pipe
