"""Picture sets: what is found where, how classes and splits come about, and what a picture is made into."""

import io
import json
import os
import pickle
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.ingest import sources
from dataio.ingest.encode import still
from dataio.ingest.encode.still import read_picture
from dataio.ingest.sources import Album, Picture, Refused, SourceError, images
from dataio.ingest.sources.images import albums
from tests.media import make_sound, make_video, noise, numbered

SHARES = {"train": 0.75, "val": 0.25}


def drawn(height: int = 24, width: int = 36, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture: (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    return np.stack([127 + 100 * np.sin(x / width * 5 + y / height * 3 + p) for p in phase], 2).astype(np.uint8)


def encoded(form: str = "JPEG", picture: np.ndarray | Image.Image | None = None, **how: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(drawn() if picture is None else picture)
    image.save(buffer, form, **how)
    return buffer.getvalue()


def fill(root: Path, *names: str, data: bytes = b"never decoded here") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def make_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(members, form))
    return path


def packed(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def found(root: Path, **how: object) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """source → (split, class) of every picture; name → reason of what is refused."""
    pictures, refused = {}, {}
    for item in albums(root, SHARES, **how):
        if isinstance(item, Refused):
            refused[item.name] = item.reason
            continue
        for picture in item.pictures:
            assert picture.source not in pictures
            pictures[picture.source] = item.split, item.classes[picture.label]
    return pictures, refused


def the_picture(root: Path, data: bytes, name: str = "x.jpg") -> Picture:
    fill(root, f"c/{name}", data=data)
    return Picture(str(root), f"c/{name}", "", 0, len(data), 0)


# --- folders


def test_class_folders_below_split_folders(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "train/n02/a.JPEG",
        "train/n01/b.jpg",
        "train/n01/images/c.png",
        "val/n02/d.WebP",
        "val/n03/e.bmp",
        "test/n01/f.jpeg",
    )
    fill(tmp_path, "train/n01/boxes.xml", "train/n01/._b.jpg", "notes.txt", "train/empty.txt")
    pictures, refused = found(tmp_path)
    assert not refused
    assert pictures == {
        "train/n02/a.JPEG": ("train", "n02"),
        "train/n01/b.jpg": ("train", "n01"),
        "train/n01/images/c.png": ("train", "n01"),
        "val/n02/d.WebP": ("val", "n02"),
        "val/n03/e.bmp": ("val", "n03"),
        "test/n01/f.jpeg": ("test", "n01"),
    }
    assert {album.classes for album in albums(tmp_path, SHARES)} == {("n01", "n02", "n03")}
    assert sources.detect(tmp_path) == "images"


def test_without_split_folders_every_class_is_dealt_by_the_shares(tmp_path: Path) -> None:
    sizes = {"a": 40, "b": 8, "c": 1, "d": 1, "e": 1, "f": 1}
    fill(tmp_path, *(f"{name}/{i}.jpg" for name, size in sizes.items() for i in range(size)))
    pictures, _ = found(tmp_path)
    assert pictures == found(tmp_path, size=7)[0]  # whatever the albums
    counts = Counter(pictures.values())
    assert counts["val", "a"] == 10 and counts["val", "b"] == 2
    assert sum(counts["val", name] for name in "cdef") == 1  # what one class is too small for, the next gives
    three = [album for album in albums(tmp_path, {"train": 0.5, "val": 0.25, "test": 0.25}) if isinstance(album, Album)]
    assert {album.split: len(album.pictures) for album in three} == {"train": 26, "val": 13, "test": 13}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 20), st.integers(0, 20))
def test_a_class_gets_its_share_to_one_picture_and_so_does_the_set(sizes: list[int], a: int, b: int) -> None:
    shares = {"train": 1 - (a + b) / 40, "val": a / 40, "test": b / 40}
    counts: dict[str, int] = {}
    for number, size in enumerate(sizes):
        pictures = [Picture("", f"{number}/{i}.jpg", "", 0, 1, number) for i in range(size)]
        dealt = images._dealt(pictures, shares, counts)
        assert sorted(p.file for part in dealt.values() for p in part) == sorted(p.file for p in pictures)
        assert all(abs(len(part) - shares[split] * size) <= 2 for split, part in dealt.items())
    assert all(abs(counts.get(split, 0) - share * sum(sizes)) <= 1 for split, share in shares.items())


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, "bus/a.jpg", "car/b.jpg", "train/c.jpg", "train/d.jpg")
    pictures, refused = found(tmp_path)
    assert not refused and {label for _, label in pictures.values()} == {"bus", "car", "train"}


