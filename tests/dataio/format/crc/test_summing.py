"""The checksum of a whole from those of its parts, with and without the processor's own multiplication."""

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format import crc
from dataio.format.crc import choice


@given(st.binary(max_size=3000), st.data())
@settings(deadline=None)
def test_checksums_combine(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    parts = google_crc32c.value(data[:cut]), google_crc32c.value(data[cut:])
    assert crc.combine(*parts, len(data) - cut) == google_crc32c.value(data)


@pytest.mark.parametrize("length", [0, 255, 256, 2**16, 2**24 + 1, 2**33 + 12345])
def test_a_long_second_part_combines_like_many_short_ones(length: int) -> None:
    """x^(8n) by the table against x^8 multiplied up by squaring, through combine itself."""
    found, step, rest, power = 0x12345678, 1, length, 0
    while rest:
        if rest & 1:
            found = crc.combine(found, 0, step)
            power += step
        rest >>= 1
        step *= 2
    assert power == length and found == crc.combine(0x12345678, 0, length)


def test_powers_reach_as_far_as_any_file() -> None:
    """x^(8n) for the longest part there is; a longer one would read beyond the table."""
    assert choice.engine().powers.shape == (6, 256)
    assert crc.combine(crc.combine(1, 0, 2**47), 0, 2**47 - 1) == crc.combine(1, 0, 2**48 - 1)
