"""A spectrum shows what is heard, where and as loud as it is."""

import re

import numpy as np
import pytest

from dataio.audit.inspect.figures import sounds


@pytest.mark.parametrize("rate", [96_000, 16_000])
def test_spectrum_shows_a_tone_where_and_as_loud_as_it_is(rate):
    """A full-scale sine in the middle of a bin has 0 dB there, and a quarter of the power in either neighbour; a cell holds two."""
    bin_number = 101
    samples = np.sin(2 * np.pi * bin_number / sounds.N_FFT * np.arange(2 * rate))
    decibels = sounds.spectrum(samples)
    assert decibels.shape[0] == 128 and decibels.shape[1] <= 480
    column = decibels[:, decibels.shape[1] // 2]
    assert 127 - int(column.argmax()) == (bin_number - 1) // 2
    assert column.max() == pytest.approx(10 * np.log10((1 + 0.25) / 2), abs=0.05) and column[0] < -60


def test_spectrum_and_envelope_of_very_short_sound():
    for n in (1, 5, 600):
        assert np.isfinite(sounds.spectrum(np.ones(n, np.float32))).all()
        assert sounds.envelope(np.ones(n, np.float32), 1.0).startswith("M")
    assert re.fullmatch(r"[MLZ0-9.,\-]+", sounds.envelope(np.zeros(1000, np.float32), 0.0))
