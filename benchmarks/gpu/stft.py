"""Spectrograms on the device against copy bandwidth and bare cuFFT; a cuFFT pipeline, torch and DALI in the same run.

Bytes are counted as if PCM were read once and the output written once, whatever a contender moves. The bound is the slower of
a copy of so many bytes and of cuFFT alone on the same frames. Every contender is checked against the CPU's kernel before it is
timed. On a CPU all this only proves that it runs: its figures say nothing of the kernels for the GPU.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dataio.stream.kernels import stft
from dataio.stream.kernels.stft import BINS, FLOOR, HOP, KINDS, WINDOW

_CLIPS, _SAMPLES = 64, 96_000
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class _Case:
    """pcm (N, n, 2), gains (N, 2) on the device; expected: the first and the last pair of every kind by the CPU's kernel."""

    device: torch.device
    pcm: torch.Tensor
    gains: torch.Tensor
    expected: dict[str, torch.Tensor]

    def shape(self, kind: str) -> tuple[int, ...]:
        return _shape(len(self.pcm), self.pcm.shape[1], kind)

    def empty(self, kind: str) -> torch.Tensor:
        return torch.empty(self.shape(kind), device=self.device)

    @property
    def stream(self) -> int:
        return int(torch.cuda.current_stream(self.device).cuda_stream)

    def ears(self) -> torch.Tensor:
        """(2N, n) float32 within ±1 · gain."""
        return (self.pcm.transpose(1, 2) * (self.gains / 32768)[:, :, None]).flatten(0, 1)


Run = Callable[[], Any]


def measure(device: torch.device, *, rounds: int, small: bool) -> dict[str, Any]:
    """Copy bandwidth, and for 4 pairs and for 1 pair a clip every contender of every kind.

    Args:
        rounds: of which the median counts, after two that do not. small: sizes of a rehearsal.

    Returns:
        JSON-able: `copy_gb_per_s` (read + written); `cases`, each with `clips`, `pairs`, `samples`, `bare_cufft_ms` (null where it
        does not run, then `bare_cufft_error`) and `contenders`: `name`, `kind`, `ms`, `clips_per_s`, `gb_per_s`, `share_of_copy`,
        `share_of_bound`, `difference` (relative, from the CPU's kernel), or `error` alone; `fastest` names the best of each kind.
    """
    copy = _copy(device, (8 << 20) if small else (1 << 30), rounds)
    clips, samples = (2, 4_000) if small else (_CLIPS, _SAMPLES)
    cases = [_measured(device, clips, clips * pairs, samples, copy, rounds) for pairs in (4, 1)]
    return {"device": device.type, "copy_gb_per_s": round(copy, 3), "rounds": rounds, "small": small, "cases": cases}


def _measured(device: torch.device, clips: int, pairs: int, samples: int, copy: float, rounds: int) -> dict[str, Any]:
    case = _case(device, pairs, samples)
    found: dict[str, Any] = {"clips": clips, "pairs": pairs, "samples": samples, "bare_cufft_ms": None}
    try:
        found["bare_cufft_ms"] = _short(1e3 * _seconds(device, _bare(case), rounds))
    except Exception as error:  # whatever a contender fails of is reported, and does not end the run
        found["bare_cufft_error"] = _said(error)
    found["contenders"] = []
    for name, kind, make, events in _contenders(device):
        entry: dict[str, Any] = {"name": name, "kind": kind}
        try:
            run = make(case, kind)
            entry["difference"] = _short(_difference(run(), case, kind))
            if not entry["difference"] <= _TOLERANCE:
                raise ValueError(f"differs from the CPU's kernel by {entry['difference']}; allowed: {_TOLERANCE}")
            taken = _seconds(device, run, rounds, events=events)
            moved = (case.pcm.nbytes + 4 * int(np.prod(case.shape(kind)))) / 1e9
            bound = max(moved / copy, (found["bare_cufft_ms"] or 0) / 1e3)
            rates = {"ms": 1e3 * taken, "clips_per_s": clips / taken, "gb_per_s": moved / taken}
            rates |= {"share_of_copy": moved / taken / copy, "share_of_bound": bound / taken}
            entry |= {key: _short(value) for key, value in rates.items()}
            del run
        except Exception as error:
            entry["error"] = _said(error)
        found["contenders"].append(entry)
    timed = [entry for entry in found["contenders"] if "ms" in entry and entry["name"] != "torch.fft.rfft, frames in memory"]
    best = {kind: min((e for e in timed if e["kind"] == kind), key=lambda e: e["ms"], default=None) for kind in KINDS}
    found["fastest"] = {kind: entry and entry["name"] for kind, entry in best.items()}
    return found


