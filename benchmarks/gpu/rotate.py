"""Turning, resizing and normalising on the device, as a share of its copy bandwidth; torch and DALI in the same run.

Bytes are counted as if each of the input were read once and each of the output written once, whatever a contender really moves, and
bandwidth is that of a copy between two buffers larger than any cache. On a CPU all this only proves that it runs: its figures say
nothing of the kernels for the GPU.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dataio.stream.kernels import rotate

SIZES = {
    "equal 512x256": ((256, 512), (256, 512), 64),
    "512x256 to 448x224": ((256, 512), (224, 448), 64),
    "1920x960 to 512x256": ((960, 1920), (256, 512), 8),
}
"""Stored size, size and clips of a batch, (height, width); eight frames a clip, so that no batch fits into a cache."""

_SMALL = {
    "equal 32x16": ((16, 32), (16, 32), 2),
    "32x16 to 24x12": ((16, 32), (12, 24), 2),
    "120x60 to 32x16": ((60, 120), (16, 32), 2),
}
_FRAMES = 8


def measure(device: torch.device, *, rounds: int, small: bool) -> dict[str, Any]:
    """Copy bandwidth, and of every size and dtype our kernel against it, torch's operators and DALI's.

    Args:
        rounds: of which the median counts, after two that do not. small: sizes of a rehearsal.

    Returns:
        JSON-able: `copy_gb_per_s` (read + written); `cases`, each with `size`, `dtype`, `ms`, `gb_per_s`, `share_of_copy`, and
        `torch_ms`, `dali_ms` with `times_torch`, `times_dali` (how many times as long they take); null, and `torch_error` or
        `dali_error`, where they do not run.
    """
    copy = _copy(device, (8 << 20) if small else (1 << 30), rounds)
    cases = []
    for name, (stored, size, clips) in (_SMALL if small else SIZES).items():
        # the CPU's kernel writes float32 and nothing else
        for dtype in (torch.float16, torch.float32) if device.type == "cuda" else (torch.float32,):
            cases.append(
                {"size": name, "dtype": str(dtype).removeprefix("torch.")} | _case(device, stored, size, clips, dtype, copy, rounds)
            )
    return {"device": device.type, "copy_gb_per_s": round(copy, 3), "rounds": rounds, "small": small, "cases": cases}


def _copy(device: torch.device, room: int, rounds: int) -> float:
    """Gigabytes a second, read and written, of a copy of so many bytes."""
    source, target = (torch.zeros(room, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * room / _seconds(device, lambda: target.copy_(source), rounds) / 1e9


def _case(
    device: torch.device, stored: tuple[int, int], size: tuple[int, int], clips: int, dtype: torch.dtype, copy: float, rounds: int
) -> dict[str, Any]:
    pixels = torch.randint(0, 256, (clips, _FRAMES, *stored, 3), dtype=torch.uint8, device=device)
    out = torch.empty((clips, 3, _FRAMES, *size), dtype=dtype, device=device)
    shift = torch.arange(clips, device=device) * 5 % size[1]
    mirror = torch.arange(clips, device=device) % 2
    moved = (pixels.nbytes + out.nbytes) / 1e9
    ours = _seconds(device, _ours(device, pixels, shift, mirror, stored, size, out), rounds)
    found: dict[str, Any] = {"ms": ours * 1e3, "gb_per_s": moved / ours, "share_of_copy": moved / ours / copy}
    del out
    for name, rival in (
        ("torch", lambda: _seconds(device, lambda: _torch(pixels, size, dtype), rounds)),
        ("dali", lambda: _dali(device, pixels, size, dtype, rounds)),
    ):
        try:
            theirs = rival()
        except (ImportError, RuntimeError, TypeError, ValueError) as error:  # a rival that cannot do it here does not end the run
            found |= {f"{name}_ms": None, f"times_{name}": None, f"{name}_error": str(error).partition("\n")[0][:200]}
        else:
            found |= {f"{name}_ms": theirs * 1e3, f"times_{name}": theirs / ours}
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in found.items()}


def _ours(
    device: torch.device,
    pixels: torch.Tensor,
    shift: torch.Tensor,
    mirror: torch.Tensor,
    stored: tuple[int, int],
    size: tuple[int, int],
    out: torch.Tensor,
) -> Callable[[], Any]:
    plan = rotate.plan(stored, size)
    if device.type != "cuda":
        frames, room, turns = pixels.numpy(), out.numpy(), list(zip(shift.tolist(), mirror.tolist(), strict=True))

        def every() -> None:
            for i, (columns, mirrored) in enumerate(turns):
                rotate.rotate(frames[i], columns, bool(mirrored), plan, room[i])

        return every
    from dataio.stream.kernels import rotate_cuda

    tables, stream = rotate_cuda.Tables(plan), torch.cuda.current_stream(device).cuda_stream
    return lambda: rotate_cuda.rotate(pixels, shift, mirror, tables, out, stream)


def _torch(pixels: torch.Tensor, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """What one writes with torch alone; all clips turned alike, which spares it a loop."""
    clips, frames = pixels.shape[:2]
    mean, std = (torch.tensor(values, device=pixels.device, dtype=dtype)[:, None, None] for values in (rotate.MEAN, rotate.STD))
    light = pixels.flatten(0, 1).permute(0, 3, 1, 2).to(dtype)
    if light.shape[2:] != size:
        light = torch.nn.functional.interpolate(light, size, mode="bilinear", antialias=True)
    turned = light.roll(-size[1] // 4, 3).div(255).sub(mean).div(std)
    return turned.reshape(clips, frames, 3, *size).transpose(1, 2).contiguous()


def _dali(device: torch.device, pixels: torch.Tensor, size: tuple[int, int], dtype: torch.dtype, rounds: int) -> float:
    """Seconds of fn.resize and fn.crop_mirror_normalize, which do not turn and leave frames where they are."""
    from nvidia.dali import fn, pipeline_def
    from nvidia.dali.types import DALIDataType

    flat = pixels.flatten(0, 1)
    kind = "gpu" if device.type == "cuda" else "cpu"

    @pipeline_def(enable_conditionals=False)
    def graph() -> Any:
        light: Any = fn.external_source(name="pixels", device=kind, ndim=3, dtype=DALIDataType.UINT8, layout="HWC", no_copy=True)
        if tuple(flat.shape[1:3]) != size:
            light = fn.resize(light, size=size, antialias=True)
        half = DALIDataType.FLOAT16 if dtype == torch.float16 else DALIDataType.FLOAT
        levels: dict[str, Any] = {"mean": [255 * m for m in rotate.MEAN], "std": [255 * s for s in rotate.STD]}
        return fn.crop_mirror_normalize(light, dtype=half, output_layout="CHW", mirror=1, **levels)

    number = (device.index or 0) if kind == "gpu" else None
    pipe = graph(batch_size=len(flat), num_threads=2, device_id=number, prefetch_queue_depth=1, exec_dynamic=False)
    pipe.build()
    given = flat if kind == "gpu" else flat.numpy()

    def run() -> None:
        pipe.feed_input("pixels", given, layout="HWC")
        pipe.run()
        if kind == "gpu":  # it has a stream of its own, which events on ours know nothing of
            torch.cuda.synchronize(device)

    return _seconds(device, run, rounds, events=False)


def _seconds(device: torch.device, run: Callable[[], Any], rounds: int, *, events: bool = True) -> float:
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
    return float(np.float64(statistics.median(found)))
