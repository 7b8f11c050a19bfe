"""Makes numba's CUDA simulator safe for kernels with shared memory; import it in the process that simulates.

Its threads are threads, and the first one to come allocates what all of a block share. Between looking whether it is there and
putting it there another may do the same (numba-cuda 0.30, simulator/kernelapi.py): then they share nothing. Also, what a kernel
reads before it has written it is no number here, rather than whatever lay there.
"""

import sys

import numpy as np
from numba.core import types
from numba.cuda.simulator.kernelapi import FakeCUDAShared
from numba.np import numpy_support

_dynamic = FakeCUDAShared.array


def _array(self, shape, dtype, alignment=None):
    if shape == 0:  # of the size that the launch says
        return _dynamic(self, shape, dtype, alignment)
    if isinstance(dtype, types.Type):
        dtype = numpy_support.as_dtype(dtype)
    caller = sys._getframe(1)
    return self._allocations.setdefault((caller.f_code.co_filename, caller.f_lineno), np.full(shape, np.nan, dtype))


FakeCUDAShared.array = _array