def _shape(pairs: int, samples: int, kind: str) -> tuple[int, ...]:
    return pairs, 2, *((2,) if kind == "complex" else ()), BINS, stft.columns(samples)


def _case(device: torch.device, pairs: int, samples: int) -> _Case:
    rng = np.random.default_rng(0)
    pcm = rng.integers(-20_000, 20_001, (pairs, samples, 2)).astype(np.int16)
    gains = rng.uniform(0.5, 2, (pairs, 2)).astype(np.float32)
    expected = {}
    for kind in KINDS:
        some = np.empty(_shape(2, samples, kind), np.float32)
        for i, pair in enumerate((0, pairs - 1)):
            stft.spectrogram(pcm[pair], gains[pair], some[i], kind)
        expected[kind] = torch.from_numpy(some)
    return _Case(device, torch.from_numpy(pcm).to(device), torch.from_numpy(gains).to(device), expected)


def _contenders(device: torch.device) -> list[tuple[str, str, Callable[[_Case, str], Run], bool]]:
    """Name, kind, what prepares it, and whether it works on torch's stream."""
    ours = [("ours", kind, _ours, True) for kind in KINDS]
    rivals = [("torch.stft", kind, _torch, True) for kind in KINDS]
    dali = [("DALI fn.spectrogram", kind, _dali, False) for kind in ("log", "magnitude")]
    cufft = [("cuFFT, strided frames", "log", _cufft, True)] if device.type == "cuda" else []
    return [*ours, *cufft, *rivals, ("torch.fft.rfft, frames in memory", "complex", _rfft, True), *dali]


def _ours(case: _Case, kind: str) -> Run:
    out = case.empty(kind)
    if case.device.type == "cuda":
        from dataio.stream.kernels import stft_cuda

        def on_device() -> torch.Tensor:
            stft_cuda.spectrogram(case.pcm, case.gains, out, kind, case.stream)
            return out

        return on_device
    pcm, gains, room = case.pcm.numpy(), case.gains.numpy(), out.numpy()

    def on_host() -> torch.Tensor:
        for i in range(len(pcm)):
            stft.spectrogram(pcm[i], gains[i], room[i], kind)
        return out

    return on_host


def _planned(case: _Case) -> Any:
    from benchmarks.gpu.stft_cufft import Planned

    return Planned(len(case.pcm), case.pcm.shape[1], lambda count: torch.empty(count, device=case.device))


def _bare(case: _Case) -> Run:
    if case.device.type != "cuda":
        raise ValueError(f"cuFFT does not run on {case.device.type}")
    planned = _planned(case)
    return lambda: planned.transform(case.stream)


def _cufft(case: _Case, kind: str) -> Run:
    planned, out = _planned(case), case.empty(kind)

    def run() -> torch.Tensor:
        planned.log(case.pcm, case.gains, out, case.stream)
        return out

    return run


def _kind_of(bins: torch.Tensor, kind: str) -> torch.Tensor:
    """A kind made of complex bins (N, 2, 257, T) with torch's operators."""
    if kind == "complex":
        return torch.view_as_real(bins).permute(0, 1, 4, 2, 3).contiguous()
    if kind == "magnitude":
        return bins.abs()
    if kind == "log":
        return (bins.real.square() + bins.imag.square()).clamp_(min=FLOOR).log_()
    cross = bins[:, 0] * bins[:, 1].conj()
    cross = cross / cross.abs()
    return torch.stack([cross.real, cross.imag], 1)


