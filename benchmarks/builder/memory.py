"""Peak memory of a worker, above the bare imports, for one long recording."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.builder import material
from train.environment import machine

_WORKER = """
import sys
from pathlib import Path
import av, cv2, numpy, PIL.Image, simplejpeg, soundfile, torch, torchaudio
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
def peak():  # not getrusage, which counts the process that started this one too
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
bare = peak()
report = build(Path(sys.argv[1]), Path(sys.argv[2]), BuildOptions(split="train=1"), local(1))
print(report["clips"], bare, peak())
"""


def memory(folder: Path, *, hours: float, size: tuple[int, int], fps: int) -> dict[str, Any]:
    """Build one recording of so many hours inside `folder`, in a process of its own: as hard as a camera makes it, with noise,
    B-frames, groups of pictures of several seconds, and four pairs at 48 kHz that have to be resampled.

    Returns:
        JSON: `clips`, `imports_mib`, `peak_mib`, and `above_mib`, their difference.
    """
    material.long_recording(folder / "recordings", hours=hours, size=size, fps=fps)
    command = [sys.executable, "-c", _WORKER, str(folder / "recordings"), str(folder / "shards")]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    if done.returncode:
        raise RuntimeError(f"the build failed: {done.stderr.strip().splitlines()[-1]}")
    clips, bare, peak = map(int, done.stdout.split())
    return {
        "bench": "build memory",
        "machine": machine(),
        "source": {"hours": hours, "size": list(size), "fps": fps} | material.LONG,
        "clips": clips,
        "imports_mib": bare / 1024,
        "peak_mib": peak / 1024,
        "above_mib": (peak - bare) / 1024,
    }
