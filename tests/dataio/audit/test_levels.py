"""Levels are exact, whatever the order of the clips, the length of the sound and its format."""

import math

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from dataio.audit.levels import Levels, levels_in, rms, sound


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.randoms(), st.integers(0, 40))
def test_means_do_not_depend_on_order_or_division(values, random, cut):
    mixed = random.sample(values, len(values))
    first, second = Levels(), Levels()
    for value in mixed[:cut]:
        first.add("front.L", value)
    for value in mixed[cut:]:
        second.add("front.L", value)
    first.merge(second)
    assert first.mean() == {"front.L": math.fsum(values) / len(values)}


@given(st.lists(st.tuples(st.integers(-32768, 32767), st.integers(-32768, 32767)), min_size=1, max_size=50))
def test_rms_is_exact(samples):
    pcm = np.array(samples, np.int16)
    for channel, found in enumerate(rms(pcm)):
        total = sum(int(v) ** 2 for v in pcm[:, channel])
        assert found == math.sqrt(total / len(pcm)) / 32768


def test_rms_of_loud_and_long_sound_does_not_overflow():
    pcm = np.full((2**22 + 5, 2), -32768, np.int16)
    assert rms(pcm) == [1.0, 1.0]


def test_sound_of_other_formats(tmp_path):
    x = np.linspace(-0.5, 0.5, 1000)[:, None].repeat(2, 1)
    for suffix, subtype in (("flac", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT")):
        soundfile.write(tmp_path / f"a.{suffix}", x, 48_000, subtype=subtype)
        assert rms(sound((tmp_path / f"a.{suffix}").read_bytes()))[0] == pytest.approx(np.sqrt(np.mean(x[:, 0] ** 2)), abs=2e-5)
    soundfile.write(tmp_path / "m.wav", x[:, :1], 48_000)
    for data in (b"", b"RIFF", (tmp_path / "m.wav").read_bytes()):
        with pytest.raises(ValueError, match="cannot be decoded|a pair has two"):
            sound(data)


@pytest.mark.parametrize("facts", [[], 1, {"rms": 3}, {"rms": {"front.L": "0.1"}}, {"rms": {"front.L": -1}}, {"rms": {"a": True}}])
@pytest.mark.parametrize("more", [{}, {"rms": {"front.L": 10**400}}, {"rms": {"front.L": math.nan}}])
def test_what_is_no_level(facts, more):
    for each in (facts, more):
        if each:
            with pytest.raises(ValueError, match="holds no levels"):
                levels_in(each)
    assert levels_in({}) == {} and levels_in({"rms": {"front.L": 0}}) == {"front.L": 0.0}
