"""Numbers that look random and are pure functions of their arguments.

Everything rests on SplitMix64 (Steele, Lea and Flood 2014), so nothing depends on the version of any library.
"""

import hashlib

import numpy as np

_U64 = np.uint64
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's output function on uint64: a bijection whose results look random."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> _U64(27))) * _U64(0x94D049BB133111EB)
        return x ^ (x >> _U64(31))


def key(*parts: int | str) -> int:
    """A 64-bit key from words and numbers."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def draw(stream: int | np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """One 64-bit random number for each of `numbers`, from the stream with this key, or each from its own: (n,) uint64."""
    keys = np.asarray(stream, np.uint64)
    with np.errstate(over="ignore"):
        return mix(mix(numbers.astype(np.uint64) * _U64(_GOLDEN) + keys) + (keys ^ _U64(_GOLDEN)))


def below(stream: int | np.ndarray, numbers: np.ndarray, bound: int | np.ndarray) -> np.ndarray:
    """A uniform integer in [0, bound) for each of `numbers`: (n,) int64. The bias is below bound / 2³²."""
    return ((draw(stream, numbers) >> _U64(32)) * np.asarray(bound, np.uint64) >> _U64(32)).astype(np.int64)


def permutation(stream: int, n: int) -> np.ndarray:
    """A permutation of 0 … n − 1, (n,) int64: the numbers sorted by what `draw` gives them."""
    return np.argsort(draw(stream, np.arange(n)), kind="stable")
