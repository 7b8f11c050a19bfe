"""JPEGs of any size by either decoder, and what is none."""

import io
from contextlib import suppress

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.stream.decode.errors import DecodeError
from dataio.stream.images import decode
from dataio.stream.images.size import MOST_PIXELS, jpeg_size
from tests.dataio.stream.images.stills import jpeg, photo

DECODERS = {"turbo": decode._turbo, "torchvision": decode._torchvision}


def encoded(picture: np.ndarray | Image.Image, **how: object) -> np.ndarray:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, "JPEG", **how)
    return np.frombuffer(buffer.getvalue(), np.uint8)


FORMS = {
    "plain": lambda: jpeg(photo(40, 57)),
    "progressive": lambda: encoded(photo(40, 57), progressive=True),
    "4:4:4": lambda: encoded(photo(40, 57), subsampling=0),
    "4:2:2": lambda: encoded(photo(40, 57), subsampling=1),
    "grey": lambda: encoded(Image.fromarray(photo(40, 57)).convert("L")),
    "comment and profile": lambda: encoded(photo(40, 57), comment=b"\xff\xd8\xff\xc0" * 9, icc_profile=bytes(70_000)),
    "bytes behind its end": lambda: np.concatenate([jpeg(photo(40, 57)), np.zeros(9, np.uint8)]),
    "read-only": lambda: np.frombuffer(bytes(jpeg(photo(40, 57))), np.uint8),
}


@pytest.mark.parametrize("form", FORMS)
def test_both_decoders_give_the_same_and_pillow_too(form):
    data = FORMS[form]()
    pictures = [run(data) for run in DECODERS.values()]
    assert pictures[0].shape == (40, 57, 3) and pictures[0].dtype == np.uint8 and jpeg_size(data) == (40, 57)
    assert np.array_equal(*pictures)
    assert np.array_equal(pictures[0], np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def _claims(height: int, width: int) -> np.ndarray:
    data = jpeg(photo(40, 57)).copy()
    at = bytes(data).index(b"\xff\xc0")
    data[at + 5 : at + 9] = [height >> 8, height & 255, width >> 8, width & 255]
    return data


BROKEN = {
    "empty": (lambda: np.zeros(0, np.uint8), "it is empty"),
    "text": (lambda: np.frombuffer(b"<html>404</html>" * 9, np.uint8), "it is no JPEG"),
    "png": (lambda: np.frombuffer(b"\x89PNG\r\n\x1a\n" + bytes(99), np.uint8), "it is no JPEG"),
    "head": (lambda: jpeg(photo(40, 57))[:100], "its header holds no size"),
    "zeros behind two markers": (lambda: np.frombuffer(b"\xff\xd8\xff\xe0" + bytes(400), np.uint8), "its header holds no size"),
    "cut": (lambda: jpeg(photo(40, 57))[:-500], "(?i)premature|truncated"),
    "two bytes short": (lambda: jpeg(photo(40, 57))[:-2], "(?i)premature|truncated"),
    "no pixels": (lambda: _claims(0, 57), "it claims to be 0x57"),
    "four billion pixels": (lambda: _claims(65535, 65535), f"from 1 to {MOST_PIXELS} pixels"),
}


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_says_how(name, kind):
    make, reason = BROKEN[kind]
    with pytest.raises(DecodeError, match=reason) as error:
        DECODERS[name](make())
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=5), st.floats(0, 1))
def test_damage_gives_a_picture_or_an_error(changes, keep):
    data = jpeg(photo(24, 36)).copy()
    for at, value in changes:
        data[int(at**3 * (len(data) - 1))] = value  # mostly in the head
    data = data[: round(keep**0.2 * len(data))]
    for run in DECODERS.values():
        with suppress(DecodeError):
            assert run(data).shape == (*jpeg_size(data), 3)


def test_the_decoder_is_the_one_that_is_there(monkeypatch):
    assert decode.decoder()[0] == "turbo"
    monkeypatch.setattr(decode, "find_spec", lambda name: None)
    name, run = decode.decoder()
    assert name == "torchvision" and np.array_equal(run(jpeg(photo(9, 9))), simplejpeg.decode_jpeg(jpeg(photo(9, 9)).data))
