"""The DALI graphs, written once for both devices: JPEGs to pixels, PCM to spectrograms."""

from typing import Any

import numpy as np
from nvidia.dali import fn, math, pipeline_def
from nvidia.dali.pipeline import Pipeline
from nvidia.dali.types import DALIDataType, DALIImageType

from dataio.stream.kernels.stft import FLOOR, HOP, WINDOW

HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
"""The periodic Hann window, as torch has it; DALI's own default is the symmetric one, off by 0.25 %."""


def device_id(device: str) -> int | None:
    if device == "cpu":
        return None
    import torch

    return torch.device(device).index or 0


def execution(device: str) -> dict[str, Any]:
    """How a pipeline runs: one batch at a time; on a GPU in the way that gives outputs in the order of a stream of ours."""
    return {"device_id": device_id(device), "prefetch_queue_depth": 1, "exec_dynamic": device != "cpu"}


@pipeline_def(enable_conditionals=False)
def _frames(device: str):
    jpegs = fn.external_source(name="jpeg", ndim=1, dtype=DALIDataType.UINT8)
    return fn.decoders.image(jpegs, device="cpu" if device == "cpu" else "mixed", output_type=DALIImageType.RGB)


def frames(device: str, *, batch: int, threads: int) -> Pipeline:
    """Encoded JPEGs (flat: clips × frames, fed as `jpeg`) → uint8 (H, W, 3) each, on the device.

    One flat batch of single pictures decodes twice as fast as eight operators a clip, and spreads evenly over the threads.
    """
    pipe = _frames(device, batch_size=batch, num_threads=threads, **execution(device))
    pipe.build()
    return pipe


@pipeline_def(enable_conditionals=False)
def _sound(device: str, kind: str):
    pcm = fn.external_source(name="pcm", ndim=1, dtype=DALIDataType.INT16)
    gain = fn.external_source(name="gain", ndim=0, dtype=DALIDataType.FLOAT)
    if device != "cpu":
        pcm, gain = pcm.gpu(), gain.gpu()
    signal = fn.cast(pcm, dtype=DALIDataType.FLOAT) * (gain / 32768.0)
    power = 2 if kind == "log" else 1
    spectrum = fn.spectrogram(
        signal,
        nfft=WINDOW,
        window_length=WINDOW,
        window_step=HOP,
        window_fn=HANN.tolist(),
        center_windows=True,
        reflect_padding=True,
        power=power,
    )
    return math.log(math.max(spectrum, FLOOR)) if kind == "log" else spectrum


def sound(device: str, *, batch: int, threads: int, kind: str) -> Pipeline:
    """Mono int16 signals (flat: clips × ears, fed as `pcm`, with a float `gain` each as `gain`) → (257, columns) float32 each."""
    pipe = _sound(device, kind, batch_size=batch, num_threads=threads, **execution(device))
    pipe.build()
    return pipe
