"""A thousand flipped bits, and whatever else may be wrong with a set, are found by `verify`, and nothing where all is right."""

import io
import json
import random
import shutil
import tarfile
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.audit.report import Audit
from dataio.audit.verify import shards_of, verify
from dataio.format import index, manifest, table
from dataio.format.folder import LocalFolder
from dataio.format.writer import SegmentWriter, write_shard
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from tests.media import make_sound, make_video, noise, numbered

FLIPS = {"tar": 400, "idx": 150, "npz": 250, "manifest": 200}


def audit(folder: Path, deep: bool = False) -> Audit:
    return verify(folder, local(1), deep=deep)


def said(folder: Path, deep: bool = False) -> list[str]:
    return [str(problem) for problem in audit(folder, deep).problems]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of two clips."""
    folder = tmp_path_factory.mktemp("raw")
    for number in range(2):
        make_video(folder / f"r{number}.mp4", (numbered((40 * number + k) % 256, 64, 128) for k in range(43)), fps=10)
        make_sound(folder / f"r{number}.wav", noise(4.3, 8000, seed=number), 8000)
    return folder


def made(raw: Path, out: Path, **options: Any) -> Path:
    encode = EncodeOptions(**({"size": (32, 64), "rate": 8000, "fps": 2.0} | options))
    build(raw, out, BuildOptions(encode, split="train=0.5,val=0.5"), local(1))
    return out


@pytest.fixture(scope="module")
def small(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of two shards, of two clips each."""
    return made(raw, tmp_path_factory.mktemp("small") / "shards")


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "copy")


def _places(data: bytes) -> dict[int, str]:
    """Byte of a tar → the member that it belongs to, header and padding left out; and `name` + " header" for those of headers."""
    places = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            places |= dict.fromkeys(range(member.offset, member.offset_data), f"{member.name} header")
            places |= dict.fromkeys(range(member.offset_data, member.offset_data + member.size), member.name)
    return places


@pytest.mark.parametrize("kind", FLIPS)
def test_every_one_of_a_thousand_flipped_bits_is_found(copy: Path, kind: str) -> None:
    """Also in the padding of a tar, because whole files carry checksums. One in a member names the member."""
    chance = random.Random(kind)
    shards = ("manifest.npz",) if kind == "manifest" else [f"{s.name}.{kind}" for s in shards_of(manifest.load(copy))]
    assert said(copy) == []
    files = {name: (copy / name).read_bytes() for name in shards}
    places = {name: _places(data) for name, data in files.items()} if kind == "tar" else {}
    in_member = in_header = 0
    for _ in range(FLIPS[kind]):
        name = chance.choice(sorted(files))
        byte, bit = chance.randrange(len(files[name])), chance.randrange(8)
        flipped = bytearray(files[name])
        flipped[byte] ^= 1 << bit
        (copy / name).write_bytes(flipped)
        problems = audit(copy).problems
        assert any(problem.file == name for problem in problems), f"bit {bit} of byte {byte} of {name} was not noticed"
        member = places.get(name, {}).get(byte, "")
        if member.endswith(" header"):
            in_header += 1
            assert any(problem.member == member.removesuffix(" header") for problem in problems), (byte, problems)
        elif member:
            in_member += 1
            assert any(problem.member == member and "does not match" in problem.what for problem in problems), (byte, problems)
        (copy / name).write_bytes(files[name])
    assert said(copy) == []
    assert kind != "tar" or (in_member > 200 and in_header > 5)


def test_a_manifest_that_was_changed_and_written_anew_is_found(copy: Path) -> None:
    """Its checksums are all right: the zip's, and what it would be dumped as. The fingerprint is not."""
    found = manifest.load(copy)
    for column in ("bytes", "crc", "index_crc", "clips", "split"):
        wrong = replace(found, shards=found.shards | {column: found.shards[column].copy()})
        wrong.shards[column][1] ^= 1
        (copy / manifest.FILE).write_bytes(wrong.dump())
        assert any("its fingerprint is not that of its content" in line for line in said(copy)), column
    for change in ({"mean_rms": found.mean_rms | {"front.L": 0.5}}, {"media": replace(found.media, rate=16_000)}):
        (copy / manifest.FILE).write_bytes(replace(found, **change).dump())
        assert said(copy) == ["manifest.npz: its fingerprint is not that of its content"]
    for column, what in {"pairs": "every clip has the pairs", "idx_crc": "does not match its checksum"}.items():
        wrong = replace(found, shards=found.shards | {column: found.shards[column] ^ 2})
        (copy / manifest.FILE).write_bytes(wrong.dump())
        assert any(what in line for line in said(copy)), column
    wrong = replace(found, recordings=found.recordings[::-1])
    (copy / manifest.FILE).write_bytes(wrong.dump())
    assert any("recordings" in line for line in said(copy))


