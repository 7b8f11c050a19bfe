"""Walking a tar: every member's place, name and sample, the facts in its first bytes, and checksums; each byte is read once.

The walk is a compiled loop over a small window of the file: it costs a fraction of a microsecond a member and no Python object, and
never holds a shard in memory. It understands USTAR (POSIX.1-1988), PAX (POSIX.1-2001) and GNU tar's long names and sizes.

A sample is a run of members with the same key. The key is the name up to the first dot after the last slash, the extension
all that follows that dot: the rule of webdataset and of DALI.
"""

import ctypes
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import google_crc32c
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from dataio.format import headers, index

BLOCK = 512  # bytes; headers and data are padded to this
NAME_LIMIT = 4096  # bytes of a member's name
HEADER_LIMIT = 256 * 1024  # bytes of a PAX or GNU header that comes before a member
TEXT_LIMIT = 64 * 1024  # bytes of a `json` member that the walk hands out on its way
_TEXTS = 64 * 2**20  # bytes of all that it hands out of one tar
_WINDOW = 512 * 1024  # bytes; stays in a core's second-level cache, and holds the largest header and the largest json
_GLANCE = 2 * 1024  # bytes read at a header after a jump, when members are not read themselves
_DIRECT = 1024  # bytes; shorter pieces are cheaper to sum twice than to combine

# columns of a member's row; the facts of headers.py follow CRC
HEADER, OFFSET, LENGTH, NAME, KEY, END, CLIP, EXTENSION, CRC, FACTS = range(10)
FIRST_BLOCK, LATER, _COLUMNS = FACTS + 7, FACTS + 8, FACTS + 9
# where a walk stands when it comes back to have a table made larger
_AT, _WHOLE, _SKIPPED, _OTHERS, _MEMBERS, _SAMPLES, _NAMED, _WRITTEN, _SUMS, _KINDS, _ORIGINS = range(11)
_FIRST, _SAID_NAME, _SAID_SIZE = range(11, 14)
_STATE = 14
KEY_AT, KEY_LENGTH, RECORDING, TEXT_AT, TEXT_LENGTH, _CLIP_COLUMNS = range(6)  # a text at −n lies at byte n of the tar

_FAULTS = (
    "",
    "the archive is cut off",
    "no tar header: its checksum does not match",
    "a size that is no number of bytes",
    "a damaged PAX header",
    f"a PAX or GNU header of more than {HEADER_LIMIT} bytes",
    f"a name of more than {NAME_LIMIT} bytes, or with a NUL in it",
    "a sparse file, whose bytes do not lie in the tar as they are",
    "a global PAX header that names every member alike",
    "something follows the end of the archive",
    "a member of a sample that is not adjacent to the others with its key",
    "a second member with this extension in its sample",
)
_FINE, _CUT, _CHECKSUM, _SIZE, _PAX, _LONG_HEADER, _LONG_NAME, _SPARSE, _GLOBAL, _GARBAGE, _APART, _TWICE = range(12)
_READ, _FULL = 12, 13  # no faults of the tar: it cannot be read; a table is full


class TarError(ValueError):
    """A tar that cannot be indexed. offset: byte where the fault lies; the message names it, and the tar."""

    def __init__(self, tar: str, offset: int, what: str) -> None:
        super().__init__(f"{tar}, byte {offset}: {what}")
        self.offset, self.what = offset, what


@dataclass(frozen=True)
class Walk:
    """What a tar holds, by columns.

    size (bytes), crc: of the whole file; crc is 0 without checksums. skipped: regular files of no sample (hidden, or without an
    extension). others: links, folders and devices. rows: (members, columns) int64, see the constants above; NAME and the like are
    places in `names`. clips: (clips, columns) int64. extensions, recordings: in order of appearance; a clip whose key does not end
    in a hyphen and six digits has recording −1. texts: bytes of `json` members. block_crc: of PCM members, from FIRST_BLOCK on.
    """

    size: int
    crc: int
    skipped: int
    others: int
    rows: np.ndarray = field(repr=False)
    clips: np.ndarray = field(repr=False)
    names: np.ndarray = field(repr=False)
    texts: np.ndarray = field(repr=False)
    block_crc: np.ndarray = field(repr=False)
    extensions: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()

    def name(self, member: int) -> str:
        """The name of a member, as the tar has it."""
        return self.names[self.rows[member, NAME] : self.rows[member, END]].tobytes().decode()

    def key(self, clip: int) -> str:
        at = self.clips[clip, KEY_AT]
        return self.names[at : at + self.clips[clip, KEY_LENGTH]].tobytes().decode()

    def clip_keys(self) -> np.ndarray:
        """Keys of all clips, (clips,) bytes."""
        width = max(1, int(self.clips[:, KEY_LENGTH].max(initial=0)))
        return _keys(self.names, self.clips, width).view(f"S{width}")[:, 0]

    def dali_idx(self) -> bytes:
        """What `index.dali_idx` says of the same clips."""
        head = f"v1.2 {len(self.clips)}\n".encode()
        text = np.empty(
            6 * len(self.names) + 48 * len(self.rows), np.uint8
        )  # a blank becomes three bytes, two numbers have 19 digits
        return head + text[: _dali_lines(self.names, self.rows, text)].tobytes()

    def text(self, clip: int) -> bytes | None:
        """The `json` member of a clip; None where it has none, or one that has to be read: it is long, or there are very many."""
        at, length = self.clips[clip, TEXT_AT], self.clips[clip, TEXT_LENGTH]
        return self.texts[at : at + length].tobytes() if at >= 0 and length >= 0 else None


