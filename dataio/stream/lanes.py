"""Lanes: 16 float32 values that travel together as one LLVM vector through numba code.

numba hands loops to LLVM and hopes that they vectorise; a spectrogram block has too many loads and stores for LLVM to prove that
they do not overlap, and then nothing does. Here the vector is a numba type of its own: `load` and `store` move 16 neighbours of a
flat array, `+ - *` work lane by lane (the left side may be a float32, which is broadcast), and LLVM maps the rest to what the machine has:
one AVX-512 register, two of AVX2, four of SSE or NEON.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)


class LanesType(types.Type):
    """The numba type of 16 float32 lanes; it lives in registers only, never in an array or in Python."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}f32")


lanes = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """One LLVM vector."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(FLOATS, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(FLOATS, ir.Undefined), ir.Constant(INTS, [0] * LANES))


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    @infer_global(symbol)
    class Signatures(ConcreteTemplate):
        cases = [signature(lanes, lanes, lanes), signature(lanes, types.float32, lanes)]

    @lower_builtin(symbol, lanes, lanes)
    def of_lanes(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=("contract", "nsz"))  # contract: may become a fused multiply-add

    @lower_builtin(symbol, types.float32, lanes)
    def of_scalar(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(_splat(builder, args[0]), args[1], flags=("contract", "nsz"))


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _arithmetic(_symbol, _instruction)


@infer_global(operator.neg)
class _Negation(ConcreteTemplate):
    cases = [signature(lanes, lanes)]


@lower_builtin(operator.neg, lanes)
def _negate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, to: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), to.as_pointer())


@intrinsic
def load(typingctx: Any, array: Any, offset: Any) -> Any:
    """array[offset : offset + 16] of a flat float32 array, at any alignment; unchecked."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], args[0], args[1], FLOATS), align=4)

    return lanes(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
    """array[offset : offset + 16] = value, for a flat float32 array, at any alignment; unchecked."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig.args[0], args[0], args[1], FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), codegen


@intrinsic
def splat(typingctx: Any, scalar: Any) -> Any:
    """16 times the same float32."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes(types.float32), codegen


@intrinsic
def square_root(typingctx: Any, value: Any) -> Any:
    """Square root of each lane, correctly rounded."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(FLOATS, [FLOATS]), f"llvm.sqrt.v{LANES}f32"), args)

    return lanes(lanes), codegen


@intrinsic
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return lanes(lanes, lanes), codegen


@intrinsic
def where_greater(typingctx: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """yes where a > b, else no, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return lanes(lanes, lanes, lanes, lanes), codegen


@intrinsic
def exponent_mantissa(typingctx: Any, value: Any) -> Any:
    """(e, m) with value = 2^e · m and m in [√½, √2), for positive normal numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], INTS)
        shift = ir.Constant(INTS, [23] * LANES)
        exponent = builder.ashr(builder.sub(bits, ir.Constant(INTS, [0x3F3504F3] * LANES)), shift)  # 0x3F3504F3: √½ as float32
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, shift)), FLOATS)
        return context.make_tuple(builder, sig.return_type, [builder.sitofp(exponent, FLOATS), mantissa])

    return types.UniTuple(lanes, 2)(lanes), codegen


@intrinsic
def load_word(typingctx: Any, array: Any, index: Any) -> Any:
    """Both ears of sample `index` of a flat interleaved int16 array, as one int32 at two-byte alignment; unchecked."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig.args[0], args[0], builder.shl(args[1], cgutils.intp_t(1)), ir.IntType(32)), align=2)

    return types.int32(array, types.intp), codegen
