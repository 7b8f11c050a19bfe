"""What this machine has, what will fall back to what, and why. Each check does the thing instead of asking a version."""

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from train.environment import machine

Verdict = Literal["ok", "falls back", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the report. `missing` means that something needed does not work; `falls back` that another way is taken."""

    what: str
    verdict: Verdict
    detail: str


def examine() -> dict[str, Any]:
    """All checks: `machine`, `findings`, and `healthy`: nothing needed is missing."""
    findings = [finding for check in _CHECKS for finding in _guarded(check)]
    return {
        "machine": machine(),
        "findings": [asdict(f) for f in findings],
        "healthy": all(f.verdict != "missing" for f in findings),
    }


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except Exception as error:  # a check that breaks is a finding, whatever broke
        return [Finding((check.__doc__ or check.__name__).split(".")[0], "missing", f"{type(error).__name__}: {error}")]


def _gpu() -> list[Finding]:
    """GPU. Without one, the whole road runs on the CPU."""
    import torch

    if not torch.cuda.is_available():
        why = "torch sees no CUDA device" if torch.version.cuda else "this torch was built without CUDA"
        return [
            Finding("GPU", "falls back", f"{why}: device='cuda' becomes the CPU"),
            Finding("JPEG decoder", "falls back", "libjpeg-turbo on the CPU instead of nvJPEG"),
            Finding("rotation and spectrogram", "falls back", "numba's CPU kernels instead of the GPU's"),
            Finding("video containers", "falls back", "PyAV decodes them on the CPU, and of each only the frames that are needed"),
        ]
    name = torch.cuda.get_device_name(0)
    x = torch.ones(1024, device="cuda").sum().item()
    return [Finding("GPU", "ok" if x == 1024 else "missing", f"{torch.cuda.device_count()} x {name}")]


def _decode() -> list[Finding]:
    """DALI JPEG decode. A picture goes through the loader's own graph."""
    import numpy as np
    from PIL import Image

    from dataio.stream.decode import graphs

    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (200, 100, 50)).save(buffer, "JPEG", quality=95)
    pipe = graphs.frames("cpu", batch=1, threads=1)
    pipe.feed_input("jpeg", [np.frombuffer(buffer.getvalue(), np.uint8)])
    pixels = np.asarray(pipe.run()[0].as_tensor())[0].astype(int)
    error = int(np.abs(pixels - [200, 100, 50]).max())
    return [Finding("DALI JPEG decode", "ok" if error <= 3 else "missing", f"a picture came back to {error} grey levels")]


def _spectrogram() -> list[Finding]:
    """Spectrogram kernel. Compiled here and compared with torch."""
    import numpy as np
    import torch

    from dataio.stream.kernels import stft

    pcm = np.random.default_rng(0).integers(-20_000, 20_000, (4800, 2), np.int16)
    out = np.empty((2, stft.BINS, stft.columns(len(pcm))), np.float32)
    stft.spectrogram(pcm, np.ones(2, np.float32), out, "magnitude")
    reference = torch.stft(
        torch.from_numpy(pcm.T / 32768.0),
        stft.WINDOW,
        stft.HOP,
        window=torch.hann_window(stft.WINDOW, dtype=torch.float64),
        return_complex=True,
    ).abs()
    error = float(np.linalg.norm(out - reference.numpy()) / np.linalg.norm(reference))
    return [Finding("spectrogram kernel", "ok" if error < 1e-4 else "missing", f"differs from torch.stft by {error:.1e}")]


def _codecs() -> list[Finding]:
    """PyAV. The codecs that recordings come in."""
    import av

    names = ("h264", "hevc", "av1", "vp9", "mjpeg", "aac", "opus", "flac")
    lacking = [name for name in names if name not in av.codecs_available and f"lib{name}" not in av.codecs_available]
    detail = f"PyAV {av.__version__}: {', '.join(name for name in names if name not in lacking)}"
    return [
        Finding(
            "video and sound codecs", "missing" if lacking else "ok", detail + (f"; lacks {', '.join(lacking)}" if lacking else "")
        )
    ]


def _room() -> list[Finding]:
    """Room. Disk here, and shared memory."""
    free = shutil.disk_usage(".").free / 2**30
    cores = len(os.sched_getaffinity(0))
    return [
        Finding("disk", "ok" if free > 10 else "falls back", f"{free:.0f} GiB free in this folder; the demo needs about 4"),
        Finding("cores", "ok", f"{cores} for threads and workers"),
    ]


_CHECKS = (_gpu, _decode, _spectrogram, _codecs, _room)
