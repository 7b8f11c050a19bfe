"""CRC-32C by carry-less multiplication of whole registers: a function written in LLVM's language, compiled for this processor.

A register of 64 bytes stands for 512 coefficients; multiplying its lanes by x^(2048±32) moves them on by 256 bytes ("Fast CRC
computation for generic polynomials using PCLMULQDQ instruction", Intel, 2009). That leaves the crc32 instruction free, which takes
144 bytes in the same time, in three streams because each waits for itself; the four parts are then combined. The instructions'
bits lie the other way round: a product comes out with one factor of x too many, which the constants allow for.
"""

from functools import lru_cache
from string import Template

from dataio.format.crc.polynomial import power, power_table

_NEEDED = ("avx512f", "vpclmulqdq", "pclmul", "sse4.2")
_VECTORS, _STREAMS, _WORDS = range(4), range(3), range(6)  # registers under way; streams, and words of 8 bytes a turn in each
_TURN = 256 + 48 * 3  # bytes
_TURNS = 2**16 - 1  # at most, before the parts are combined: as many as two tables of powers reach
_LEAST = 256 + 2 * _TURN  # bytes that folding pays for

_CODE = """
declare <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64>, <8 x i64>, i8)
declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8)
declare i64 @llvm.x86.sse42.crc32.64.64(i64, i64)
declare i32 @llvm.x86.sse42.crc32.32.8(i32, i8)
@low = constant [256 x i32] [$low]
@high = constant [256 x i32] [$high]

define internal i64 @times(i64 %a, i64 %b) alwaysinline {  ; a·b·x^33
  %a2 = insertelement <2 x i64> zeroinitializer, i64 %a, i32 0
  %b2 = insertelement <2 x i64> zeroinitializer, i64 %b, i32 0
  %p2 = call <2 x i64> @llvm.x86.pclmulqdq(<2 x i64> %a2, <2 x i64> %b2, i8 0)
  %p = extractelement <2 x i64> %p2, i32 0
  %r = call i64 @llvm.x86.sse42.crc32.64.64(i64 0, i64 %p)
  ret i64 %r
}

define i32 @extend(i32 %crc, ptr %data, i64 %count) {
entry:
  %inverted = xor i32 %crc, -1
  %start = zext i32 %inverted to i64
  br label %more

more:  ; as long as there is much, fold; then words of 8 bytes, then bytes
  %at = phi i64 [0, %entry], [%after, %joined]
  %sum = phi i64 [%start, %entry], [%whole, %joined]
  %left = sub i64 %count, %at
  %much = icmp uge i64 %left, $least
  br i1 %much, label %fold, label %words

fold:  ; what the registers fold comes first, then the three streams
  %beyond = sub i64 %left, 256
  %fit = udiv i64 %beyond, $turn
  %few = icmp ult i64 %fit, $turns
  %turns = select i1 %few, i64 %fit, i64 $turns
  %begin = getelementptr i8, ptr %data, i64 %at
  %folded = shl i64 %turns, 8
  %folded256 = add i64 %folded, 256
  %stream = mul i64 %turns, 48
  %s0 = getelementptr i8, ptr %begin, i64 %folded256
  %s1 = getelementptr i8, ptr %s0, i64 %stream
  %s2 = getelementptr i8, ptr %s1, i64 %stream
  %seed = insertelement <8 x i64> zeroinitializer, i64 %sum, i32 0
  $first
  br label %turn

turn:
  %t = phi i64 [0, %fold], [%t1, %turn]
  $phis
  %t1 = add i64 %t, 1
  %lane = shl i64 %t1, 8
  %next = getelementptr i8, ptr %begin, i64 %lane
  %word = mul i64 %t, 48
  $body
  %again = icmp ult i64 %t1, %turns
  br i1 %again, label %turn, label %sweep

sweep:  ; the registers' own checksum, then one part after the other; a stream's length is a power looked up
  $sweep
  %lowat = and i64 %turns, 255
  %highat = lshr i64 %turns, 8
  %lowp = getelementptr [256 x i32], ptr @low, i64 0, i64 %lowat
  %highp = getelementptr [256 x i32], ptr @high, i64 0, i64 %highat
  %low32 = load i32, ptr %lowp
  %high32 = load i32, ptr %highp
  %low64 = zext i32 %low32 to i64
  %high64 = zext i32 %high32 to i64
  %power = call i64 @times(i64 %low64, i64 %high64)
  %w0 = call i64 @times(i64 %swept31, i64 %power)
  %x0 = xor i64 %w0, %c0.5
  %w1 = call i64 @times(i64 %x0, i64 %power)
  %x1 = xor i64 %w1, %c1.5
  %w2 = call i64 @times(i64 %x1, i64 %power)
  %whole = xor i64 %w2, %c2.5
  br label %joined

joined:
  %all = mul i64 %turns, $turn
  %all256 = add i64 %all, 256
  %after = add i64 %at, %all256
  br label %more

words:
  %i = phi i64 [%at, %more], [%i8, %take]
  %c = phi i64 [%sum, %more], [%cw, %take]
  %rest = sub i64 %count, %i
  %enough = icmp uge i64 %rest, 8
  br i1 %enough, label %take, label %bytes

take:
  %ip = getelementptr i8, ptr %data, i64 %i
  %iv = load i64, ptr %ip, align 1
  %cw = call i64 @llvm.x86.sse42.crc32.64.64(i64 %c, i64 %iv)
  %i8 = add i64 %i, 8
  br label %words

bytes:
  %c32 = trunc i64 %c to i32
  br label %byte

byte:
  %j = phi i64 [%i, %bytes], [%j1, %one]
  %d = phi i32 [%c32, %bytes], [%d1, %one]
  %open = icmp ult i64 %j, %count
  br i1 %open, label %one, label %out

one:
  %jp = getelementptr i8, ptr %data, i64 %j
  %jv = load i8, ptr %jp
  %d1 = call i32 @llvm.x86.sse42.crc32.32.8(i32 %d, i8 %jv)
  %j1 = add i64 %j, 1
  br label %byte

out:
  %result = xor i32 %d, -1
  ret i32 %result
}
"""


