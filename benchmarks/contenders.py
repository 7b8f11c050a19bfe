"""Every implementation of a stage that this machine has, each as a function that does one batch of clips.

A ceiling is made of the fastest of them, so a new idea is added here first, and has to win before it is used.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from dataio.stream.batch_cpu import sound_shape
from dataio.stream.decode import graphs
from dataio.stream.kernels import rotate, stft
from dataio.stream.reader import RawClip
from dataio.stream.spec import ClipSpec

Contenders = dict[str, Callable[[], object]]


@contextmanager
def decode_cpu(raws: list[RawClip], size: tuple[int, int], threads: int) -> Iterator[Contenders]:
    """JPEGs of a batch → uint8 pixels of the stored size."""
    jpegs = [jpeg for raw in raws for jpeg in raw.jpegs]
    out = np.empty((len(jpegs), *size, 3), np.uint8)
    chunks = [range(i, min(i + 8, len(jpegs))) for i in range(0, len(jpegs), 8)]
    pipe = graphs.frames("cpu", batch=len(jpegs), threads=threads)
    tensors = [torch.from_numpy(jpeg.copy()) for jpeg in jpegs]

    def dali() -> np.ndarray:
        pipe.feed_input("jpeg", jpegs)
        return np.asarray(pipe.run()[0].as_tensor())

    with ThreadPoolExecutor(threads) as pool:

        def torchvision_threads() -> list[torch.Tensor]:
            from torchvision.io import decode_jpeg

            return [
                picture for part in pool.map(lambda chunk: [decode_jpeg(tensors[i]) for i in chunk], chunks) for picture in part
            ]

        found: Contenders = {"DALI decoders.image, flat batch": dali, "torchvision decode_jpeg, threads": torchvision_threads}
        try:
            import simplejpeg
        except ImportError:  # a development tool; an offline GPU host may not have it
            pass
        else:

            def turbo(chunk: range) -> None:
                for i in chunk:
                    simplejpeg.decode_jpeg(jpegs[i].data, "RGB", fastdct=True, fastupsample=True, buffer=out[i])

            found["libjpeg-turbo (simplejpeg), threads"] = lambda: (list(pool.map(turbo, chunks)), out)[1]
        yield found


@contextmanager
def spectrogram_cpu(raws: list[RawClip], spec: ClipSpec, threads: int) -> Iterator[Contenders]:
    """PCM windows of a batch → the kind of sound that the spec asks for; peers only for those that they can give."""
    out = np.empty((len(raws), *sound_shape(spec)), np.float32)
    signals = [np.ascontiguousarray(pair[:, ear]) for raw in raws for pair in raw.pairs for ear in (0, 1)]
    gains = [np.float32(gain) for raw in raws for gain in raw.gains.reshape(-1)]
    hann = torch.from_numpy(graphs.HANN)

    def ours(i: int) -> None:
        for p, pcm in enumerate(raws[i].pairs):
            target = out[i, p] if spec.sound == "ipd" else out[i, 2 * p : 2 * p + 2]
            stft.spectrogram(pcm, raws[i].gains[p], target, spec.sound)

    def ear(i: int) -> torch.Tensor:
        x = torch.from_numpy(signals[i].astype(np.float32)) * float(gains[i] / 32768)
        frames = torch.nn.functional.pad(x[None], (256, 256), mode="reflect")[0].unfold(0, stft.WINDOW, stft.HOP)
        power = torch.view_as_real(torch.fft.rfft(frames * hann)).square_().sum(-1)
        return power.clamp_(min=stft.FLOOR).log_().T if spec.sound == "log" else power.sqrt_().T

    with ThreadPoolExecutor(threads) as pool:
        found: Contenders = {"Sonosphere stft, threads": lambda: (list(pool.map(ours, range(len(raws)))), out)[1]}
        if spec.sound in ("log", "magnitude"):
            pipe = graphs.sound("cpu", batch=len(signals), threads=threads, kind=spec.sound)

            def dali() -> np.ndarray:
                pipe.feed_input("pcm", signals)
                pipe.feed_input("gain", gains)
                return np.asarray(pipe.run()[0].as_tensor())

            found["DALI spectrogram"] = dali
            found["torch rfft, an ear at a time, threads"] = lambda: list(pool.map(ear, range(len(signals))))
        yield found


@contextmanager
def rotate_cpu(raws: list[RawClip], stored: tuple[int, int], spec: ClipSpec, threads: int) -> Iterator[Contenders]:
    """uint8 pixels → turned, resized, normalised float32 in the layout of the batch."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(raws), spec.frames, *stored, 3), np.uint8)
    out = np.empty((len(raws), 3, spec.frames, *spec.size), np.float32)
    plan = rotate.plan(stored, spec.size)
    quarter = spec.size[1] // 4
    with ThreadPoolExecutor(threads) as pool:

        def ours(i: int) -> None:
            rotate.rotate(pixels[i], quarter * (i % 4), False, plan, out[i])

        yield {"Sonosphere rotate, threads": lambda: list(pool.map(ours, range(len(raws))))}
