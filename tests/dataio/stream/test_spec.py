"""What cannot be asked for is refused in one sentence that names the field, the value and what is allowed."""

import pytest

from dataio import ClipLoader, ClipSpec
from dataio.stream.spec import SpecError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": -1}, r"frames=-1: must be 0"),
        ({"size": (0, 4)}, r"size=\(0, 4\)"),
        ({"pairs": ("front", "up")}, r"pairs=.*may hold front, right, back, left"),
        ({"pairs": ("front", "front")}, r"names a pair twice"),
        ({"frames": 0, "pairs": ()}, r"nothing is left to load"),
        ({"sound": "mel"}, r"sound='mel': must be one of log, magnitude, complex, ipd"),
        ({"sound_seconds": 0}, r"sound_seconds=0"),
        ({"yaw_classes": 3}, r"yaw_classes=3 does not divide the width 512 .* classes that fit this width: \[2, 4, 8, 16\]"),
        ({"frames": 0, "yaw_classes": 4}, r"no picture to turn"),
        ({"tilt": -1}, r"tilt=-1: must be from 0 to 90 degrees"),
        ({"tilt": float("nan")}, r"tilt=nan: must be"),
        ({"tilt": "10"}, r"tilt='10': must be"),
        ({"frames": 0, "tilt": 5.0}, r"tilt=5.0: there is no picture to tilt"),
        ({"dtype": "int8"}, r"dtype='int8': must be one of float32, float16"),
        ({"augment": ("spin",)}, r"augment=\('spin',\): may hold turn, mirror"),
        ({"augment": ("mirror",), "pairs": ("left",)}, r"mirror exchanges right and left"),
        ({"augment": ("turn",), "size": (8, 10)}, r"multiple of 4"),
    ],
)
def test_wrong_fields(fields, message):
    with pytest.raises(SpecError, match=message):
        ClipSpec(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 5}, r"frames=5: the clips of this set hold 4"),
        ({"sound_rate": 48_000}, r"sound_rate=48000: the sound of this set is at 96000 Hz"),
        ({"sound_seconds": 2.5}, r"the clips of this set are 2 s long"),
        ({"dtype": "float16"}, r"dtype='float16': on the cpu frames are float32"),
    ],
)
def test_what_the_set_does_not_have(shards, fields, message):
    with pytest.raises(SpecError, match=message):
        ClipLoader(shards, ClipSpec(**{"frames": 4, "size": (32, 64)} | fields), batch_size=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"batch_size=0 must be at least 1"),
        ({"threads": 0}, r"threads=0"),
        ({"prefetch": 0}, r"prefetch=0"),
        ({"rank": 2, "world_size": 2}, r"rank=2 must be from 0 to world_size − 1 = 1"),
        ({"last_batch": "keep"}, r"last_batch='keep' must be one of drop, pad, partial"),
        ({"device": "tpu"}, r"tpu"),
        ({"split": "test"}, r"split='test' is not in this set; it has \['train', 'val'\]"),
    ],
)
def test_wrong_arguments(shards, arguments, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        ClipLoader(shards, ClipSpec(frames=4, size=(32, 64)), **{"batch_size": 2} | arguments)


def test_no_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished shard set: it does not exist"):
        ClipLoader(tmp_path / "nowhere", batch_size=1)
    with pytest.raises(FileNotFoundError, match=r"it has no manifest\.npz"):
        ClipLoader(tmp_path, batch_size=1)


def test_a_set_in_a_form_that_the_loader_does_not_read_is_refused(shards):
    from dataclasses import replace

    from dataio.format import manifest

    found = manifest.load(shards)
    for media, message in (
        ({"picture": "still"}, r"frames=4: this is a set of single pictures: read it with ImageLoader"),
        ({"picture": ""}, r"frames=4: the pictures of this set are of no known kind"),
        ({"sound": "mp3"}, r"pairs=\('front',\): the sound of this set is mp3; read are pcm, flac"),
    ):
        with pytest.raises(SpecError, match=message):
            ClipSpec(frames=4).check(replace(found, media=replace(found.media, **media)))


def test_maps_must_be_in_the_set_and_partners_must_be_heard(shards):
    from dataio.format import manifest

    found = manifest.load(shards)
    for extra in ("flow", "mask"):
        with pytest.raises(SpecError, match=f"{extra}=True: .*the maps in every clip of this set: labels"):
            ClipSpec(frames=4, size=(32, 64), **{extra: True}).check(found)
    with pytest.raises(SpecError, match=r"partner=True: a partner is heard"):
        ClipSpec(pairs=(), partner=True)
    with pytest.raises(SpecError, match=r"reach=0.5: windows in one clip lie up to 1 s apart"):
        ClipSpec(frames=0, partner=True, reach=0.5).check(found)
    assert ClipSpec(frames=0, pairs=(), flow=True, yaw_classes=4).maps == ("flow",)  # maps are pictures enough to turn
