"""Every implementation of a stage that this machine has, each as a function that does one batch of clips.

A ceiling is made of the fastest of them, so a new idea is added here first, and has to win before it is used.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from dataio.stream.batch_cpu import sound_shape
from dataio.stream.decode import graphs
from dataio.stream.decode.jpeg import Decoder, JpegFrames, available, decode
from dataio.stream.kernels import rotate, stft
from dataio.stream.reader import RawClip, Sound
from dataio.stream.spec import ClipSpec

Contenders = dict[str, Callable[[], object]]
DECODERS: dict[Decoder, str] = {"turbo": "libjpeg-turbo (simplejpeg)", "torchvision": "torchvision decode_jpeg"}


@contextmanager
def decode_cpu(raws: list[RawClip], size: tuple[int, int], threads: int) -> Iterator[Contenders]:
    """JPEGs of a batch → uint8 pixels of the stored size, all of them the same (decode/jpeg.py says which)."""
    clips = [raw.picture.parts for raw in raws]
    jpegs = [jpeg for clip in clips for jpeg in clip]
    with ThreadPoolExecutor(threads) as pool, _dali_frames(jpegs, threads) as dali:
        found: Contenders = {"DALI decoders.image, flat batch": dali}
        for name in available():
            out = np.empty((len(jpegs), *size, 3), np.uint8)

            def clip(i: int, name: Decoder = name, out: np.ndarray = out) -> None:
                for f, jpeg in enumerate(clips[i]):
                    decode(jpeg, out[i * len(clips[i]) + f], name)

            found[f"{DECODERS[name]}, threads"] = partial(_each, pool, clip, out, len(clips))
        yield found


@contextmanager
def _dali_frames(jpegs: list[np.ndarray], threads: int) -> Iterator[Callable[[], np.ndarray]]:
    pipe = graphs.frames("cpu", batch=len(jpegs), threads=threads)

    def run() -> np.ndarray:
        pipe.feed_input("jpeg", jpegs)
        return np.asarray(pipe.run()[0].as_tensor())

    yield run


def _each(pool: ThreadPoolExecutor, work: Callable[[int], object], out: np.ndarray, clips: int) -> np.ndarray:
    """One task a clip, as in the loader; returns what they have filled."""
    list(pool.map(work, range(clips)))
    return out


def _sound(raw: RawClip) -> Sound:
    assert raw.sound is not None, "the spec asks for sound"
    return raw.sound


@contextmanager
def spectrogram_cpu(raws: list[RawClip], spec: ClipSpec, threads: int) -> Iterator[Contenders]:
    """PCM windows of a batch → the kind of sound that the spec asks for; peers only for those that they can give."""
    out = np.empty((len(raws), *sound_shape(spec)), np.float32)
    signals = [np.ascontiguousarray(pair[:, ear]) for raw in raws for pair in _sound(raw).pairs for ear in (0, 1)]
    gains = [np.float32(gain) for raw in raws for gain in _sound(raw).gains.reshape(-1)]
    hann = torch.from_numpy(graphs.HANN)

    def ours(i: int) -> None:
        sound = _sound(raws[i])
        for p, pcm in enumerate(sound.pairs):
            target = out[i, p] if spec.sound == "ipd" else out[i, 2 * p : 2 * p + 2]
            stft.spectrogram(pcm, sound.gains[p], target, spec.sound)

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

        def memory(i: int) -> None:
            rotate.rotate(pixels[i], quarter * (i % 4), False, plan, out[i])

        def cached(i: int) -> None:
            """As where a picture was just decoded, which the decode stage has been charged for."""
            for f in range(spec.frames):
                rotate.rotate_one(pixels[i, 0], f, quarter * (i % 4), False, plan, out[i])

        yield {
            "Sonosphere rotate, threads, from memory": partial(_each, pool, memory, out, len(raws)),
            "Sonosphere rotate, threads, from the cache": partial(_each, pool, cached, out, len(raws)),
        }


@contextmanager
def frames_cpu(raws: list[RawClip], stored: tuple[int, int], spec: ClipSpec, threads: int) -> Iterator[Contenders]:
    """JPEGs of a batch → turned, resized, normalised float32 in the layout of the batch. All write to the same memory."""
    clips = [raw.picture.parts for raw in raws]
    out = np.empty((len(raws), 3, spec.frames, *spec.size), np.float32)
    plan = rotate.plan(stored, spec.size)
    quarter = spec.size[1] // 4
    with (
        ThreadPoolExecutor(threads) as pool,
        _dali_frames([jpeg for clip in clips for jpeg in clip], threads) as dali,
    ):

        def turn(pixels: np.ndarray, i: int) -> None:
            frames = pixels[spec.frames * i : spec.frames * (i + 1)]
            rotate.rotate(frames, quarter * (i % 4), False, plan, out[i])

        found: Contenders = {"DALI flat batch, then Sonosphere rotate": lambda: _each(pool, partial(turn, dali()), out, len(clips))}
        for name in available():

            def write(i: int, frames: JpegFrames) -> None:
                frames.write(clips[i], quarter * (i % 4), False, out[i])

            ours = JpegFrames(stored, spec.size, name)
            found[f"{DECODERS[name]} and rotate, picture by picture"] = partial(
                _each, pool, partial(write, frames=ours), out, len(clips)
            )
        if spec.reduced and "turbo" in available():  # less work for a picture that differs a little: see JpegFrames
            less = JpegFrames(stored, spec.size, "turbo", reduced=True)
            title = f"libjpeg-turbo at 1/{less.divisor} and rotate, picture by picture"
            found[title] = partial(_each, pool, partial(write, frames=less), out, len(clips))
        yield found
