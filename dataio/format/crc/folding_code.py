"""CRC-32C by carry-less multiplication of whole registers, in LLVM's language.

A register of 64 bytes stands for 512 coefficients; multiplying its lanes by x^(2048±32) moves them on by 256 bytes ("Fast CRC
computation for generic polynomials using PCLMULQDQ instruction", Intel, 2009). That leaves the crc32 instruction free, which takes
144 bytes in the same time, in three streams because each waits for itself; the four parts are then combined. The instructions'
bits lie the other way round: a product comes out with one factor of x too many, which the constants allow for. What is too short
for that is folded in one register, in steps of 64 bytes.
"""

from string import Template

from dataio.format.crc.polynomial import power, power_table

_VECTORS, _STREAMS, _WORDS = range(4), range(3), range(6)  # registers under way; streams, and words of 8 bytes a turn in each
_STRIDE = 8 * len(_WORDS)  # bytes of a stream a turn
_TURN = 64 * len(_VECTORS) + _STRIDE * len(_STREAMS)  # bytes
_TURNS = 2**16 - 1  # at most, before the parts are combined: as many as two tables of powers reach
_MUCH = 256 + 2 * _TURN  # bytes for which that pays
_SOME = 128  # bytes for which one register does
_FULL_CIRCLE = 2**31 - 1  # x to this power is 1

_CODE = """
declare <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64>, <8 x i64>, i8)
declare <2 x i64> @llvm.x86.pclmulqdq(<2 x i64>, <2 x i64>, i8)
declare i64 @llvm.x86.sse42.crc32.64.64(i64, i64)
declare i32 @llvm.x86.sse42.crc32.32.8(i32, i8)
@low = constant [256 x i32] [$low]
@high = constant [256 x i32] [$high]

define internal i64 @multiplied(i64 %a, i64 %b) alwaysinline {  ; a·b·x^33
  %a2 = insertelement <2 x i64> zeroinitializer, i64 %a, i32 0
  %b2 = insertelement <2 x i64> zeroinitializer, i64 %b, i32 0
  %p2 = call <2 x i64> @llvm.x86.pclmulqdq(<2 x i64> %a2, <2 x i64> %b2, i8 0)
  %p = extractelement <2 x i64> %p2, i32 0
  %r = call i64 @llvm.x86.sse42.crc32.64.64(i64 0, i64 %p)
  ret i64 %r
}

define i32 @times(i32 %a, i32 %b) {
  %a64 = zext i32 %a to i64
  %b64 = zext i32 %b to i64
  %p = call i64 @multiplied(i64 %a64, i64 %b64)
  %q = call i64 @multiplied(i64 %p, i64 $undo)
  %r = trunc i64 %q to i32
  ret i32 %r
}

define i32 @extend(i32 %crc, ptr %data, i64 %count) {
entry:
  %inverted = xor i32 %crc, -1
  %start = zext i32 %inverted to i64
  br label %more

more:  ; as long as there is much
  %at = phi i64 [0, %entry], [%after, %joined]
  %sum = phi i64 [%start, %entry], [%whole, %joined]
  %left = sub i64 %count, %at
  %much = icmp uge i64 %left, $much
  br i1 %much, label %fold, label %short

fold:  ; what the registers fold comes first, then the three streams
  %beyond = sub i64 %left, 256
  %fit = udiv i64 %beyond, $turn
  %few = icmp ult i64 %fit, $turns
  %turns = select i1 %few, i64 %fit, i64 $turns
  %begin = getelementptr i8, ptr %data, i64 %at
  %folded = shl i64 %turns, 8
  %folded256 = add i64 %folded, 256
  %stream = mul i64 %turns, $stride
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
  %word = mul i64 %t, $stride
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
  %power = call i64 @multiplied(i64 %low64, i64 %high64)
  %w0 = call i64 @multiplied(i64 %swept31, i64 %power)
  %x0 = xor i64 %w0, %c0
  %w1 = call i64 @multiplied(i64 %x0, i64 %power)
  %x1 = xor i64 %w1, %c1
  %w2 = call i64 @multiplied(i64 %x1, i64 %power)
  %whole = xor i64 %w2, %c2
  br label %joined

joined:
  %all = mul i64 %turns, $turn
  %all256 = add i64 %all, 256
  %after = add i64 %at, %all256
  br label %more

short:
  %some = icmp uge i64 %left, $some
  br i1 %some, label %single, label %words

single:
  %g0 = getelementptr i8, ptr %data, i64 %at
  %g = load <8 x i64>, ptr %g0, align 1
  %gseed = insertelement <8 x i64> zeroinitializer, i64 %sum, i32 0
  %gseeded = xor <8 x i64> %g, %gseed
  %at64 = add i64 %at, 64
  %last = sub i64 %count, 64
  br label %step

step:
  %k = phi i64 [%at64, %single], [%k64, %step]
  %v = phi <8 x i64> [%gseeded, %single], [%n, %step]
  %p = getelementptr i8, ptr %data, i64 %k
  $step
  %k64 = add i64 %k, 64
  %on = icmp ule i64 %k64, %last
  br i1 %on, label %step, label %stepped

stepped:
  $stepped
  br label %words

words:
  %i = phi i64 [%at, %short], [%k64, %stepped], [%i8, %take]
  %c = phi i64 [%sum, %short], [%single7, %stepped], [%cw, %take]
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


def code() -> str:
    """The module's text: `extend` and `times`, see folding.py."""
    first = [f"%f{k} = getelementptr i8, ptr %begin, i64 {64 * k}" for k in _VECTORS]
    first += [f"%a{k} = load <8 x i64>, ptr %f{k}, align 1" for k in _VECTORS] + ["%seeded = xor <8 x i64> %a0, %seed"]
    phis = [f"%v{k} = phi <8 x i64> [%{'seeded' if k == 0 else f'a{k}'}, %fold], [%n{k}, %turn]" for k in _VECTORS]
    phis += [f"%q{s} = phi i64 [0, %fold], [%c{s}, %turn]" for s in _STREAMS]
    body = [f"%p{k} = getelementptr i8, ptr %next, i64 {64 * k}" for k in _VECTORS]
    body += [line for k in _VECTORS for line in _fold(str(k), 256)] + [line for s in _STREAMS for line in _stream(s)]
    sweep = [line for k in _VECTORS for line in _sweep("swept", f"%n{k}", 8 * k)]
    parts = {
        "first": first,
        "phis": phis,
        "body": body,
        "sweep": sweep,
        "step": _fold("", 64),
        "stepped": _sweep("single", "%n", 0),
    }
    low, high = (", ".join(f"i32 {x}" for x in row) for row in power_table(8 * _STRIDE, 2, _FULL_CIRCLE - 33).tolist())
    texts = {name: "\n  ".join(lines) for name, lines in parts.items()}
    texts |= {"low": low, "high": high, "undo": str(int(power(_FULL_CIRCLE - 66)))}
    return Template(_CODE).substitute(texts, much=_MUCH, some=_SOME, turn=_TURN, turns=_TURNS, stride=_STRIDE)


