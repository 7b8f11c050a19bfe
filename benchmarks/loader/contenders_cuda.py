"""The contenders of each stage on a GPU. Every function returns only when the device is done."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.loader.contenders import Contenders
from dataio.stream.decode import graphs
from dataio.stream.kernels import rotate, rotate_cuda, stft
from dataio.stream.reader import RawClip
from dataio.stream.spec import ClipSpec


def _synchronised(run: Callable[[], object]) -> Callable[[], None]:
    def both() -> None:
        run()
        torch.cuda.synchronize()

    return both


def decode(raws: list[RawClip], device: str, threads: int) -> Contenders:
    """JPEGs of a batch, in host memory → uint8 pixels on the device."""
    jpegs = [jpeg for raw in raws for jpeg in raw.picture.parts]
    pipe = graphs.frames(device, batch=len(jpegs), threads=threads)

    def dali() -> None:
        pipe.feed_input("jpeg", jpegs)
        pipe.run()

    return {"DALI decoders.image (nvJPEG), flat batch": _synchronised(dali)}


def rotation(raws: list[RawClip], stored: tuple[int, int], spec: ClipSpec, device: str) -> Contenders:
    """uint8 pixels → turned, resized, normalised float16, all on the device; `copy` moves as many bytes and does nothing else."""
    pixels = torch.randint(0, 256, (len(raws), spec.frames, *stored, 3), dtype=torch.uint8, device=device)
    out = torch.empty((len(raws), 3, spec.frames, *spec.size), dtype=torch.float16, device=device)
    shift = torch.arange(len(raws), device=device) % 4 * (spec.size[1] // 4)
    mirror = torch.zeros(len(raws), dtype=torch.int64, device=device)
    tables = rotate_cuda.Tables(rotate.plan(stored, spec.size))
    stream = torch.cuda.current_stream().cuda_stream
    moved = (pixels.nbytes + out.nbytes) // 2
    source, target = (torch.empty(moved, dtype=torch.uint8, device=device) for _ in range(2))
    return {
        "Sonosphere rotate_cuda": _synchronised(lambda: rotate_cuda.rotate(pixels, shift, mirror, tables, out, stream)),
        "copy of as many bytes (a limit, not a rival)": _synchronised(lambda: target.copy_(source)),
    }


def spectrogram(raws: list[RawClip], spec: ClipSpec, device: str, threads: int) -> Contenders:
    """PCM windows of a batch, in host memory → log power or magnitude on the device."""
    signals = [np.ascontiguousarray(pair[:, ear]) for raw in raws if raw.sound for pair in raw.sound.pairs for ear in (0, 1)]
    gains = [np.float32(gain) for raw in raws if raw.sound for gain in raw.sound.gains.reshape(-1)]
    pipe = graphs.sound(device, batch=len(signals), threads=threads, kind=spec.sound)
    stacked, level = torch.from_numpy(np.stack(signals)).pin_memory(), torch.tensor(gains, device=device)[:, None] / 32768
    hann = torch.from_numpy(graphs.HANN).to(device)

    def dali() -> None:
        pipe.feed_input("pcm", signals)
        pipe.feed_input("gain", gains)
        pipe.run()

    def torchs() -> torch.Tensor:
        signal = stacked.to(device, non_blocking=True).float() * level
        spectrum = torch.view_as_real(torch.stft(signal, stft.WINDOW, stft.HOP, window=hann, return_complex=True)).square().sum(-1)
        return spectrum.clamp(min=stft.FLOOR).log() if spec.sound == "log" else spectrum.sqrt()

    return {"DALI spectrogram": _synchronised(dali), "torch.stft": _synchronised(torchs)}