def test_a_manifest_never_leads_out_of_its_folder(copy: Path) -> None:
    found = manifest.load(copy)
    rows = [replace(row, name=f"../{copy.name}/{row.name}") for row in shards_of(found)]
    (copy / manifest.FILE).write_bytes(manifest.build(rows, found.media, found.mean_rms, found.options).dump())
    result = audit(copy)
    assert result.shards == 0
    assert sum("which is no file name" in str(problem) for problem in result.problems) == 2


def forge(copy: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Change the index of the first shard, and make the manifest's checksum fit."""
    rows = list(shards_of(found := manifest.load(copy)))
    path = copy / f"{rows[0].name}.npz"
    head, columns = table.load(path, "x", index.KIND, index.VERSION)
    columns = {name: column.copy() for name, column in columns.items()}
    change(head, columns)
    data = table.dump(head, columns)
    path.write_bytes(data)
    rows[0] = replace(rows[0], index_crc=index.crc32c(data))
    (copy / manifest.FILE).write_bytes(manifest.build(rows, found.media, found.mean_rms, found.options).dump())


def _set(column: str, row: int, value: Any) -> Callable[[dict[str, Any], dict[str, np.ndarray]], None]:
    def change(head: dict[str, Any], columns: dict[str, np.ndarray]) -> None:
        columns[column][row] = value

    return change


FORGED: dict[str, tuple[Callable[[dict[str, Any], dict[str, np.ndarray]], None], str]] = {
    "far beyond the end": (
        lambda h, c: (h.update(bytes=2**62), _set("member.offset", 3, 2**61)(h, c))[0],
        "ends behind the end of the tar",
    ),
    "longer than the tar": (lambda h, c: (h.update(bytes=2**62), _set("member.length", 3, 2**62)(h, c))[0], "ends behind the end"),
    "in an odd place": (_set("member.offset", 2, 515), "begins at a byte where no member of a tar can"),
    "over another": (lambda h, c: _set("member.offset", 2, c["member.offset"][1])(h, c), "overlaps the member or the header"),
    "order of clips": (lambda h, c: _set("member.clip", 0, 1)(h, c), "lies before a member of an earlier clip"),
    "a clip without members": (lambda h, c: c.update({"member.clip": c["member.clip"] * 0}), "a clip without members"),
    "twice the same": (lambda h, c: _set("member.extension", 1, c["member.extension"][0])(h, c), "is there twice in its clip"),
    "blocks beyond": (lambda h, c: c.update(block_crc=c["block_crc"][:1]), "block"),
    "sound behind its end": (_set("member.data", 4, 10**6), "begins its sound behind its end"),
    "another name": (_set("clip.key", 0, b"somebody"), "the index has this member here, the tar has"),
    "a name that is no UTF-8": (_set("clip.key", 0, b"\xff\xfe"), "the index has this member here, the tar has"),
    "another length": (lambda h, c: _set("member.length", 0, c["member.length"][0] - 1)(h, c), "does not match its checksum"),
    "another checksum": (_set("member.crc", 0, 7), "does not match its checksum"),
    "another checksum of a block": (_set("block_crc", 0, 7), "block 0 does not match its checksum"),
    "another shard": (lambda h, c: h.update(shard="x"), "name, clips or recordings are not those of the manifest"),
    "another recording": (lambda h, c: h.update(recordings=["x"] * len(h["recordings"])), "are not those of the manifest"),
    "numbers for names": (lambda h, c: h.update(extensions=[1] * len(h["extensions"])), "must be names"),
    "a number for names": (lambda h, c: h.update(extensions=3), "inconsistent index"),
}


@pytest.mark.parametrize("how", FORGED)
def test_an_index_that_was_forged_gives_problems_and_no_crash(copy: Path, how: str) -> None:
    change, expected = FORGED[how]
    forge(copy, change)
    for deep in (False, True):
        problems = said(copy, deep)
        assert any(expected in line for line in problems), problems
        assert len(problems) < 30


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    column=st.sampled_from(["clip", "extension", "offset", "length", "block", "data", "crc", "height", "samples"]), data=st.data()
)
def test_any_number_in_an_index_gives_problems_and_no_crash(small: Path, tmp_path: Path, column: str, data: st.DataObject) -> None:
    copy = shutil.copytree(small, tmp_path / "forged", dirs_exist_ok=True)
    big = 2**63 - 1 if column in ("offset", "length", "samples") else 2**32 - 1 if column == "crc" else 2**31 - 1
    value = data.draw(st.one_of(st.integers(0 if column == "crc" else -big, big), st.integers(0, 5000)))

    def change(head: dict[str, Any], columns: dict[str, np.ndarray]) -> None:
        row = data.draw(st.integers(0, len(columns["member.clip"]) - 1))
        if columns[f"member.{column}"][row] == value:
            columns["member.crc"][row] ^= 1
        columns[f"member.{column}"][row] = value
        head["bytes"] = data.draw(st.sampled_from([head["bytes"], 2**62]))

    forge(copy, change)
    problems = said(copy, deep=True)
    assert column in ("height", "samples", "data") or problems


