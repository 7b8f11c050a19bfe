"""Whether batches on the device are those of the CPU: by how much they differ, field by field, as numbers."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from dataio.stream.kernels.rotate import STD
from dataio.stream.loader import ClipLoader
from dataio.stream.spec import ClipSpec

Batch = Mapping[str, torch.Tensor]
GREY, PIXELS, SOUND = 2.0, 0.999, 1e-4
"""Grey levels that JPEG decoders may differ by, on which share of the values; and ‖a−b‖ / ‖b‖ of magnitudes."""
HALF = 0.5
"""More of a grey level, for what float16 rounds: by up to 0.06 near white."""
EXACT = ("clip", "recording", "source", "yaw", "yaw_degrees", "sound_start", "partner", "gap", "mask", "labels", "label")
_SOUNDS = ("sound", "partner_sound")


def difference(wanted: Batch, given: Batch) -> dict[str, float]:
    """Of two batches: `same_fields`, and of every field, in the order of their names, the share of values that are equal (EXACT),
    the share within two grey levels (`frames`), the relative norm (`sound`, `partner_sound`), or the greatest difference.
    """
    found = {"same_fields": float(set(wanted) == set(given))}
    for name in sorted(set(wanted) & set(given)):
        a, b = wanted[name].cpu(), given[name].cpu()
        if a.shape != b.shape:
            found[name] = float("inf") if name not in EXACT and name != "frames" else 0.0
        elif name in EXACT:
            found[name] = float((a == b).double().mean()) if a.numel() else 1.0
        elif name == "frames":
            scale = 255 * torch.tensor(STD).view(3, *[1] * (a.ndim - 2))
            found[name] = float((((a.float() - b.float()).abs() * scale) <= GREY + HALF).double().mean())
        elif name in _SOUNDS:
            found[name] = float((a - b).double().norm() / a.double().norm().clamp(min=1e-30))
        else:
            found[name] = float((a.double() - b.double()).abs().nan_to_num(float("inf")).max()) if a.numel() else 0.0
    return found


def compare(shards: Path, spec: ClipSpec, device: str, *, batch_size: int, batches: int) -> dict[str, Any]:
    """The first batches of two loaders. Returns the worst of `difference` over them, and how many there were."""
    worst: dict[str, float] = {}
    count = 0
    with (
        ClipLoader(shards, spec, batch_size=batch_size) as cpu,
        ClipLoader(shards, spec, batch_size=batch_size, device=device) as gpu,
    ):
        for a, b in islice(zip(_endless(cpu), _endless(gpu), strict=True), batches):
            for name, value in difference(a, b).items():
                high = name in EXACT or name in ("frames", "same_fields")
                worst[name] = (min if high else max)(worst.get(name, value), value)
            count += 1
    return {"batches": count, "batch_size": batch_size, "worst": worst, "equal": equal(worst)}


def equal(worst: Mapping[str, float]) -> bool:
    """Whether these differences are within what decoders and float32 leave open."""
    return all(_allowed(name, value) for name, value in worst.items())


def _allowed(name: str, value: float) -> bool:
    if name in (*EXACT, "same_fields"):
        return value == 1.0
    if name == "frames":
        return value >= PIXELS
    return value <= (SOUND if name in _SOUNDS else 1e-3)  # flow: pixels, of which it stores steps of 1/64


def _endless(loader: ClipLoader) -> Iterator[Batch]:
    while True:
        yield from loader