def test_what_cannot_be_used_is_named_once_and_counted(tmp_path: Path) -> None:
    fill(
        tmp_path, "train/n01/a.jpg", "val/x1.jpg", "val/x2.jpg", "spare/n01/b.jpg", "loose.png", "train/n01/more.tar", "old.tar.gz"
    )
    (tmp_path / "train/n01/gone.jpg").symlink_to("nowhere")
    pictures, refused = found(tmp_path)
    assert list(pictures) == ["train/n01/a.jpg"]
    assert refused == {
        ".": ".: pictures outside of class folders, which have no class (1 pictures, loose.png the first)",
        "old.tar.gz": "old.tar.gz: compressed, so that nothing in it can be read on its own: make it a plain .tar",
        "spare": "spare: a folder of pictures beside train, but no split (train, val, valid, validation, test)",
        "train/n01": "train/n01: cannot be read: No such file or directory (1 pictures, gone.jpg the first)",
        "train/n01/more.tar": "train/n01/more.tar: a tar in a class folder",
        "val": "val: pictures outside of class folders, which have no class (2 pictures, x1.jpg the first)",
    }


def test_hostile_names_are_kept_and_those_that_are_no_utf_8_refused(tmp_path: Path) -> None:
    fill(tmp_path, "<b>é 日本</b>/a\nb .jpg", "x/..jpg.jpg", "x/ok.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path / "x") + b"/b\xff.jpg")).write_bytes(b"1")
    pictures, refused = found(tmp_path)
    assert set(pictures) == {"<b>é 日本</b>/a\nb .jpg", "x/ok.jpg"}  # ..jpg.jpg is hidden
    assert list(refused) == ["x"] and "not valid UTF-8" in refused["x"] and "b\\udcff.jpg" in refused["x"]


def test_a_link_to_a_class_folder_is_followed_and_one_that_leads_back_ends(tmp_path: Path) -> None:
    fill(tmp_path / "far", "a.jpg")
    root = fill(tmp_path / "set", "n01/b.jpg")
    (root / "n02").symlink_to(tmp_path / "far")
    (root / "n01" / "round").symlink_to(root)
    pictures, refused = found(root)
    assert set(pictures) == {"n01/b.jpg", "n02/a.jpg"} and list(refused) == ["n01/round"]


# --- albums


def test_albums_mix_the_classes_and_depend_on_names_alone(tmp_path: Path) -> None:
    names = [f"train/{label}/{i}.jpg" for label in "abcd" for i in range(100)]
    one, two = fill(tmp_path / "one", *names), fill(tmp_path / "two", *reversed(names))
    first, second = albums(one, SHARES, size=64), albums(two, SHARES, size=64)
    assert [album.name for album in first] == [f"train-{i:05d}" for i in range(7)]
    assert [[p.source for p in a.pictures] for a in first] == [[p.source for p in a.pictures] for a in second]
    sizes = [len(album.pictures) for album in first]
    assert sum(sizes) == 400 and max(sizes) <= 64 and max(sizes) - min(sizes) <= 1
    for album in first:  # a fair sample: 14 of each class are expected, and 4 sigma allowed
        assert all(2 < count < 28 for count in Counter(p.label for p in album.pictures).values())
    assert pickle.loads(pickle.dumps(first[0])) == first[0]
    assert first[0].pictures[0].path == one / first[0].pictures[0].source


# --- tars


def test_class_tars(tmp_path: Path) -> None:
    make_tar(tmp_path / "n02.tar", {"./a.JPEG": b"a" * 700, "./b.c.jpg": b"b"})
    make_tar(tmp_path / "n01.tar", {"a.JPEG": b"cc"})
    pictures, refused = found(tmp_path)
    assert not refused
    assert {source: label for source, (_, label) in pictures.items()} == {
        "n01.tar/a.JPEG": "n01",
        "n02.tar/a.JPEG": "n02",
        "n02.tar/b.c.jpg": "n02",
    }
    assert sources.detect(tmp_path) == "images"


def test_tars_within_a_tar_are_read_by_offset(tmp_path: Path) -> None:
    data = {f"n0{k}": {f"n0{k}_{i}.JPEG": encoded(picture=drawn(seed=10 * k + i)) for i in range(3)} for k in range(3)}
    make_tar(tmp_path / "ILSVRC2012_img_train.tar", {f"{name}.tar": packed(members) for name, members in data.items()})
    pictures = [p for album in albums(tmp_path, SHARES) for p in album.pictures]
    assert {p.source for p in pictures} == {f"ILSVRC2012_img_train.tar/{n}.tar/{m}" for n, members in data.items() for m in members}
    for picture in pictures:
        inner, name = picture.member.split("/")
        assert read_picture(picture)[0] == data[inner.removesuffix(".tar")][name]
        assert picture.label == ("n00", "n01", "n02").index(inner.removesuffix(".tar"))


def test_webdataset_tars_keep_their_numbers(tmp_path: Path) -> None:
    data = {f"{k:03d}": encoded(picture=drawn(seed=k)) for k in range(12)}
    with webdataset.ShardWriter(str(tmp_path / "imagenet-train-%02d.tar"), maxcount=5, verbose=0) as writer:
        for k, (key, jpeg) in enumerate(data.items()):
            writer.write({"__key__": f"dir.d/{key}", "jpg": jpeg, "cls": 7 * (k % 3)})
    found_albums = albums(tmp_path, {"train": 1.0})
    pictures = [p for album in found_albums for p in album.pictures]
    assert {p.member[-7:-4]: p.label for p in pictures} == {key: 7 * (k % 3) for k, key in enumerate(data)}
    assert {album.classes for album in found_albums} == {tuple(map(str, range(15)))}
    assert all(read_picture(p)[0] == data[p.member[-7:-4]] for p in pictures)


def test_labels_in_json_may_be_names(tmp_path: Path) -> None:
    label = lambda value: json.dumps({"label": value}).encode()  # noqa: E731
    make_tar(tmp_path / "a.tar", {"2.json": label("dog"), "1.json": label("cat"), "1.jpg": b"1", "2.png": b"2"})
    pictures, refused = found(tmp_path)
    assert not refused and {source: label for source, (_, label) in pictures.items()} == {
        "a.tar/1.jpg": "cat",
        "a.tar/2.png": "dog",
    }
    make_tar(tmp_path / "b.tar", {"1.cls": b"3", "1.jpg": b"1"})
    with pytest.raises(SourceError, match=r"both classes with names \(cat, …\) and with numbers alone \(3, …\)"):
        albums(tmp_path, SHARES)


def test_pictures_without_a_label_are_refused_a_tar_at_a_time(tmp_path: Path) -> None:
    members = {
        "1.jpg": b"1",
        "1.cls": b" 4\n",
        "2.jpg": b"2",
        "3.cls": b"dog",
        "3.jpg": b"3",
        "1.png": b"0",
        "4.seg.png": b"4",
        "4.cls": b"1",
    }
    members |= {"5.jpg": b"5", "5.cls": b"99999999999", "6.cls": b"-1", "6.jpg": b"6", "7.json": b"[[", "7.jpg": b"7"}
    make_tar(tmp_path / "a.tar", members)
    pictures, refused = found(tmp_path)
    assert list(pictures) == ["a.tar/1.jpg"]
    assert refused["a.tar"] == (
        'a.tar: pictures without a label (.cls: a number, .json: "label") (4 pictures, 2.jpg the first); '
        "more than one picture in a sample (1 pictures, 1.png the first); "
        "class numbers outside 0 … 99999 (2 pictures, 5.jpg the first)"
    )


def test_the_splits_of_tars_come_from_folders_or_from_names_that_tell_two_apart(tmp_path: Path) -> None:
    one = {"1.jpg": b"1", "1.cls": b"0"}
    for name in (
        "by-name/imagenet-train-0.tar",
        "by-name/imagenet-validation-0.tar",
        "by-folder/train/0.tar",
        "by-folder/val/train.tar",
    ):
        make_tar(tmp_path / name, one)
    assert {s: split for s, (split, _) in found(tmp_path / "by-name")[0].items()} == {
        "imagenet-train-0.tar/1.jpg": "train",
        "imagenet-validation-0.tar/1.jpg": "val",
    }
    assert {s: split for s, (split, _) in found(tmp_path / "by-folder")[0].items()} == {
        "train/0.tar/1.jpg": "train",
        "val/train.tar/1.jpg": "val",
    }


def test_a_tar_of_pictures_whose_name_is_no_class_is_refused(tmp_path: Path) -> None:
    make_tar(tmp_path / "ILSVRC2012_img_val.tar", {"1.JPEG": b"1"})
    make_tar(tmp_path / "all.tar", {"cat/1.jpg": b"1", "dog/1.jpg": b"1"})
    make_tar(tmp_path / "trainer.tar", {"trainer/1.jpg": b"1"})
    pictures, refused = found(tmp_path)
    assert {label for _, label in pictures.values()} == {"trainer"}
    assert set(refused) == {"ILSVRC2012_img_val.tar", "all.tar"} and "in 2 folders" in refused["all.tar"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_offsets_are_right_in_every_tar_format(tmp_path: Path, form: int) -> None:
    jpeg = encoded()
    folder = "" if form == tarfile.USTAR_FORMAT else "z" * 150 + "/"
    name = folder + "é" * (20 if form == tarfile.USTAR_FORMAT else 90) + ".jpg"
    make_tar(tmp_path / "c.tar", {f"{folder}b.jpg": b"?", name: jpeg}, form)
    picture = next(p for album in albums(tmp_path, SHARES) for p in album.pictures if "é" in p.source)
    assert picture.source == f"c.tar/{name}" and read_picture(picture)[0] == jpeg


def test_a_damaged_tar_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    whole = packed({f"{i}.jpg": bytes([i]) * 3000 for i in range(5)})
    bad = bytearray(whole)
    bad[3584 * 2 + 5] ^= 1  # in the name of the third header: its checksum is wrong
    backwards = bytearray(whole)
    backwards[124:136] = b"\x80" + b"\0" * 10 + b"\x01"  # a size in base 256, its checksum made to fit
    backwards[148:156] = b" " * 8
    backwards[124:136] = b"\xff" * 11 + b"\x00"  # −256
    backwards[148:156] = b"%06o\0 " % sum(backwards[:512])
    for name, data in {
        "a": whole,
        "cut": whole[:9000],
        "bad": bad,
        "text": b"no tar" * 400,
        "none": b"",
        "back": backwards,
    }.items():
        (tmp_path / f"{name}.tar").write_bytes(data)
    pictures, refused = found(tmp_path)
    assert {source.partition("/")[0] for source in pictures} == {"a.tar"} and len(pictures) == 5
    assert set(refused) == {f"{name}.tar" for name in ("cut", "bad", "text", "none", "back")}
    assert refused["bad.tar"] == "bad.tar: cannot be read as a tar: the header at byte 7168 is damaged"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_is_wrong_with_a_tar_nothing_but_a_refusal_comes_of_it(tmp_path_factory, changes) -> None:
    folder = tmp_path_factory.mktemp("fuzzed")
    make_tar(folder / "good.tar", {"1.jpg": b"1"})
    inner = packed({"1.jpg": b"1" * 600, "é" * 60 + "2.jpg": b"2"})
    data = bytearray(packed({"in.tar": inner, "x.jpg": b"5", "x.cls": b"4"} if changes[0][0] % 2 else {"é" * 80 + ".jpg": b"5"}))
    for at, value in changes:
        data[at % len(data)] = value
    (folder / "changed.tar").write_bytes(data)
    try:
        pictures, refused = found(folder)
    except SourceError as error:  # numbers beside the other tar's name
        if "both classes" not in str(error):
            raise
    else:
        assert "good.tar/1.jpg" in pictures and all(name.startswith("changed.tar") for name in refused)


# --- one picture


def test_an_ordinary_jpeg_passes_through_untouched(tmp_path: Path) -> None:
    for how in ({}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"optimize": True, "quality": 20}):
        data = encoded(**how)
        assert read_picture(the_picture(tmp_path, data)) == (data, 24, 36)
        assert read_picture(the_picture(tmp_path, data), size=(24, 10)) == (data, 24, 36)  # never enlarged
        assert read_picture(the_picture(tmp_path, data), size=(400, 400)) == (data, 24, 36)
    grey = encoded(picture=drawn()[:, :, 0])
    assert read_picture(the_picture(tmp_path, grey)) == (grey, 24, 36)


def _turned(picture: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    return encoded(picture=np.rot90(picture), exif=exif, quality=95)


ODD = {
    "png": lambda p: encoded("PNG", p),
    "webp": lambda p: encoded("WEBP", p, lossless=True),
    "bmp": lambda p: encoded("BMP", p),
    "gif": lambda p: encoded("GIF", Image.fromarray(p).quantize(256)),
    "cmyk": lambda p: encoded("JPEG", Image.fromarray(p).convert("CMYK"), quality=95),
    "rgb jpeg": lambda p: encoded("JPEG", p, quality=95, keep_rgb=True),
    "palette": lambda p: encoded("PNG", Image.fromarray(p).quantize(256)),
    "alpha": lambda p: encoded("PNG", Image.fromarray(np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]))),
    "turned": _turned,
}


