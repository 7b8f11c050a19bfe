"""Kernels compiled for compute capability 9.0 without a GPU: PTX by NVVM, and what ptxas makes of it where a package brings one."""

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba.cuda.dispatcher
import pytest
from numba import cuda

CAPABILITY = (9, 0)


@dataclass(frozen=True)
class Built:
    """registers: of a thread; spills: bytes. Both None where there is no ptxas."""

    ptx: str
    registers: int | None
    spills: int | None


def built(kernel: Any, signature: Any, folder: Path, patch: pytest.MonkeyPatch) -> Built:
    """Compile a kernel for these types. Device functions ask the current device what to compile for; here it is told."""
    patch.setattr(numba.cuda.dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=CAPABILITY))
    ptx, _ = cuda.compile(kernel.py_func, signature, cc=CAPABILITY, device=False, abi="numba")
    source = folder / f"{kernel.py_func.__name__}.ptx"
    source.write_text(ptx)
    if (assembler := _assembler()) is None:
        return Built(ptx, None, None)
    command = [assembler, "-v", "-arch=sm_90", str(source), "-o", str(source.with_suffix(".cubin"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.search(r"Used (\d+) registers", done.stderr)
    spilled = re.findall(r"(\d+) bytes spill", done.stderr)
    assert found and spilled, done.stderr
    return Built(ptx, int(found[1]), sum(map(int, spilled)))


def _assembler() -> str | None:
    """ptxas, which a package brings along that is as new as the PTX: triton's own is older."""
    for package, place in (("torch", "bin"),):
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or [] if spec else []:
            if (found := Path(folder) / place / ("ptxas.exe" if sys.platform == "win32" else "ptxas")).exists():
                return str(found)
    return None