def address() -> int:
    """Where `uint32 extend(uint32 crc, const char *data, size_t count)` lies; 0 where the processor lacks the instructions."""
    engine = _engine()
    return engine.get_function_address("extend") if engine else 0


@lru_cache(1)
def _engine():
    from llvmlite import binding as llvm

    try:
        can = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this kind of machine
        return None
    if not all(can.get(feature) for feature in _NEEDED):
        return None
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=can.flatten(), opt=3, jit=True
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_code()), target)
    engine.finalize_object()
    return engine


def _code() -> str:
    factor = ", ".join(f"i64 {int(power(2048 + d)) << 1}" for d in (32, -32) * 4)
    first = [f"%f{k} = getelementptr i8, ptr %begin, i64 {64 * k}" for k in _VECTORS]
    first += [f"%a{k} = load <8 x i64>, ptr %f{k}, align 1" for k in _VECTORS] + ["%seeded = xor <8 x i64> %a0, %seed"]
    phis = [f"%v{k} = phi <8 x i64> [%{'seeded' if k == 0 else f'a{k}'}, %fold], [%n{k}, %turn]" for k in _VECTORS]
    phis += [f"%q{s} = phi i64 [0, %fold], [%c{s}.5, %turn]" for s in _STREAMS]
    parts = {
        "first": first,
        "phis": phis,
        "body": [line for k in _VECTORS for line in _fold(k, factor)] + [line for s in _STREAMS for line in _stream(s)],
        "sweep": [line for k in _VECTORS for line in _sweep(k)],
    }
    low, high = (", ".join(f"i32 {x}" for x in row) for row in power_table(384, 2, 2**31 - 1 - 33).tolist())  # x^(2^31 − 1) = 1
    texts = {name: "\n  ".join(lines) for name, lines in parts.items()}
    return Template(_CODE).substitute(texts, low=low, high=high, least=_LEAST, turn=_TURN, turns=_TURNS)


def _fold(k: int, factor: str) -> list[str]:
    """Register k: moved on by 256 bytes, and the bytes there added."""
    return [
        f"%p{k} = getelementptr i8, ptr %next, i64 {64 * k}",
        f"%m{k} = load <8 x i64>, ptr %p{k}, align 1",
        f"%l{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{factor}>, i8 0)",
        f"%h{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{factor}>, i8 17)",
        f"%x{k}x = xor <8 x i64> %l{k}, %h{k}",
        f"%n{k} = xor <8 x i64> %x{k}x, %m{k}",
    ]


def _stream(s: int) -> list[str]:
    """Stream s takes its words."""
    lines = [f"%y{s} = getelementptr i8, ptr %s{s}, i64 %word"]
    for w in _WORDS:
        before = f"%c{s}.{w - 1}" if w else f"%q{s}"
        lines.append(f"%z{s}.{w} = getelementptr i8, ptr %y{s}, i64 {8 * w}")
        lines.append(f"%g{s}.{w} = load i64, ptr %z{s}.{w}, align 1")
        lines.append(f"%c{s}.{w} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %g{s}.{w})")
    return lines


def _sweep(k: int) -> list[str]:
    """The lanes of register k, which hold what is left of all that was folded, go through the crc32 instruction."""
    lines = []
    for lane in range(8):
        i = 8 * k + lane
        before = f"%swept{i - 1}" if i else "0"
        lines.append(f"%e{i} = extractelement <8 x i64> %n{k}, i32 {lane}")
        lines.append(f"%swept{i} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %e{i})")
    return lines
