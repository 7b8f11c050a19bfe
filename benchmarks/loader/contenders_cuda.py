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
    """PCM windows of a batch, in host memory → the kind of sound asked for, on the device; peers only for those that they give."""
    from dataio.stream.kernels import stft_cuda

    sounds = [raw.sound for raw in raws if raw.sound]
    pairs = torch.from_numpy(np.stack([pair for sound in sounds for pair in sound.pairs])).pin_memory()
    gains = torch.from_numpy(np.concatenate([sound.gains for sound in sounds]).astype(np.float32)).to(device)
    ipd, double = spec.sound == "ipd", (2,) if spec.sound == "complex" else ()
    out = torch.empty((len(pairs), 2, *double, stft.BINS, stft.columns(spec.samples)), device=device)
    stream = torch.cuda.current_stream().cuda_stream
    level, hann = gains.reshape(-1)[:, None] / 32768, torch.from_numpy(graphs.HANN).to(device)

    def ours() -> None:
        stft_cuda.spectrogram(pairs.to(device, non_blocking=True), gains, out, spec.sound, stream)

    def torchs() -> torch.Tensor:
        signal = pairs.to(device, non_blocking=True).transpose(1, 2).reshape(2 * len(pairs), -1).float() * level
        complexes = torch.stft(signal, stft.WINDOW, stft.HOP, window=hann, return_complex=True)
        if spec.sound == "complex":
            return torch.view_as_real(complexes)
        if ipd:
            across = complexes[0::2] * complexes[1::2].conj()
            return torch.view_as_real(across / across.abs().clamp(min=1e-30))
        power = torch.view_as_real(complexes).square().sum(-1)
        return power.clamp(min=stft.FLOOR).log() if spec.sound == "log" else power.sqrt()

    found: Contenders = {"Sonosphere stft_cuda": _synchronised(ours), "torch.stft": _synchronised(torchs)}
    if spec.sound in ("log", "magnitude"):
        signals = [np.ascontiguousarray(pair[:, ear]) for pair in pairs.numpy() for ear in (0, 1)]
        pipe = graphs.sound(device, batch=len(signals), threads=threads, kind=spec.sound)

        def dali() -> None:
            pipe.feed_input("pcm", signals)
            pipe.feed_input("gain", [np.float32(gain) for sound in sounds for gain in sound.gains.reshape(-1)])
            pipe.run()

        found["DALI spectrogram"] = _synchronised(dali)
    return found
