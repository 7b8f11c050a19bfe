"""In which numbers a step is computed: the three kinds of autocast, and the one that suits the machine."""

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "fp16", "auto"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_NATIVE = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux names them, the last on ARM


def resolved(precision: Precision, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """`auto` is bf16 where the device multiplies it by itself, and fp32 elsewhere: a CPU that has to imitate it is half as fast."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _NATIVE & _features() else "fp32"


def _features(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """What Linux says that the processor can; nothing elsewhere."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith(("flags", "Features")) for word in line.partition(":")[2].split()}
