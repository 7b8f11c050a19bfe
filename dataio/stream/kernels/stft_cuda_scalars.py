"""Straight-line code for CUDA threads, written once: LLVM instructions on one float32 each, or plain numbers in the simulator.

The transforms of fft.py are written for whatever has `+ - *`: on the CPU sixteen lanes (lanes.py), here the float32 of a thread. A
function decorated with `thread_code` gets a `Machine` and its arrays as `Memory`; its Python loops unroll, so that values stay in
registers: nothing is indexed at run time, and nothing can fall into local memory. In numba's simulator the same function runs on
NumPy scalars, and every index is checked.

Source of the approximate operations: "PTX ISA", lg2.approx (relative error 2⁻²²), rsqrt.approx (2⁻²²·⁴), sqrt.approx (2⁻²³).
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import config

from dataio.stream.kernels import stft_cuda_simulated as simulated

if not config.ENABLE_CUDASIM:  # type: ignore[attr-defined]
    from llvmlite import ir
    from numba.cuda import cgutils, types  # type: ignore[attr-defined]
    from numba.cuda.extending import intrinsic

LN2 = float(np.log(2))


class Number:
    """A float32 in a register of the code under construction; the other side of an operator may be a Python number."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _other(self, value: "Number | float") -> Any:
        return value.value if isinstance(value, Number) else ir.Constant(ir.FloatType(), value)

    def __add__(self, other: "Number | float") -> "Number":
        return Number(self.builder, self.builder.fadd(self.value, self._other(other)))

    def __sub__(self, other: "Number | float") -> "Number":
        return Number(self.builder, self.builder.fsub(self.value, self._other(other)))

    def __mul__(self, other: "Number | float") -> "Number":
        return Number(self.builder, self.builder.fmul(self.value, self._other(other)))

    def __neg__(self) -> "Number":
        zero = ir.Constant(ir.FloatType(), -0.0)  # NVVM's dialect for 9.0 has no fneg
        return Number(self.builder, self.builder.fsub(zero, self.value))


class Memory:
    """A flat float32 array from some place on. Offsets are Python numbers that count floats, and are not checked on the device."""

    def __init__(self, builder: Any, pointer: Any) -> None:
        self.builder = builder
        self.pointer = pointer

    def at(self, place: Any) -> "Memory":
        """The same array from a place on that is known only at run time."""
        wide = self.builder.zext(place, ir.IntType(64)) if place.type.width < 64 else place
        return Memory(self.builder, self.builder.gep(self.pointer, [wide]))

    def _to(self, offset: int) -> Any:
        return self.builder.gep(self.pointer, [ir.Constant(ir.IntType(64), offset)])

    def __getitem__(self, offset: int) -> Number:
        return Number(self.builder, self.builder.load(self._to(offset), align=4))

    def __setitem__(self, offset: int, number: Number) -> None:
        self.builder.store(number.value, self._to(offset), align=4)

    def two(self, offset: int) -> tuple[Number, Number]:
        """Neighbours in one load; their place is even, in an array that begins at a multiple of eight bytes."""
        start = self._to(offset)
        vector = ir.VectorType(ir.FloatType(), 2)
        both = self.builder.load(self.builder.bitcast(start, ir.PointerType(vector, start.type.addrspace)), align=8)
        first, second = (self.builder.extract_element(both, ir.Constant(ir.IntType(32), i)) for i in range(2))
        return Number(self.builder, first), Number(self.builder, second)

    def put_two(self, offset: int, first: Number, second: Number) -> None:
        """Neighbours in one store, likewise."""
        start, vector = self._to(offset), ir.VectorType(ir.FloatType(), 2)
        both: Any = ir.Constant(vector, ir.Undefined)
        for i, number in enumerate((first, second)):
            both = self.builder.insert_element(both, number.value, ir.Constant(ir.IntType(32), i))
        self.builder.store(both, self.builder.bitcast(start, ir.PointerType(vector, start.type.addrspace)), align=8)