@pytest.mark.parametrize("kind", ODD)
def test_everything_else_is_made_an_upright_rgb_jpeg(tmp_path: Path, kind: str) -> None:
    picture = drawn(48, 64)
    data, height, width = read_picture(the_picture(tmp_path, ODD[kind](picture), "x.JPEG"), quality=95)
    assert (height, width) == (48, 64)
    assert simplejpeg.decode_jpeg_header(data)[:3] == (48, 64, "YCbCr")
    assert np.abs(simplejpeg.decode_jpeg(data).astype(int) - picture).mean() < 4
    assert (data, height, width) == read_picture(the_picture(tmp_path, data))  # and once made, it passes


def test_16_bits_keep_their_levels_and_what_is_transparent_is_white(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(16, 0)
    data, _, _ = read_picture(the_picture(tmp_path, encoded("PNG", Image.fromarray(grey))), quality=95)
    assert np.abs(simplejpeg.decode_jpeg(data)[:, :, 0].astype(int) - grey // 257).max() <= 6
    clear = np.zeros((16, 16, 4), np.uint8)
    clear[:8, :, 3] = 255  # black above, nothing below
    data, _, _ = read_picture(the_picture(tmp_path, encoded("PNG", clear)), quality=95)
    shown = simplejpeg.decode_jpeg(data)
    assert shown[:7].max() < 12 and shown[9:].min() > 243


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "expected"), [((60, 60), (60, 80)), ((10, 100), (75, 100)), ((299, 10), (299, 399)), ((7, 5), (7, 9))]
)
def test_a_picture_shrinks_so_that_it_still_covers_the_size(tmp_path: Path, form: str, size, expected) -> None:
    picture = drawn(300, 400)
    data, height, width = read_picture(the_picture(tmp_path, encoded(form, picture)), size=size, quality=95)
    assert (height, width) == expected and height >= size[0] and width >= size[1]
    shown = simplejpeg.decode_jpeg(data)
    assert shown.shape == (*expected, 3)
    reference = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
    assert np.abs(shown.astype(int) - reference).mean() < (4 if height > 50 else 20)  # few pixels have coarse colours


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1000), st.integers(1, 1000))
def test_shrinking_covers_keeps_the_proportions_and_never_enlarges(height: int, width: int, h: int, w: int) -> None:
    to_height, to_width = still._shrunk(height, width, (h, w))
    assert 1 <= to_height <= height and 1 <= to_width <= width
    assert to_height >= min(h, height) and to_width >= min(w, width)
    assert abs(to_height / height - to_width / width) <= 1.01 * max(0.5 / height, 0.5 / width) or (to_height, to_width) == (
        height,
        width,
    )