def test_a_tar_that_is_cut_off_or_goes_on(copy: Path) -> None:
    name = shards_of(manifest.load(copy)).__next__().name
    data = (copy / f"{name}.tar").read_bytes()
    for changed in (data[:-512], data[: len(data) // 2], data[:700], b"", data + bytes(512), data + b"more"):
        (copy / f"{name}.tar").write_bytes(changed)
        for deep in (False, True):
            assert any(f"has {len(changed)} bytes instead of {len(data)}" in line for line in said(copy, deep))
    (copy / f"{name}.tar").unlink()
    assert f"{name}.tar: cannot be read: No such file or directory" in said(copy)
    (copy / f"{name}.tar").mkdir()
    assert f"{name}.tar: cannot be read: Is a directory" in said(copy)


FORMS: dict[str, dict[str, Any]] = {
    "JPEG and PCM": {},
    "FLAC": {"sound": "flac"},
    "h264": {"frames": "h264"},
    "hevc": {"frames": "hevc"},
    "vp9": {"frames": "vp9"},
    "av1": {"frames": "av1", "size": (64, 128)},
    "copy": {"frames": "copy"},
    "flow and mask": {"flow": True, "mask": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_clip_is_right_when_it_is_decoded_too(raw: Path, tmp_path: Path, form: str) -> None:
    out = made(raw, tmp_path / "shards", **FORMS[form])
    result = audit(out, deep=True)
    assert [str(problem) for problem in result.problems] == []
    assert (result.clips, result.unchecked) == (4, 0)
    mean = manifest.load(out).mean_rms
    assert {ear: total / count for ear, (count, total) in result.levels.items()} == pytest.approx(mean, rel=1e-12)


def _picture(kind: str = "JPEG", size: tuple[int, int] = (64, 32), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


def _wav(rate: int = 8000, samples: int = 16_000, channels: int = 2) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((channels, 2, rate, samples, "NONE", ""))
        file.writeframes(bytes(2 * channels * samples))
    return buffer.getvalue()


def _json(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        facts = json.loads(data)
        change(facts)
        return json.dumps(facts).encode()

    return changed


WRONG: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "half a picture": ("f001.jpg", lambda data: data[: len(data) // 2], "does not decode"),
    "a small picture": ("f001.jpg", lambda data: _picture(size=(32, 16)), "a picture of 16x32; expected 32x64"),
    "a grey picture": ("f001.jpg", lambda data: _picture(mode="L"), "is grey"),
    "a PNG called JPEG": ("f001.jpg", lambda data: _picture("PNG"), "is no JPEG"),
    "a frame too few": ("f003.jpg", lambda data: None, "the manifest says 4"),
    "an empty sound": ("front.wav", lambda data: b"", "does not decode"),
    "a mono sound": ("front.wav", lambda data: _wav(channels=1), "expected (2, 8000, 16000)"),
    "a sound of another rate": ("front.wav", lambda data: _wav(rate=16_000), "expected (2, 8000, 16000)"),
    "a short sound": ("front.wav", lambda data: _wav(samples=15_999), "expected (2, 8000, 16000)"),
    "a sound that breaks off": ("front.wav", lambda data: data[:-4000], "breaks off after 15000 of 16000 samples"),
    "another sound": ("front.wav", lambda data: _wav(), "RMS of L is 0.000000000"),
    "no sound": ("front.wav", lambda data: None, "is missing, though the clip's json tells its RMS"),
    "no json": ("json", lambda data: None, "no facts of a clip"),
    "half a json": ("json", lambda data: data[:50], "is no JSON"),
    "a json of another kind": ("json", lambda data: b"[1]", "no facts of a clip"),
    "another length": ("json", _json(lambda f: f.update(seconds=3.0)), "the clip lasts 3.0 s, the manifest says 2.0"),
    "another start": ("json", _json(lambda f: f.update(start=f["start"] + 1)), "the index says"),
    "another recording": ("json", _json(lambda f: f.update(recording="x")), "it is of x at"),
    "another split": ("json", _json(lambda f: f.update(split="test")), "its split is 'test', the manifest says"),
    "another rate": ("json", _json(lambda f: f.update(sound_rate=1)), "its sound rate is 1, the manifest says 8000"),
    "times too late": (
        "json",
        _json(lambda f: f.update(frame_times=[t + 0.4 for t in f["frame_times"]])),
        "do not belong to a clip",
    ),
    "times in disorder": ("json", _json(lambda f: f["frame_times"].reverse()), "do not belong to a clip"),
    "times that are none": ("json", _json(lambda f: f.update(frame_times=[float("nan")] * 4)), "do not belong to a clip"),
    "a time too few": ("json", _json(lambda f: f["frame_times"].pop()), "3 time stamps; the manifest says 4"),
    "another level": ("json", _json(lambda f: f["rms"].update({"front.R": 0.5})), "its json says 0.5"),
}


def rewrite(copy: Path, extension: str, change: Callable[[bytes], bytes | None], clip: int = 0) -> None:
    """Write the set's shards anew with one member of a clip of the first shard changed: all checksums are right."""
    changed = clip
    found = manifest.load(copy)
    rows = []
    for number, row in enumerate(shards_of(found)):
        entry = index.load(copy / f"{row.name}.npz", "x")
        tar = (copy / f"{row.name}.tar").read_bytes()
        segments = []
        for clip, key in enumerate(entry.clips["key"].tolist()):
            writer = SegmentWriter(key.decode())
            for i in np.flatnonzero(entry.members["clip"] == clip).tolist():
                kind, at = entry.extensions[entry.members["extension"][i]], int(entry.members["offset"][i])
                data: bytes | None = tar[at : at + int(entry.members["length"][i])]
                if (number, clip) == (0, changed) and kind == extension:
                    data = change(data or b"")
                if data is not None:
                    writer.add(kind, data)
            recording = entry.recordings[entry.clips["recording"][clip]]
            segments.append(writer.finish(recording, float(entry.clips["start"][clip])))
        rows.append(write_shard(LocalFolder(copy), row.name, row.split, segments))
    (copy / manifest.FILE).write_bytes(manifest.build(rows, found.media, found.mean_rms, found.options).dump())


@pytest.mark.parametrize("how", WRONG)
def test_what_is_wrong_in_a_member_with_the_right_checksum_is_found_by_decoding_it(copy: Path, how: str) -> None:
    extension, change, expected = WRONG[how]
    rewrite(copy, extension, change)
    assert said(copy) == []
    problems = audit(copy, deep=True).problems
    assert any(expected in problem.what for problem in problems), [str(problem) for problem in problems]
    assert len({problem.member.partition(".")[0] for problem in problems if problem.member}) == 1  # the others are right


VIDEO_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "other frames": ({"fps": 4.0}, "8 frames of h264; the manifest says 4 of h264"),
    "another codec": ({"frames": "hevc"}, "4 frames of hevc; the manifest says 4 of h264"),
    "another size": ({"size": (64, 128)}, "a picture of 64x128; expected 32x64"),
    "groups too long": ({"gop": 4}, "key frames are 4 frames apart"),
}


@pytest.mark.parametrize("how", VIDEO_WRONG)
def test_what_is_wrong_in_a_container_is_found(raw: Path, tmp_path: Path, how: str) -> None:
    change, expected = VIDEO_WRONG[how]
    right = made(raw, tmp_path / "right", frames="h264", gop=2)
    other = made(raw, tmp_path / "other", **({"frames": "h264", "gop": 2} | change))
    row = next(shards_of(manifest.load(other)))
    with tarfile.open(other / f"{row.name}.tar") as tar:
        data = next(tar.extractfile(member).read() for member in tar if member.name.endswith(".mp4"))
    rewrite(right, "mp4", lambda _: data)
    assert any(expected in line for line in said(right, deep=True))
    rewrite(right, "mp4", lambda data: data[: len(data) - 300])
    assert any("does not decode" in line or "gives" in line for line in said(right, deep=True))


@pytest.fixture(scope="module")
def copied(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of copied clips; all that are not the first of a recording begin behind their key frame."""
    return made(raw, tmp_path_factory.mktemp("copied") / "shards", frames="copy")


COPY_WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another offset": (lambda f: f.update(offset=f["offset"] + 0.013), "holds no frame of"),
    "an offset that is farther than any": (lambda f: f.update(offset=f["offset"] + 10.1), "outside 0 … 10"),
    "an offset before the file": (lambda f: f.update(offset=-0.1), "its offset is -0.1 s, outside"),
    "an offset that is none": (lambda f: f.update(offset=float("nan")), "its offset is nan s, outside"),
    "no offset": (lambda f: f.pop("offset"), "does not tell where in its file the clip starts"),
    "an offset that is no number": (lambda f: f.update(offset=[1]), "does not tell where in its file the clip starts"),
    "a frame that is not there": (lambda f: f["frame_times"].insert(1, f["frame_times"][0] + 0.003), "holds no frame of"),
    "the first frame left out": (lambda f: f["frame_times"].pop(0), "is not the one on display at"),
    "a frame too early": (lambda f: f["frame_times"].insert(0, f["frame_times"][0] - 0.1), "the first frame that it lists"),
}


@pytest.mark.parametrize("how", COPY_WRONG)
def test_what_is_wrong_in_the_word_on_a_copied_clip_is_found(copied: Path, tmp_path: Path, how: str) -> None:
    """In a clip that begins behind its key frame, so that its file has frames before its start."""
    copy = shutil.copytree(copied, tmp_path / "copy")
    change, expected = COPY_WRONG[how]
    entry = index.load(copy / f"{next(shards_of(manifest.load(copy))).name}.npz", "x")
    rewrite(copy, "json", _json(change), clip=int(entry.clips["start"].argmax()))
    assert said(copy) == []
    assert any(expected in line for line in said(copy, deep=True)), said(copy, deep=True)


def test_albums_of_pictures(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "raw" / label).mkdir(parents=True)
        for i in range(4):
            (tmp_path / "raw" / label / f"{i}.jpg").write_bytes(_picture(size=(40 + i, 30)))
    out = tmp_path / "shards"
    build(tmp_path / "raw", out, BuildOptions(layout="images", split="train=0.5,val=0.5"), local(1))
    assert said(out, deep=True) == []
    rewrite(out, "json", _json(lambda f: f.update(label=2)))
    assert any("its label 2 is none of the 2 classes" in line for line in said(out, deep=True))
    rewrite(out, "json", _json(lambda f: f.update(label=0, **{"class": "dog"})))
    assert any("its class is 'dog', the manifest calls label 0 'cat'" in line for line in said(out, deep=True))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Tars of others, with whatever is in them, indexed."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for number in range(2):
        with tarfile.open(folder / f"set-{number}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in {
                "./a b/é": None,
                f"./a b/{'n' * 150}.x.png": _picture("PNG"),
                "./README": b"no sample",
                "./水.jpg": _picture("PNG"),
                "./水.cls": b"3",
                "./水.unknown": bytes(range(256)),
            }.items():
                info = tarfile.TarInfo(name)
                info.type, info.size = (tarfile.DIRTYPE, 0) if data is None else (tarfile.REGTYPE, len(data))
                tar.addfile(info, io.BytesIO(data or b""))
    (folder / "LICENCE.txt").write_text("theirs")
    return folder


@pytest.mark.parametrize("headers_only", [False, True])
def test_tars_of_others(foreign: Path, headers_only: bool) -> None:
    from dataio.audit.reindex import reindex

    reindex(foreign, local(1), headers_only=headers_only)
    for deep in (False, True):
        result = audit(foreign, deep)
        assert [str(problem) for problem in result.problems] == []
        assert (result.shards, result.clips, result.members) == (2, 4, 8)
        assert result.unchecked == result.as_dict()["without_checksums"] == (2 if headers_only else 0)
    data = bytearray((foreign / "set-0.tar").read_bytes())
    data[data.index(b"IDAT") + 6] ^= 1
    (foreign / "set-0.tar").write_bytes(data)
    assert bool(said(foreign)) == (not headers_only)
    assert any("does not decode" in line for line in said(foreign, deep=True))
    (foreign / "set-2.tar").write_bytes(b"")
    assert "set-2.tar: is not part of the set" in said(foreign)


def test_a_report_is_one_line_a_problem_whatever_the_names(copy: Path) -> None:
    (copy / "evil\x1b[31m\nname").write_text("")
    assert "evil\\x1b[31m\\nname: is not part of the set" in said(copy)
    (copy / "build.json").write_text("{")
    assert any(line.startswith("build.json: is no report of a build") for line in said(copy))
