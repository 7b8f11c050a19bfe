"""What a CUDA thread does between the samples of a block and its bins, and what is stored of each kind; see stft_cuda, bins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dataio.stream.kernels.bins import BINS, FLOOR, IPD_FLOOR
from dataio.stream.kernels.fft import RADIX, Complex
from dataio.stream.kernels.fft_cuda import LANE_COUNT, WARPS, columns, eighth, exchange, paired, row, zeroth
from dataio.stream.kernels.stft_cuda_scalars import thread_code


@dataclass(frozen=True)
class Ears:
    """left: whether the lane's ear is the left one. lanes: those of the warp whose column exists; the other ear's is among them."""

    left: Any
    lanes: Any


Planes = Callable[[Any, Complex, Ears], tuple[Any, ...]]


def _log(machine: Any, value: Complex, ears: Ears) -> tuple[Any, ...]:
    power: Any = value.power()
    return (machine.log(machine.above(power, FLOOR, power, FLOOR)),)


def _magnitude(machine: Any, value: Complex, ears: Ears) -> tuple[Any, ...]:
    return (machine.sqrt(value.power()),)


def _complex(machine: Any, value: Complex, ears: Ears) -> tuple[Any, ...]:
    return value.re, value.im


def _ipd(machine: Any, value: Complex, ears: Ears) -> tuple[Any, ...]:
    """The left ear's lane stores the cosine, the right ear's the sine."""
    other = Complex(machine.across(value.re, ears.lanes), machine.across(value.im, ears.lanes))
    cross, power, opposite = value * other.conjugate(), value.power(), other.power()
    weaker = machine.above(power, opposite, opposite, power)  # type: ignore[arg-type]
    part = machine.choose(ears.left, cross.re, -cross.im)  # the right ear sees left · conj(right) conjugated
    none = machine.choose(ears.left, machine.number(1.0), 0.0)
    return (machine.above(weaker, IPD_FLOOR, part * machine.rsqrt(power * opposite), none),)


PLANES: dict[str, Planes] = {"log": _log, "magnitude": _magnitude, "complex": _complex, "ipd": _ipd}


def transform(kind: str) -> Any:
    """Thread code that takes a block's samples in shared memory to bins in `out`.

    Its arguments: shared memory, from where the lane's frame begins in it; lane and warp; window, twiddles, roots; out, the places
    in it of bins w and 256 - w of the lane's column, columns of a row; whether the column exists; whether the ear is the left one.
    """
    planes = PLANES[kind]

    @thread_code
    def compute(
        machine: Any,
        shared: Any,
        begin: Any,
        lane: Any,
        warp: Any,
        window: Any,
        twiddles: Any,
        roots: Any,
        out: Any,
        low: Any,
        high: Any,
        frames: Any,
        exists: Any,
        left: Any,
    ) -> None:
        whole = machine.integers
        rows = []
        for i in range(2):
            j = whole.plus(warp, WARPS * i)
            at = whole.plus(begin, whole.times(j, 2))
            rows.append(row(shared.at(at), window.at(whole.times(j, 2)), twiddles.at(whole.times(j, 2 * RADIX))))
        second = whole.other_column(warp)
        place = [whole.plus(whole.times(c, RADIX * LANE_COUNT), lane) for c in (warp, second)]
        written = shared.at(whole.plus(whole.times(warp, LANE_COUNT), lane))
        a, b = columns(*exchange(machine, rows, written, [shared.at(p) for p in place]))
        root = roots.at(whole.times(warp, 2))
        step, plane = whole.times(frames, RADIX), whole.times(frames, BINS)

        ears = Ears(left, machine.lanes(exists))

        def store(pairs: Any, *places: Any) -> None:
            lower, higher = places
            for both in pairs:
                for value, place in zip(both, (lower, higher), strict=True):
                    for number in planes(machine, value, ears):
                        out.at(place)[0] = number
                        place = whole.plus(place, plane)
                lower, higher = whole.plus(lower, step), whole.minus(higher, step)

        def own_mirrors() -> None:
            store(zeroth(a, root), low, high)
            half = whole.times(frames, RADIX // 2)
            store(eighth(b, root), whole.plus(low, half), whole.minus(high, half))

        def mirrors() -> None:
            machine.branch(whole.is_zero(warp), own_mirrors, lambda: store(paired(a, b, root), low, high))

        machine.when(exists, mirrors)

    return compute
