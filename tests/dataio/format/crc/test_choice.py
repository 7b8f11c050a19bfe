"""Every way to sum against google_crc32c, and what becomes of a way that is missing or wrong."""

import ctypes

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding

from dataio.format.crc import choice, folding, polynomial

NOISE = np.random.default_rng(0).integers(0, 256, 2**20, np.uint8)
EXTEND = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
TIMES = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
WORD = st.integers(0, 2**32 - 1)


def function(way):
    address = way()
    if not address:
        pytest.skip("this machine or wheel has none")
    return EXTEND(address)


@pytest.mark.parametrize("way", choice.WAYS)
def test_every_way_to_sum_gives_the_same(way) -> None:
    call = function(way)

    @settings(deadline=None)
    @given(st.integers(0, 130), st.integers(0, 5000), WORD)
    def short(begin: int, count: int, before: int) -> None:
        assert call(before, NOISE[begin:].ctypes.data, count) == google_crc32c.extend(
            before, NOISE[begin : begin + count].tobytes()
        )

    short()
    for count in [*range(1400), 65_535, 65_536, 102_655, 102_656, 103_056, 524_288, len(NOISE) - 5]:
        assert call(77, NOISE[5:].ctypes.data, count) == google_crc32c.extend(77, NOISE[5 : 5 + count].tobytes()), count


def test_more_than_is_folded_at_once() -> None:
    """The folding code combines its parts at the latest after 65,535 turns of 400 bytes."""
    data = np.tile(NOISE, 27)
    for count in (65_535 * 400 + 256, 65_536 * 400 + 256, len(data)):
        assert function(choice.folded)(0, data.ctypes.data, count) == google_crc32c.value(data[:count].tobytes()), count


@given(WORD, WORD)
@settings(deadline=None)
def test_products(a: int, b: int) -> None:
    if not choice.times_address():
        pytest.skip("this machine has no such instruction")
    assert TIMES(choice.times_address())(a, b) == polynomial.times(np.uint32(a), np.uint32(b))


@given(st.integers(0, 2**40), st.integers(0, 2**40))
@settings(deadline=None)
def test_powers_are_powers(n: int, m: int) -> None:
    assert polynomial.times(polynomial.power(n), polynomial.power(m)) == polynomial.power(n + m)
    assert polynomial.power(n + 2**31 - 1) == polynomial.power(n)


def unknown() -> dict[str, bool]:
    raise RuntimeError("host CPU features are not known")


@pytest.mark.parametrize("features", [unknown, dict, lambda: dict.fromkeys(folding._NEEDED[1:], True)])
def test_a_processor_without_the_instructions(features, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "get_host_cpu_features", features)
    monkeypatch.setattr(folding, "_engine", folding._engine.__wrapped__)
    assert folding.address("extend") == folding.address("times") == 0
    assert choice.times_address.__wrapped__() == 0
    assert choice.extend_address.__wrapped__() in (choice.bundled(), choice.portable())


def test_what_sums_wrongly_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right on all but long pieces, as a broken vector unit might be."""

    @EXTEND
    def wrong(crc, data, count):
        return google_crc32c.extend(crc, ctypes.string_at(data, count)) ^ (count > 100_000)

    address = ctypes.cast(wrong, ctypes.c_void_p).value
    monkeypatch.setattr(choice, "WAYS", (lambda: 0, lambda: address, choice.portable))
    assert choice.extend_address.__wrapped__() == choice.portable()
    monkeypatch.setattr(choice, "WAYS", (lambda: address,))
    with pytest.raises(RuntimeError, match=r"no working CRC-32C on this machine"):
        choice.extend_address.__wrapped__()


def test_what_multiplies_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = TIMES(lambda a, b: a ^ b)
    address = ctypes.cast(wrong, ctypes.c_void_p).value
    monkeypatch.setattr(folding, "address", lambda function: address)
    assert choice.times_address.__wrapped__() == 0