def walk(path: Path, *, checksums: bool = True) -> Walk:
    """Read a tar from front to back; without checksums, its headers and the first bytes of its members only.

    Raises:
        TarError: cut off, damaged, not a tar, or no proper WebDataset; the message names file and byte.
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        if checksums:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        fault, state, t = _fill(fd, size, checksums)
        at = int(state[_AT])
        if fault == _READ:
            os.pread(fd, 1, at)  # raises what the compiled loop could not
            raise TarError(path.name, at, "the file ends here, though it was longer a moment ago")
        if fault:
            raise TarError(path.name, at, _FAULTS[fault])
        rows, clips, names = t.rows[: state[_MEMBERS]], t.clips[: state[_SAMPLES]], t.names[: state[_NAMED]]
        blocks = t.blocks[: state[_SUMS]]
        _check_names(path.name, names, rows)
        if rows[:, LATER].any():
            blocks = _look_later(fd, rows, blocks, checksums)
    words = _words(names, t.extensions[: state[_KINDS], :2]), _words(names, t.recordings[: state[_ORIGINS]])
    crc, skipped, others = state[[_WHOLE, _SKIPPED, _OTHERS]].tolist()
    return Walk(size, crc, skipped, others, rows, clips, names, t.texts, blocks, *words)


class _Tables(NamedTuple):
    """What a walk fills. A table of words (clips, extensions, recordings) has a hash table of four times its length beside it."""

    rows: np.ndarray  # (members, columns) int64
    clips: np.ndarray  # (clips, columns) int64
    names: np.ndarray  # bytes
    texts: np.ndarray  # bytes
    blocks: np.ndarray  # uint32
    extensions: np.ndarray  # (words, 4) int64: place, length, the clip that had it last, whether it is looked into
    recordings: np.ndarray  # (words, 2) int64: place, length
    clip_slots: np.ndarray  # int32
    extension_slots: np.ndarray
    recording_slots: np.ndarray


def _fill(fd: int, size: int, checksums: bool) -> tuple[int, np.ndarray, _Tables]:
    """Walk a file; the compiled loop comes back whenever a table is full, which costs less than counting references inside it."""
    memory = np.empty(_WINDOW + 4096, np.uint8)
    window = memory[-memory.ctypes.data % 4096 :][:_WINDOW]  # page-aligned: the kernel copies faster
    seen = np.array([0, 0, _WINDOW if checksums else _GLANCE])
    state = np.zeros(_STATE, np.int64)
    state[[_FIRST, _SAID_NAME, _SAID_SIZE]] = -1
    t = _Tables(
        np.empty((256, _COLUMNS), np.int64),
        np.empty((256, _CLIP_COLUMNS), np.int64),
        np.empty(64 * 1024, np.uint8),
        np.empty(4 * TEXT_LIMIT, np.uint8),
        np.empty(size // index.BLOCK + 256, np.uint32),  # PCM members have a block begun at most, each, besides whole ones
        np.empty((64, 4), np.int64),
        np.empty((64, 2), np.int64),
        *(np.full(length, -1, np.int32) for length in (1024, 256, 256)),
    )
    while (fault := _walk(fd, size, window, seen, checksums, extend_address(), _powers(), state, *t)) == _FULL:
        t = _larger(t, state, size)
    return fault, state, t


def _larger(t: _Tables, state: np.ndarray, size: int) -> _Tables:
    """The tables with room for more, by what the tar has held so far."""
    filled = max(1, int(state[_AT])) / size  # of the tar
    grown = {}
    for name, count, least in (
        ("rows", state[_MEMBERS], 1),
        ("clips", state[_SAMPLES], 1),
        ("names", state[_NAMED], NAME_LIMIT + 1),
        ("texts", state[_WRITTEN], TEXT_LIMIT),
        ("extensions", state[_KINDS], 1),
        ("recordings", state[_ORIGINS], 1),
    ):
        old = getattr(t, name)
        if count + least <= len(old) or (name == "texts" and len(old) >= _TEXTS):
            continue
        length = 2 * len(old)
        while length < min(1.1 * count / filled, 16 * len(old)) and name in ("rows", "clips", "names"):
            length *= 2
        new = np.empty((length, *old.shape[1:]), old.dtype)
        new[: len(old)] = old  # all of it: the name of a member to come may stand behind the others
        grown[name] = new
    if "rows" in grown:
        grown["blocks"] = np.empty(size // index.BLOCK + len(grown["rows"]), np.uint32)
        grown["blocks"][: state[_SUMS]] = t.blocks[: state[_SUMS]]
    t = t._replace(**grown)
    for name, count in (("clip", state[_SAMPLES]), ("extension", state[_KINDS]), ("recording", state[_ORIGINS])):
        if f"{name}s" in grown:
            words = getattr(t, f"{name}s")
            slots = np.full(4 * len(words), -1, np.int32)
            _enter_all(slots, t.names, words, count)
            t = t._replace(**{f"{name}_slots": slots})
    return t


def _words(names: np.ndarray, places: np.ndarray) -> tuple[str, ...]:
    return tuple(names[at : at + length].tobytes().decode() for at, length in places.tolist())


def _check_names(tar: str, names: np.ndarray, rows: np.ndarray) -> None:
    try:
        names.tobytes().decode()  # a NUL follows every name, so that what is cut short in one cannot go on in the next
    except UnicodeDecodeError as error:
        member = int(np.searchsorted(rows[:, NAME], error.start, "right")) - 1
        raise TarError(tar, int(rows[member, HEADER]), "a name that is not UTF-8") from None


def _look_later(fd: int, rows: np.ndarray, blocks: np.ndarray, checksums: bool) -> np.ndarray:
    """Facts of members whose head is longer than the window; PCM found there gets its block checksums at the end of all."""
    import mmap

    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as pages:
        data = np.frombuffer(pages, np.uint8)
        more = [blocks]
        count = len(blocks)
        for member in np.flatnonzero(rows[:, LATER]):
            begin, length = rows[member, OFFSET], rows[member, LENGTH]
            row = rows[member, FACTS : FACTS + 7]
            headers.read(data, begin, begin + length, length, row)
            if checksums and row[headers.DATA]:
                crcs = index.block_checksums(data[begin : begin + length])
                rows[member, FIRST_BLOCK] = count
                count += len(crcs)
                more.append(np.array(crcs, np.uint32))
        del data
    return np.concatenate(more)


# --- CRC-32C at the speed of memory, and of a whole from the checksums of its parts

_POLYNOMIAL = np.uint32(0x82F63B78)  # Castagnoli's, lowest power of x in the highest bit
_ONE = np.uint32(0x80000000)


@njit(nogil=True, cache=True)
def _times(a, b):
    """The product of two polynomials modulo Castagnoli's."""
    product = np.uint32(0)
    for bit in range(32):
        product ^= b & np.uint32(-np.int64((a >> np.uint32(31 - bit)) & np.uint32(1)))
        b = (b >> np.uint32(1)) ^ (_POLYNOMIAL & np.uint32(-np.int64(b & np.uint32(1))))
    return product