def _torch(case: _Case, kind: str) -> Run:
    window = torch.hann_window(WINDOW, device=case.device)

    def run() -> torch.Tensor:
        bins = torch.stft(case.ears(), WINDOW, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
        return _kind_of(bins.unflatten(0, (-1, 2)), kind)

    return run


def _rfft(case: _Case, kind: str) -> Run:
    """Only the transform is timed; its result, columns first, is turned for the comparison by a view."""
    window = torch.hann_window(WINDOW, device=case.device)
    half = WINDOW // 2
    frames = torch.nn.functional.pad(case.ears(), (half, half), mode="reflect").unfold(1, WINDOW, HOP) * window

    def run() -> torch.Tensor:
        return torch.view_as_real(torch.fft.rfft(frames)).unflatten(0, (-1, 2)).permute(0, 1, 4, 3, 2)

    return run


def _dali(case: _Case, kind: str) -> Run:
    """fn.spectrogram of mono signals that are float already, as it wants them."""
    from nvidia.dali import fn, math, pipeline_def
    from nvidia.dali.types import DALIDataType

    place = "gpu" if case.device.type == "cuda" else "cpu"
    ears = case.ears().contiguous()

    @pipeline_def(enable_conditionals=False)
    def graph() -> Any:
        sound: Any = fn.external_source(name="ears", device=place, ndim=1, dtype=DALIDataType.FLOAT, no_copy=True)
        shape: dict[str, Any] = {"nfft": WINDOW, "window_length": WINDOW, "window_step": HOP, "window_fn": stft.HANN.tolist()}
        bins = fn.spectrogram(sound, **shape, center_windows=True, reflect_padding=True, power=2 if kind == "log" else 1)
        return math.log(math.max(bins, FLOOR)) if kind == "log" else bins

    number = (case.device.index or 0) if place == "gpu" else None
    pipe = graph(batch_size=len(ears), num_threads=2, device_id=number, prefetch_queue_depth=1, exec_dynamic=False)
    pipe.build()
    if place == "gpu":
        torch.cuda.synchronize(case.device)  # its stream does not wait for ours
    given = ears if place == "gpu" else ears.numpy()

    def run() -> torch.Tensor:
        pipe.feed_input("ears", given)
        (found,) = pipe.run()
        if place == "gpu":  # it has a stream of its own, which events on ours know nothing of
            torch.cuda.synchronize(case.device)
        dense: Any = found.as_tensor()
        values = torch.from_dlpack(dense) if place == "gpu" else torch.from_numpy(np.asarray(dense))
        return values.reshape(case.shape(kind))

    return run


def _difference(found: torch.Tensor, case: _Case, kind: str) -> float:
    """‖a - b‖ / ‖b‖ of the first and last pair; of logarithms and phases the median of |a - b|, since quiet bins have neither."""
    if case.device.type == "cuda":
        torch.cuda.synchronize(case.device)
    if found.shape != case.shape(kind):
        raise ValueError(f"gives {tuple(found.shape)}; expected {case.shape(kind)}")
    a, b = found[[0, -1]].cpu(), case.expected[kind]
    return float((a - b).abs().median() if kind in ("log", "ipd") else (a - b).norm() / b.norm())


def _copy(device: torch.device, room: int, rounds: int) -> float:
    """Gigabytes a second, read and written, of a copy of so many bytes."""
    source, target = (torch.zeros(room, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * room / _seconds(device, lambda: target.copy_(source), rounds) / 1e9


def _seconds(device: torch.device, run: Run, rounds: int, *, events: bool = True) -> float:
    """Median of the rounds, by the device's own clock where it has one and the work is on torch's stream."""
    found = []
    for i in range(rounds + 2):
        if device.type == "cuda" and events:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            torch.cuda.synchronize(device)
            torch.cuda._sleep(4_000_000)  # two milliseconds in which the host queues all of it: launches are not what is measured
            begin.record()
            run()
            end.record()
            end.synchronize()
            taken = begin.elapsed_time(end) / 1e3
        else:
            at = time.perf_counter()
            run()
            taken = time.perf_counter() - at
        if i >= 2:  # the first ones compile and allocate
            found.append(taken)
    return float(statistics.median(found))


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]