def _bomb() -> bytes:
    data = bytearray(encoded())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"  # 65,535 × 65,535
    return bytes(data)


BROKEN = {
    "empty": lambda: b"",
    "text": lambda: b"<html>404</html>",
    "cut jpeg": lambda: (data := encoded(picture=drawn(200, 300)))[: len(data) // 2],
    "head alone": lambda: encoded()[:30],
    "cut png": lambda: (data := encoded("PNG", drawn(200, 300)))[: len(data) // 2],
    "bomb": _bomb,
    "png bomb": lambda: encoded("PNG", Image.new("1", (10_000, 10_000))),
    "tiff": lambda: encoded("TIFF"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    with pytest.raises(SourceError, match=r"^c/x\.jpg ") as error:
        read_picture(the_picture(tmp_path, BROKEN[kind]()))
    assert str(tmp_path) not in str(error.value) and "\n" not in str(error.value)
    assert "0x" not in str(error.value)  # the same words in every run


def test_a_picture_that_is_gone_shorter_or_far_too_long_is_an_error_that_names_it(tmp_path: Path) -> None:
    picture = the_picture(tmp_path, encoded())
    picture.path.write_bytes(b"12")
    with pytest.raises(SourceError, match=r"c/x\.jpg breaks off after 2 of"):
        read_picture(picture)
    picture.path.unlink()
    with pytest.raises(SourceError, match=r"c/x\.jpg cannot be read: No such file"):
        read_picture(picture)
    with pytest.raises(SourceError, match="a picture has at most"):
        read_picture(Picture(str(tmp_path), "c/x.jpg", "", 0, 2**40, 0))


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_gives_a_readable_jpeg_or_an_error(tmp_path_factory, jpeg, changes) -> None:
    data = bytearray(encoded("JPEG" if jpeg else "PNG"))
    for at, value in changes:
        data[int(at**3 * (len(data) - 1))] = value  # mostly in the head
    try:
        made, height, width = read_picture(the_picture(tmp_path_factory.mktemp("x"), bytes(data)))
    except SourceError:
        return
    assert simplejpeg.decode_jpeg(made).shape == (height, width, 3)  # strict: it raises where it would have to guess


# --- the source as a whole


def test_a_source_is_told_from_recordings(tmp_path: Path) -> None:
    walk = tmp_path / "walk"
    walk.mkdir()
    make_video(walk / "walk.mp4", [numbered(0, 32, 64)] * 3)
    make_sound(walk / "walk.wav", noise(0.1))
    fill(walk, "covers/a.jpg")
    assert sources.detect(walk) == "folder"
    with pytest.raises(SourceError, match="albums and no recordings"):
        sources.find(fill(tmp_path / "set", "a/b.jpg"), "auto")
    assert sources.layout_of(tmp_path / "set", "auto") == "images" and "images" in sources.LAYOUTS


def test_a_source_without_any_picture_says_why(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "readme.txt")
    with pytest.raises(SourceError, match="holds no picture with a class .*outside of class folders"):
        albums(tmp_path, SHARES)
    with pytest.raises(SourceError, match="holds no picture with a class"):
        albums(fill(tmp_path / "other", "c/readme.txt"), SHARES)