@njit(nogil=True, cache=True)
def _power(n):
    """x to the power n, by squaring."""
    result, square = _ONE, np.uint32(0x40000000)
    while n:
        if n & 1:
            result = _times(result, square)
        square = _times(square, square)
        n >>= 1
    return result


@njit(nogil=True, cache=True)
def _power_table(step, rows, origin):
    """(rows, 256) uint32: entry (j, b) is x to the power step·b·256^j + origin."""
    table = np.empty((rows, 256), np.uint32)
    for j in range(rows):
        factor = _power(step)
        entry = _power(origin)
        for b in range(256):
            table[j, b] = entry
            entry = _times(entry, factor)
        step *= 256
    return table


@lru_cache(1)
def _powers() -> np.ndarray:
    return _power_table(8, 6, 0)


@njit(nogil=True, cache=True)
def _shift(crc, count, powers, memo):
    """The checksum as it would be with `count` zero bytes after it, up to the part that the zeros' own checksum has.

    memo: (2,) int64, the last count and its power: blocks and pieces of one length follow each other.
    """
    if memo[0] != count:
        power, rest, j = _ONE, count, 0
        while rest:
            if rest & 255:
                entry = powers[j, rest & 255]
                power = entry if power == _ONE else _times(power, entry)
            rest >>= 8
            j += 1
        memo[0], memo[1] = count, power
    return _times(np.uint32(memo[1]), crc)


def crc32c_combine(first: int, second: int, length: int) -> int:
    """CRC-32C of two parts one after the other, from the checksum of each and the length of the second, bytes.

    CRC(AB) = CRC(A)·x^(8·|B|) + CRC(B), for the inversions before and after cancel out; a power is a product of table entries.
    """
    return int(_shift(np.uint32(first), length, _powers(), np.full(2, -1, np.int64))) ^ second