def _fold(k: str, by: int) -> list[str]:
    """Register k: moved on by so many bytes, and the 64 bytes there added."""
    factor = ", ".join(f"i64 {int(power(8 * by + d)) << 1}" for d in (32, -32) * 4)
    return [
        f"%m{k} = load <8 x i64>, ptr %p{k}, align 1",
        f"%l{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{factor}>, i8 0)",
        f"%h{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{factor}>, i8 17)",
        f"%b{k} = xor <8 x i64> %l{k}, %h{k}",
        f"%n{k} = xor <8 x i64> %b{k}, %m{k}",
    ]


def _stream(s: int) -> list[str]:
    """Stream s takes its words."""
    lines = [f"%y{s} = getelementptr i8, ptr %s{s}, i64 %word"]
    for w in _WORDS:
        before = f"%c{s}.{w - 1}" if w else f"%q{s}"
        after = f"%c{s}" if w == _WORDS[-1] else f"%c{s}.{w}"
        lines.append(f"%z{s}.{w} = getelementptr i8, ptr %y{s}, i64 {8 * w}")
        lines.append(f"%g{s}.{w} = load i64, ptr %z{s}.{w}, align 1")
        lines.append(f"{after} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %g{s}.{w})")
    return lines


def _sweep(name: str, register: str, first: int) -> list[str]:
    """The lanes of a register, which hold what is left of all that was folded, go through the crc32 instruction."""
    lines = []
    for i in range(first, first + 8):
        before = f"%{name}{i - 1}" if i else "0"
        lines.append(f"%{name}.e{i} = extractelement <8 x i64> {register}, i32 {i % 8}")
        lines.append(f"%{name}{i} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %{name}.e{i})")
    return lines