class Integers:
    """Unsigned integers of 32 or 64 bits, which do not overflow here; the other side may be a Python number."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def plus(self, a: Any, b: Any) -> Any:
        """a + b."""
        return self.builder.add(a, a.type(b) if isinstance(b, int) else b)

    def minus(self, a: Any, b: Any) -> Any:
        """a - b."""
        return self.builder.sub(a, b)

    def times(self, a: Any, b: int) -> Any:
        """a · b."""
        return self.builder.mul(a, a.type(b))

    def is_zero(self, a: Any) -> Any:
        """Whether it is."""
        return self.builder.icmp_unsigned("==", a, a.type(0))

    def other_column(self, warp: Any) -> Any:
        """16 - warp, but 8 of warp 0."""
        return self.builder.select(self.is_zero(warp), warp.type(8), self.builder.sub(warp.type(16), warp))


class Machine:
    """What else a thread can do."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.integers = Integers(builder)

    def number(self, x: float) -> Number:
        """A constant."""
        return Number(self.builder, ir.Constant(ir.FloatType(), x))

    def _call(self, name: str, result: Any, *arguments: Any) -> Any:
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, signature, name)
        return self.builder.call(function, arguments)

    def _float(self, name: str, x: Number) -> Number:
        return Number(self.builder, self._call(name, ir.FloatType(), x.value))

    def barrier(self) -> None:
        """Wait for all threads of the block."""
        self._call("llvm.nvvm.barrier0", ir.VoidType())

    def log(self, x: Number) -> Number:
        """Natural logarithm of a positive normal value: relative error 2⁻²², absolute 2⁻²² between ½ and 2."""
        return self._float("llvm.nvvm.lg2.approx.ftz.f", x) * LN2

    def sqrt(self, x: Number) -> Number:
        """Square root, of zero too; 0 of what is no normal value."""
        return self._float("llvm.nvvm.sqrt.approx.ftz.f", x)

    def rsqrt(self, x: Number) -> Number:
        """1 / √x."""
        return self._float("llvm.nvvm.rsqrt.approx.ftz.f", x)

    def above(self, x: Number, floor: Number | float, then: Number, otherwise: Number | float) -> Number:
        """`then` where x is above the floor, else `otherwise`."""
        mask = self.builder.fcmp_ordered(">", x.value, x._other(floor))
        return Number(self.builder, self.builder.select(mask, then.value, x._other(otherwise)))

    def choose(self, condition: Any, then: Number, otherwise: Number | float) -> Number:
        """By a truth that is known only at run time."""
        return Number(self.builder, self.builder.select(condition, then.value, then._other(otherwise)))

    def lanes(self, condition: Any) -> Any:
        """Which lanes of the warp see it true; all ask at once."""
        return self._call("llvm.nvvm.vote.ballot.sync", ir.IntType(32), ir.IntType(32)(-1), condition)

    def across(self, x: Number, lanes: Any) -> Number:
        """The value of the lane 16 away; all of these lanes ask at once, among them the other one."""
        word, number = ir.IntType(32), self.builder.bitcast(x.value, ir.IntType(32))
        found = self._call("llvm.nvvm.shfl.sync.bfly.i32", word, lanes, number, word(16), word(31))
        return Number(self.builder, self.builder.bitcast(found, ir.FloatType()))

    def branch(self, condition: Any, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        """One or the other."""
        with self.builder.if_else(condition) as (yes, no):
            with yes:
                then()
            with no:
                otherwise()

    def when(self, condition: Any, then: Callable[[], None]) -> None:
        """Only where the condition holds."""
        with self.builder.if_then(condition):
            then()


def thread_code(function: Callable[..., None]) -> Any:
    """Make `function(machine, …)` callable from CUDA kernels: arrays arrive as Memory, numbers and truths as they are."""
    if config.ENABLE_CUDASIM:  # type: ignore[attr-defined]
        return simulated.thread_code(function)

    def definition(typingctx: Any, *arguments: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            seen: list[Any] = []
            for kind, value in zip(signature.args, values, strict=True):
                if isinstance(kind, types.Array):  # type: ignore[attr-defined]
                    seen.append(Memory(builder, context.make_array(kind)(context, builder, value).data))
                else:
                    real = isinstance(kind, types.Float)  # type: ignore[attr-defined]
                    seen.append(Number(builder, value) if real else value)
            function(Machine(builder), *seen)
            return context.get_dummy_value()

        return types.void(*arguments), codegen  # type: ignore[attr-defined]

    # numba matches calls against the signature, which must show the parameters of `function`
    names = ["typingctx", *list(inspect.signature(function).parameters)[1:]]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    definition.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(definition)
