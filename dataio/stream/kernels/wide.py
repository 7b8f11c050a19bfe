"""Four neighbouring numbers in one store, and the bytes of a word: what CUDA kernels need to move memory in wide pieces.

An index that is unsigned is never counted from an array's end, which spares kernels a question a load; so all of them here are.
numba has no vector store to arrays; LLVM has, and it becomes one `st.v4`. In the simulator the four are stored one after the other.
"""

# mypy: no-check-untyped-defs
# inside a kernel, names mean what numba makes of them

from typing import Any

import numpy as np
from numba import cuda
from numba.core import config

if config.ENABLE_CUDASIM:  # type: ignore[attr-defined]

    def store4(array: Any, at: Any, a: Any, b: Any, c: Any, d: Any) -> None:
        """As on the device; an address that no wide store may have is an error here."""
        if at % 4 or at < 0 or at + 4 > array.size:
            raise IndexError(f"store of four at {at} in an array of {array.size}")
        array[at], array[at + 1], array[at + 2], array[at + 3] = a, b, c, d

    def level(word: Any, byte: int) -> Any:
        """As on the device."""
        return np.float32((int(word) >> 8 * byte) & 255)

else:
    from llvmlite import ir
    from numba.cuda import cgutils, types  # type: ignore[attr-defined]
    from numba.cuda.extending import intrinsic

    @intrinsic
    def store4(typingctx, array, at, a, b, c, d):
        """array[at … at + 3] = a, b, c, d, rounded to the array's float16 or float32; at is a multiple of 4 in an aligned array."""
        signature = types.void(array, types.uint64, *([types.float32] * 4))

        def generate(context, builder, signature, args):
            kind = signature.args[0]
            view = context.make_array(kind)(context, builder, args[0])
            target = cgutils.get_item_pointer(context, builder, kind, view, [args[1]])
            element = ir.HalfType() if kind.dtype.bitwidth == 16 else ir.FloatType()
            vector: Any = ir.Constant(ir.VectorType(element, 4), ir.Undefined)
            for i, value in enumerate(args[2:]):
                value = builder.fptrunc(value, element) if kind.dtype.bitwidth == 16 else value
                vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), i))
            space = target.type.addrspace
            stored = builder.store(vector, builder.bitcast(target, ir.PointerType(vector.type, space)))
            stored.align = 4 * kind.dtype.bitwidth // 8
            return context.get_dummy_value()

        return signature, generate

    @cuda.jit(device=True)
    def level(word, byte):
        """A byte of a uint32, as float32; byte is 0 to 3.

        It becomes the lowest byte of the float 2²³, which is then taken off: two instructions, where shifting, masking and
        converting are three, and conversions are slow.
        """
        return np.uint32(cuda.libdevice.byte_perm(word, 0x4B000000, 0x7440 + byte)).view(np.float32) - np.float32(8388608)


@cuda.jit(device=True)
def low(word):
    """Bytes 0 to 3 of a uint64, as uint32."""
    return np.uint32(word & np.uint64(0xFFFFFFFF))


@cuda.jit(device=True)
def high(word):
    """Bytes 4 to 7 of a uint64, as uint32."""
    return np.uint32(word >> np.uint64(32))
