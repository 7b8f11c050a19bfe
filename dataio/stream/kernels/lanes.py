"""Straight-line vector code for numba kernels: 16 float32 lanes per value, written in plain Python, emitted as LLVM instructions.

numba leaves vectorising to LLVM, which gives up where it cannot prove that loads and stores do not overlap, as in a block of an
FFT. Here nothing is left to proof. A function decorated with `vector_code` runs once, while the kernel that calls it is compiled:
its Python loops unroll, its Python numbers become constants, and every `+ - * /` between Lanes emits one instruction on 16 floats:
one AVX-512 register, two of AVX2, four of SSE or NEON.

numba's disk cache notices changes of the kernel's own file only, so a kernel should be keyed by its vector code too, as in stft.py.
"""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTS = ir.VectorType(ir.IntType(32), LANES)


def integers(*values: int) -> ir.Constant:
    """An int32 vector: one value for all lanes, or the lanes that a shuffle picks."""
    lanes = values * LANES if len(values) == 1 else values
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


class Lanes:
    """16 float32 values in a register of the code under construction; the other side of an operator may be a Python number."""

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    def _other(self, value: "Lanes | float") -> ir.Value:
        return value.value if isinstance(value, Lanes) else ir.Constant(FLOATS, [value] * LANES)

    def _call(self, name: str, *values: ir.Value) -> "Lanes":
        signature = ir.FunctionType(FLOATS, [FLOATS] * len(values))
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.{name}.v{LANES}f32")
        return Lanes(self.builder, self.builder.call(function, values))

    def __add__(self, other: "Lanes | float") -> "Lanes":
        return Lanes(self.builder, self.builder.fadd(self.value, self._other(other)))

    def __sub__(self, other: "Lanes | float") -> "Lanes":
        return Lanes(self.builder, self.builder.fsub(self.value, self._other(other)))

    def __mul__(self, other: "Lanes | float") -> "Lanes":
        return Lanes(self.builder, self.builder.fmul(self.value, self._other(other)))

    def __truediv__(self, other: "Lanes | float") -> "Lanes":
        return Lanes(self.builder, self.builder.fdiv(self.value, self._other(other)))

    def __neg__(self) -> "Lanes":
        return Lanes(self.builder, self.builder.fneg(self.value))

    def times_plus(self, factor: "Lanes | float", term: "Lanes | float") -> "Lanes":
        """value · factor + term, fused into one instruction where the machine has it."""
        return self._call("fmuladd", self.value, self._other(factor), self._other(term))

    def sqrt(self) -> "Lanes":
        """Square root, correctly rounded."""
        return self._call("sqrt", self.value)

    def above(self, floor: float, then: "Lanes", otherwise: "Lanes | float") -> "Lanes":
        """`then` where the value is above the floor, else `otherwise`."""
        mask = self.builder.fcmp_ordered(">", self.value, self._other(floor))
        return Lanes(self.builder, self.builder.select(mask, then.value, self._other(otherwise)))

    def exponent_mantissa(self) -> "tuple[Lanes, Lanes]":
        """(e, m) with value = 2^e · m and m in [√½, √2), for positive normal values."""
        build = self.builder
        bits = build.bitcast(self.value, INTS)
        exponent = build.ashr(build.sub(bits, integers(0x3F3504F3)), integers(23))  # the bits of √½; 23 bits of mantissa
        mantissa = build.bitcast(build.sub(bits, build.shl(exponent, integers(23))), FLOATS)
        return Lanes(build, build.sitofp(exponent, FLOATS)), Lanes(build, mantissa)


class Memory:
    """A flat array seen from vector code. Offsets count elements and are not checked; any alignment of an element will do."""

    def __init__(self, builder: ir.IRBuilder, pointer: ir.Value) -> None:
        self.builder = builder
        self.pointer = pointer

    def at(self, offset: ir.Value) -> "Memory":
        """The same array, seen from an offset that is known only at run time."""
        return Memory(self.builder, self.builder.gep(self.pointer, [offset]))

    def to(self, offset: int, kind: ir.Type) -> ir.Value:
        """A pointer to something else that starts at the offset."""
        start = self.builder.gep(self.pointer, [ir.Constant(cgutils.intp_t, offset)])
        return self.builder.bitcast(start, kind.as_pointer())

    def __getitem__(self, offset: int) -> Lanes:
        return Lanes(self.builder, self.builder.load(self.to(offset, FLOATS), align=4))

    def __setitem__(self, offset: int, lanes: Lanes) -> None:
        self.builder.store(lanes.value, self.to(offset, FLOATS), align=4)

    def repeated(self, offset: int) -> Lanes:
        """One float32 of the array in all lanes."""
        scalar = self.builder.load(self.to(offset, ir.FloatType()))
        nothing = ir.Constant(FLOATS, ir.Undefined)
        one = self.builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        return Lanes(self.builder, self.builder.shuffle_vector(one, nothing, integers(*[0] * LANES)))

    def expect_write(self, offset: int) -> None:
        """Ask for the cache line at the offset ahead of a store; harmless beyond the end of the array."""
        pointer, number = self.to(offset, ir.IntType(8)), ir.IntType(32)
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
        function = cgutils.get_or_insert_function(self.builder.module, signature, "llvm.prefetch.p0")
        self.builder.call(function, [pointer, number(1), number(3), number(1)])  # to write, into all caches, data


def vector_code(function: Callable[..., None]) -> Any:
    """Make `function` callable from numba kernels: its arrays arrive as Memory, its integers as LLVM values."""

    def definition(typingctx: Any, *arguments: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            seen = (
                Memory(builder, context.make_array(kind)(context, builder, value).data) if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, values, strict=True)
            )
            function(*seen)
            return context.get_dummy_value()

        return types.void(*(kind if isinstance(kind, types.Array) else types.intp for kind in arguments)), codegen

    # numba matches calls against the signature, which must show the parameters of `function`
    names = ["typingctx", *inspect.signature(function).parameters]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    definition.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return intrinsic(definition)
