"""Keys: different for every clip, readable back, and short enough for every archive."""

import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataio.format import clip

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
FITTING = NAMES.filter(lambda name: len(_spelled(name)) <= clip.KEY_LIMIT)


def _spelled(name: str) -> str:
    """The slug by its definition, without a limit."""
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
    return "".join(chr(byte) if chr(byte) in plain else f"_{byte:02x}" for byte in name.encode())


def _undone(slug: str) -> str:
    """The name that a slug stands for."""
    return re.sub(rb"_([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), slug.encode()).decode()


@given(FITTING)
def test_a_slug_can_be_undone(name: str) -> None:
    assert _undone(clip.slug(name)) == name


@given(FITTING)
def test_a_slug_is_safe_in_a_member_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,60}", clip.slug(name))


@pytest.mark.parametrize("pair", [("a b", "a_20b"), ("a/b", "a_b"), ("é", "e\u0301"), ("A", "a"), ("a.b", "a_b"), ("_", "__")])
def test_names_that_look_alike_make_different_slugs(pair: tuple[str, str]) -> None:
    assert clip.slug(pair[0]) != clip.slug(pair[1])


@pytest.mark.parametrize(("name", "fits"), [("a" * 60, True), ("a" * 61, False), ("é" * 10, True), ("é" * 10 + "a", False)])
def test_the_limit_is_sixty_characters_of_the_slug(name: str, fits: bool) -> None:
    if fits:
        assert len(clip.slug(name)) == 60
    else:
        with pytest.raises(ValueError, match=r"6[0-9] characters; the limit is 60"):
            clip.slug(name)


@pytest.mark.parametrize(("name", "sentence"), [("", "empty"), ("walk\udcff", "not valid UTF-8")])
def test_a_name_that_is_none_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        clip.slug(name)


@given(FITTING, st.integers(0, 999_999))
def test_a_key_is_read_back(name: str, index: int) -> None:
    assert clip.split_key(clip.clip_key(clip.slug(name), index)) == (clip.slug(name), index)


def test_a_name_that_ends_like_a_key_is_read_back() -> None:
    assert clip.split_key(clip.clip_key(clip.slug("walk-000001"), 7)) == ("walk-000001", 7)


@given(st.sets(st.tuples(FITTING, st.integers(0, 999_999)), min_size=2, max_size=6))
def test_no_two_clips_share_a_key(clips: set[tuple[str, int]]) -> None:
    assert len({clip.clip_key(clip.slug(name), index) for name, index in clips}) == len(clips)


@pytest.mark.parametrize("index", [-1, 1_000_000])
def test_an_index_beyond_six_digits_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="outside 0 … 999999"):
        clip.clip_key("walk", index)


@pytest.mark.parametrize("key", ["walk", "walk-", "walk-12345", "-000001", "walk-00000a", "walk-0000001", "", "walk_000001"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="is not a clip key"):
        clip.split_key(key)


@pytest.mark.parametrize("extension", ["json", "labels.png", clip.frame_extension(999), *map(clip.pair_extension, clip.PAIRS)])
def test_the_longest_member_name_fits_one_ustar_header(extension: str) -> None:
    member = tarfile.TarInfo(f"{clip.clip_key('x' * clip.KEY_LIMIT, 999_999)}.{extension}")
    assert len(member.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")) == tarfile.BLOCKSIZE


def test_frames_stand_for_equal_parts_of_the_clip() -> None:
    assert clip.frame_times(4.0, 2.0, 8) == [4.0, 4.25, 4.5, 4.75, 5.0, 5.25, 5.5, 5.75]


def test_ears_are_in_the_order_of_the_pairs_left_first() -> None:
    assert clip.EARS == ("front.L", "front.R", "right.L", "right.R", "back.L", "back.R", "left.L", "left.R")