@intrinsic
def _extend_code(typing, address, crc, data, count):
    """Call the function at `address`: the CRC-32C of what was summed up in `crc`, then `count` bytes at the address `data`."""

    def generate(context, builder, signature, arguments):
        target, *values = arguments
        kinds = [value.type for value in values]
        function = builder.inttoptr(target, ir.FunctionType(values[0].type, kinds).as_pointer())
        return builder.call(function, values)

    return types.uint32(types.uintp, types.uint32, types.uintp, types.uintp), generate


_extend: Any = _extend_code  # to a type checker an intrinsic has the parameters of its code, not of its calls


@lru_cache(1)
def extend_address() -> int:
    """Where the fastest `uint32 extend(uint32 crc, const char *data, size_t count)` of this machine lies.

    Ours folds with carry-less multiplications of 64 bytes; else the C library inside google_crc32c's wheel, or its Python function.
    """
    for candidate in (_folding, _bundled, _portable):
        address = candidate()
        if address and _call(address)(0, b"123456789" * 99, 891) == google_crc32c.value(b"123456789" * 99):
            return address
    raise RuntimeError("no working CRC-32C on this machine")


def _call(address: int):
    return ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t)(address)


def _bundled() -> int:
    root = Path(google_crc32c.__file__).parent
    for path in sorted([*root.parent.glob("google_crc32c.libs/*crc32c*"), *root.glob(".dylibs/*crc32c*")]):
        try:
            return ctypes.cast(ctypes.CDLL(str(path)).crc32c_extend, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


@ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
def _through_python(crc, data, count):
    return google_crc32c.extend(crc, ctypes.string_at(data, count))


def _portable() -> int:
    return ctypes.cast(_through_python, ctypes.c_void_p).value or 0


_FOLDING = """
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

more:  ; as long as there is much: 256 bytes folded for every 144 in three streams of the crc32 instruction
  %at = phi i64 [0, %entry], [%after, %joined]
  %sum = phi i64 [%start, %entry], [%whole, %joined]
  %left = sub i64 %count, %at
  %much = icmp uge i64 %left, 1056
  br i1 %much, label %fold, label %words

fold:
  %beyond = sub i64 %left, 256
  %fit = udiv i64 %beyond, 400
  %few = icmp ult i64 %fit, 65535
  %turns = select i1 %few, i64 %fit, i64 65535
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

sweep:
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
  %all = mul i64 %turns, 400
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


@lru_cache(1)
def _engine():
    """The folding CRC-32C, compiled for this processor; None where it lacks the instructions.

    A register of 64 bytes stands for 512 coefficients; multiplying its lanes by x^(2048±32) moves them on by 256 bytes ("Fast CRC
    computation for generic polynomials using PCLMULQDQ instruction", Intel, 2009). That leaves the crc32 instruction free, which
    takes 144 bytes in the same time, in three streams because each waits for itself; the four parts are then combined.
    """
    from llvmlite import binding as llvm

    can = llvm.get_host_cpu_features()
    if not all(can.get(feature) for feature in ("avx512f", "vpclmulqdq", "pclmul", "sse4.2")):
        return None
    constant = ", ".join(f"i64 {int(_power(2048 + d)) << 1}" for d in (32, -32) * 4)
    vectors = range(4)
    first = [f"%f{k} = getelementptr i8, ptr %begin, i64 {64 * k}" for k in vectors]
    first += [f"%a{k} = load <8 x i64>, ptr %f{k}, align 1" for k in vectors] + ["%seeded = xor <8 x i64> %a0, %seed"]
    phis = [f"%v{k} = phi <8 x i64> [%{'seeded' if k == 0 else f'a{k}'}, %fold], [%n{k}, %turn]" for k in vectors]
    phis += [f"%q{s} = phi i64 [0, %fold], [%c{s}.5, %turn]" for s in range(3)]
    body, sweep = [], []
    for k in vectors:
        body += [
            f"%p{k} = getelementptr i8, ptr %next, i64 {64 * k}",
            f"%m{k} = load <8 x i64>, ptr %p{k}, align 1",
            f"%l{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{constant}>, i8 0)",
            f"%h{k} = call <8 x i64> @llvm.x86.pclmulqdq.512(<8 x i64> %v{k}, <8 x i64> <{constant}>, i8 17)",
            f"%x{k}x = xor <8 x i64> %l{k}, %h{k}",
            f"%n{k} = xor <8 x i64> %x{k}x, %m{k}",
        ]
        for lane in range(8):
            i = 8 * k + lane
            sweep.append(f"%e{i} = extractelement <8 x i64> %n{k}, i32 {lane}")
            before = f"%swept{i - 1}" if i else "0"
            sweep.append(f"%swept{i} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %e{i})")
    for s in range(3):
        body.append(f"%y{s} = getelementptr i8, ptr %s{s}, i64 %word")
        for w in range(6):
            before = f"%c{s}.{w - 1}" if w else f"%q{s}"
            body.append(f"%z{s}.{w} = getelementptr i8, ptr %y{s}, i64 {8 * w}")
            body.append(f"%g{s}.{w} = load i64, ptr %z{s}.{w}, align 1")
            body.append(f"%c{s}.{w} = call i64 @llvm.x86.sse42.crc32.64.64(i64 {before}, i64 %g{s}.{w})")
    low, high = (", ".join(f"i32 {x}" for x in row) for row in _power_table(384, 2, 2**31 - 1 - 33).tolist())  # x^(2^31 − 1) = 1
    parts = {name: "\n  ".join(lines) for name, lines in (("first", first), ("phis", phis), ("body", body), ("sweep", sweep))}
    module = llvm.parse_assembly(Template(_FOLDING).substitute(parts, low=low, high=high))
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=can.flatten(), opt=3, jit=True
    )
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    return engine


def _folding() -> int:
    engine = _engine()
    return engine.get_function_address("extend") if engine else 0


_pread: Any = types.ExternalFunction("pread", types.intp(types.intc, types.uintp, types.uintp, types.int64))


@njit(nogil=True, cache=True)
def _need(fd, size, window, seen, at, count):
    """Have `count` bytes of the file from `at` on in the window; their place in it, or −1 if the file cannot be read.

    seen: (3,) int64: file offsets of the window's begin and end, and how much to read next: little after a jump, twice as much as
    before when reading goes on where it was.
    """
    if seen[0] <= at and at + count <= seen[1]:
        return at - seen[0]
    kept = 0
    if seen[0] <= at <= seen[1]:
        kept = seen[1] - at
        place = at - seen[0]
        _copy(window, 0, window, place, kept)
        seen[2] = min(2 * seen[2], len(window))
    else:
        seen[2] = min(_GLANCE, len(window))
    goal = min(size - at, max(count, seen[2]))
    seen[0], seen[1] = at, at + kept
    while kept < goal:
        got = _pread(fd, window.ctypes.data + kept, goal - kept, at + kept)
        if got <= 0:
            return -1
        kept += got
        seen[1] = at + kept
    return 0


@njit(nogil=True, cache=True)
def _number(data, at, count):
    """A number field: octal digits between blanks, or base 256 when the top bit is set (GNU); −1 for neither."""
    if data[at] == 0x80:
        value = np.int64(0)
        for i in range(1, count):
            if value >> 50:
                return np.int64(-1)
            value = value << 8 | np.int64(data[at + i])
        return value
    first, last = at, at + count
    while first < last and data[first] == 0x20:
        first += 1
    value = np.int64(0)
    while first < last and 0x30 <= data[first] <= 0x37:
        value = value << 3 | np.int64(data[first] - 0x30)
        first += 1
    while first < last:
        if data[first] != 0x20 and data[first] != 0:
            return np.int64(-1)
        first += 1
    return value


@njit(nogil=True, cache=True)
def _header_is_sound(data, at):
    """The sum of all bytes, the checksum's own taken as blanks; some old tars sum them as signed."""
    total = np.uint32(0)
    for i in range(np.uint64(at), np.uint64(at + BLOCK)):  # an unsigned place cannot count from the end: ten times as fast
        total += np.uint32(data[i])
    for i in range(at + 148, at + 156):
        total += np.uint32(0x20) - np.uint32(data[i])
    said = _number(data, at + 148, 8)
    if said == total:
        return True
    high = np.int64(0)
    for i in range(at, at + BLOCK):
        high += (data[i] >> 7) * (i < at + 148 or i >= at + 156)
    return said == np.int64(total) - 256 * high


@njit(nogil=True, cache=True)
def _first_set(data, begin, end):
    """Where the first byte that is not zero lies; `end` if there is none."""
    for i in range(np.uint64(begin), np.uint64(end)):
        if data[i] != 0:
            return np.int64(i)
    return np.int64(end)


@njit(nogil=True, cache=True)
def _field(data, at, count):
    """Length of a text field: up to a NUL, or all of it."""
    for i in range(count):
        if data[at + i] == 0:
            return i
    return count


@njit(nogil=True, cache=True)
def _equal(data, at, text):
    """Whether the bytes of `text`, a bytes constant, stand here."""
    same = True
    for i in range(len(text)):
        same &= data[at + i] == text[i]
    return same


@njit(nogil=True, cache=True)
def _pax(data, at, end, found):
    """Records `length key=value\\n`; found: (3,) int64: the path's place and length, and the size; −1 for none."""
    found[:] = -1
    while at < end:
        length = np.int64(0)
        digits = at
        while digits < end and 0x30 <= data[digits] <= 0x39 and length < 2**40:
            length = 10 * length + np.int64(data[digits] - 0x30)
            digits += 1
        if digits == at or digits >= end or data[digits] != 0x20 or at + length > end or at + length <= digits + 1:
            return _PAX
        if data[at + length - 1] != 0x0A:
            return _PAX
        key = digits + 1
        value = key
        while value < at + length and data[value] != 0x3D:
            value += 1
        if value >= at + length or value == key:
            return _PAX
        name = value - key
        value += 1
        count = at + length - 1 - value
        if name == 4 and _equal(data, key, b"path"):
            found[0], found[1] = (value, count) if count else (-1, -1)
        elif name == 4 and _equal(data, key, b"size"):
            number = np.int64(0)
            for i in range(count):
                digit = np.int64(data[value + i]) - 0x30
                if digit < 0 or digit > 9 or number >> 55:
                    return _SIZE
                number = 10 * number + digit
            found[2] = number if count else -1
        elif name > 11 and _equal(data, key, b"GNU.sparse."):
            return _SPARSE
        at += length
    return _FINE


@njit(nogil=True, cache=True)
def _copy(target, to, source, begin, count):
    """Plainer than assigning slices, which take numba seconds to compile."""
    here, there = np.uint64(begin), np.uint64(to)
    for i in range(np.uint64(count)):
        target[there + i] = source[here + i]


@njit(nogil=True, cache=True)
def _find(table, names, places, begin, length):
    """Number of the word names[begin : begin + length] among those at `places` (place, length), or −1 − the slot for it."""
    hashed = np.uint64(0xCBF29CE484222325)
    for i in range(np.uint64(begin), np.uint64(begin + length)):
        hashed = (hashed ^ np.uint64(names[i])) * np.uint64(0x100000001B3)
    hashed ^= hashed >> np.uint64(29)
    mask = len(table) - 1
    slot = np.int64(hashed & np.uint64(mask))
    while table[slot] >= 0:
        known = table[slot]
        if places[known, 1] == length:
            at = places[known, 0]
            same = True
            for i in range(length):
                if names[at + i] != names[begin + i]:
                    same = False
                    break
            if same:
                return known
        slot = (slot + 1) & mask
    return -1 - slot


@njit(nogil=True, cache=True)
def _enter_all(table, names, places, count):
    for word in range(count):
        table[-1 - _find(table, names, places, places[word, 0], places[word, 1])] = word


@njit(nogil=True, cache=True)
def _walk(
    fd,
    size,
    window,
    seen,
    checksums,
    extend,
    powers,
    state,
    rows,
    clips,
    names,
    texts,
    blocks,
    extensions,
    recordings,
    clip_slots,
    extension_slots,
    recording_slots,
):
    """Go on from where `state` stands, to the end, to a fault, or until a table is full; returns which. See `walk`."""
    at, whole = state[_AT], np.uint32(state[_WHOLE])
    members, samples, named, written = state[_MEMBERS], state[_SAMPLES], state[_NAMED], state[_WRITTEN]
    sums, kinds, origins = state[_SUMS], state[_KINDS], state[_ORIGINS]
    skipped, others = state[_SKIPPED], state[_OTHERS]
    first = state[_FIRST]  # of the headers that belong to the member to come
    said_name, said_size = state[_SAID_NAME], state[_SAID_SIZE]  # what those say; the name stands at names[named:]
    memory = window.ctypes.data  # once: it counts a reference
    pax = np.empty(3, np.int64)
    row = np.zeros(7, np.int64)
    memo = np.full(2, -1, np.int64)
    fault = _FINE
    while fault == _FINE:
        if (
            members == len(rows)
            or samples == len(clips)
            or kinds == len(extensions)
            or origins == len(recordings)
            or named + NAME_LIMIT + 1 > len(names)
            or (written + TEXT_LIMIT > len(texts) and len(texts) < _TEXTS)
        ):
            fault = _FULL
            break
        if at + BLOCK > size:
            fault = _CUT
            break
        i = _need(fd, size, window, seen, at, BLOCK)
        if i < 0:
            fault = _READ
            break
        if window[i] == 0 and _first_set(window, i, i + BLOCK) == i + BLOCK:
            if said_name >= 0 or said_size >= 0:  # the member that was announced is missing
                fault = _CUT
            break
        if not _header_is_sound(window, i):
            fault = _CHECKSUM
            break
        if checksums:
            whole = _extend(extend, whole, memory + i, BLOCK)
        kind = window[i + 156]
        length = _number(window, i + 124, 12)
        if length < 0:
            fault = _SIZE
            break
        if first < 0:
            first = at
        if kind == 0x78 or kind == 0x58 or kind == 0x67 or kind == 0x4C or kind == 0x4B:  # x X g L K
            padded = (length + BLOCK - 1) // BLOCK * BLOCK
            if length > HEADER_LIMIT:
                fault = _LONG_HEADER
                break
            if at + BLOCK + padded > size:
                fault = _CUT
                break
            i = _need(fd, size, window, seen, at + BLOCK, padded)
            if i < 0:
                fault = _READ
                break
            if checksums:
                whole = _extend(extend, whole, memory + i, padded)
            place, count = np.int64(-1), np.int64(0)
            if kind == 0x4C:
                place, count = i, np.int64(_field(window, i, length))
            elif kind != 0x4B:
                fault = _pax(window, i, i + length, pax)
                if fault != _FINE:
                    break
                if kind == 0x67:
                    if pax[0] >= 0 or pax[2] >= 0:
                        fault = _GLOBAL
                        break
                else:
                    place, count = pax[0], pax[1]
                    if said_size < 0:  # of two headers for one member, the first holds
                        said_size = pax[2]
            if place >= 0 and said_name < 0:
                if count > NAME_LIMIT or _field(window, place, count) < count:
                    fault = _LONG_NAME
                    break
                _copy(names, named, window, place, count)
                said_name = count
            at += BLOCK + padded
            continue
        if kind == 0x53:
            fault = _SPARSE
            break
        if said_size >= 0:
            length = said_size
        if 0x31 <= kind <= 0x36:  # links, devices, folders: whatever their size says, no data follows
            length = np.int64(0)
        offset = at + BLOCK
        padded = (length + BLOCK - 1) // BLOCK * BLOCK
        if offset + padded > size:
            fault = _CUT
            break
        if said_name < 0:
            prefix = _field(window, i + 345, 155) if _equal(window, i + 257, b"ustar\0") else 0
            count = np.int64(_field(window, i, 100))
            said_name = count
            if prefix:
                _copy(names, named, window, i + 345, prefix)
                names[named + prefix] = 0x2F
                said_name += prefix + 1
            _copy(names, named + said_name - count, window, i, count)
        end = named + said_name
        regular = kind == 0x30 or kind == 0x37 or (kind == 0 and (said_name == 0 or names[end - 1] != 0x2F))
        base = named
        for j in range(named, end):
            if names[j] == 0x2F:
                base = j + 1
        dot = base
        while dot < end and names[dot] != 0x2E:
            dot += 1
        row[:] = 0
        member = -1
        if not regular:
            others += 1
        elif dot == base or dot >= end - 1:  # hidden, or without an extension
            skipped += 1
        else:
            member = members
            members += 1
            key = dot - named
            if samples == 0 or not _same(names, clips[samples - 1, KEY_AT], clips[samples - 1, KEY_LENGTH], named, key):
                slot = _find(clip_slots, names, clips, named, key)
                if slot >= 0:
                    fault = _APART
                    break
                clips[samples, KEY_AT], clips[samples, KEY_LENGTH] = named, key
                clips[samples, TEXT_AT], clips[samples, TEXT_LENGTH] = 0, -1
                clip_slots[-1 - slot] = samples
                origin = -1
                if _is_clip_key(names, named, key):
                    origin = _find(recording_slots, names, recordings, named, key - 7)
                    if origin < 0:
                        recordings[origins, 0], recordings[origins, 1] = named, key - 7
                        recording_slots[-1 - origin] = origins
                        origin = origins
                        origins += 1
                clips[samples, RECORDING] = origin
                samples += 1
            number = _find(extension_slots, names, extensions, dot + 1, end - dot - 1)
            if number < 0:
                extensions[kinds, 0], extensions[kinds, 1], extensions[kinds, 2] = dot + 1, end - dot - 1, -1
                extensions[kinds, 3] = headers.is_media(names, dot + 1, end - dot - 1)
                extension_slots[-1 - number] = kinds
                number = kinds
                kinds += 1
            if extensions[number, 2] == samples - 1:
                fault = _TWICE
                break
            extensions[number, 2] = samples - 1
            later = False
            if extensions[number, 3]:
                enough = min(length, headers.FIRST)
                later = True
                while later and enough <= HEADER_LIMIT:  # containers tell their frames at their end
                    i = _need(fd, size, window, seen, offset, enough)
                    if i < 0:
                        fault = _READ
                        break
                    later = not headers.read(window, i, min(i + length, seen[1] - seen[0]), length, row)
                    enough = min(length, 8 * enough) if enough < length else HEADER_LIMIT + 1
                if fault != _FINE:
                    break
            elif end - dot == 5 and _equal(names, dot, b".json"):
                clips[samples - 1, TEXT_AT], clips[samples - 1, TEXT_LENGTH] = -offset, length
                if length <= TEXT_LIMIT and written + length <= len(texts):
                    i = _need(fd, size, window, seen, offset, length)
                    if i < 0:
                        fault = _READ
                        break
                    _copy(texts, written, window, i, length)
                    clips[samples - 1, TEXT_AT] = written
                    written += length
            rows[member, HEADER], rows[member, OFFSET], rows[member, LENGTH] = first, offset, length
            rows[member, NAME], rows[member, KEY], rows[member, END] = named, key, end
            rows[member, CLIP], rows[member, EXTENSION], rows[member, CRC] = samples - 1, number, 0
            for j in range(len(row)):
                rows[member, FACTS + j] = row[j]
            rows[member, FIRST_BLOCK], rows[member, LATER] = -1, later
            names[end] = 0
            named = end + 1
        if checksums:
            pcm = member >= 0 and row[headers.DATA] > 0
            if pcm:
                rows[member, FIRST_BLOCK] = sums
            crc = block = np.uint32(0)  # of the member, of the block under way
            begun: Any = np.int64(0)  # bytes of that block
            left = length
            here = offset
            while left:
                i = _need(fd, size, window, seen, here, 1)
                if i < 0:
                    fault = _READ
                    break
                count = min(left, seen[1] - here)
                if pcm:
                    count = min(count, index.BLOCK - begun)
                before = block if pcm else crc
                after = _extend(extend, before, memory + i, count)
                if count < _DIRECT:
                    whole = _extend(extend, whole, memory + i, count)
                else:
                    whole = _shift(whole ^ before, count, powers, memo) ^ after
                left -= count
                here += count
                if pcm:
                    block = after
                    begun += count
                    if begun == index.BLOCK or left == 0:
                        blocks[sums] = block
                        sums += 1
                        crc = _shift(crc, begun, powers, memo) ^ block
                        block, begun = np.uint32(0), np.int64(0)
                else:
                    crc = after
            if fault != _FINE:
                break
            if member >= 0:
                rows[member, CRC] = crc
            if padded > length:
                i = _need(fd, size, window, seen, offset + length, padded - length)
                if i < 0:
                    fault = _READ
                    break
                whole = _extend(extend, whole, memory + i, padded - length)
        at = offset + padded
        first = said_name = said_size = np.int64(-1)
    while fault == _FINE and at < size:  # the end: nothing but zeros to the last byte
        i = _need(fd, size, window, seen, at, 1)
        if i < 0:
            fault = _READ
            break
        end = seen[1] - seen[0]
        other = _first_set(window, i, end)
        if other < end:
            fault = _GARBAGE
            at += other - i
            break
        if checksums:
            whole = _extend(extend, whole, memory + i, end - i)
        at = seen[1]
    state[_AT], state[_WHOLE], state[_SKIPPED], state[_OTHERS] = at, whole, skipped, others
    state[_MEMBERS], state[_SAMPLES], state[_NAMED], state[_WRITTEN] = members, samples, named, written
    state[_SUMS], state[_KINDS], state[_ORIGINS] = sums, kinds, origins
    state[_FIRST], state[_SAID_NAME], state[_SAID_SIZE] = first, said_name, said_size
    return fault


@njit(nogil=True, cache=True)
def _same(names, at, length, begin, count):
    if length != count:
        return False
    same = True
    for i in range(count):
        same &= names[at + i] == names[begin + i]
    return same


@njit(nogil=True, cache=True)
def _is_clip_key(names, begin, length):
    """Whether `clip.split_key` takes this key: something, a hyphen and six digits."""
    if length < 8 or names[begin + length - 7] != 0x2D:
        return False
    digits = True
    for i in range(begin + length - 6, begin + length):
        digits &= 0x30 <= names[i] <= 0x39
    return digits


@njit(nogil=True, cache=True)
def _keys(names, clips, width):
    keys = np.zeros((len(clips), width), np.uint8)
    for clip in range(len(clips)):
        at = clips[clip, KEY_AT]
        for i in range(clips[clip, KEY_LENGTH]):
            keys[clip, i] = names[at + i]
    return keys


@njit(nogil=True, cache=True)
def _dali_lines(names, rows, text):
    """Write the lines into `text`, which has room for them; how many bytes they take."""
    end = 0
    for member in range(len(rows)):
        begin, key, stop = rows[member, NAME], rows[member, KEY], rows[member, END]
        if member:
            text[end] = 0x20 if rows[member, CLIP] == rows[member - 1, CLIP] else 0x0A
            end += 1
        end = _word(text, end, names, begin + key + 1, stop)
        for column in (OFFSET, LENGTH):
            text[end] = 0x20
            end = _decimal(text, end + 1, rows[member, column])
        text[end] = 0x20
        end = _word(text, end + 1, names, begin, stop)
    if len(rows):
        text[end] = 0x0A
        end += 1
    return end


@njit(nogil=True, cache=True)
def _word(text, end, names, begin, stop):
    """Copy a name, `%20` and the like in place of the bytes at which DALI splits."""
    for i in range(np.uint64(begin), np.uint64(stop)):
        letter = names[i]
        if letter == 0x20 or 0x09 <= letter <= 0x0D:
            low = letter & 15
            text[end], text[end + 1], text[end + 2] = 0x25, 0x30 + (letter >> 4), (0x30 if low < 10 else 0x37) + low
            end += 3
        else:
            text[end] = letter
            end += 1
    return end


@njit(nogil=True, cache=True)
def _decimal(text, end, value):
    digits = 1
    rest = value // 10
    while rest:
        digits += 1
        rest //= 10
    for i in range(digits):
        text[end + digits - 1 - i] = 0x30 + value % 10
        value //= 10
    return end + digits
