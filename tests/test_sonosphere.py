"""The front door: recordings into shards by the command line, and bad input answered in one sentence with nothing left behind."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import sonosphere
from dataio.format import manifest
from dataio.format.clip import PAIRS
from tests.clips import clips_in
from tests.media import make_sound, make_video, noise, numbered


class Answer(NamedTuple):
    """What a command gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """command("shards", "build", …): runs it in this process."""

    def run(*args: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["sonosphere", *map(str, args)])
        try:
            sonosphere.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good recording of 4.3 s; tests read it and never write."""
    folder = tmp_path_factory.mktemp("good")
    make_video(folder / "walk.mp4", (numbered(k, 32, 64) for k in range(43)), fps=10)
    make_sound(folder / "walk.wav", noise(4.3))
    return folder


def _nowhere(good: Path, raw: Path) -> None:
    raw.rmdir()


def _empty(good: Path, raw: Path) -> None:
    pass


def _file(good: Path, raw: Path) -> None:
    raw.rmdir()
    raw.write_text("a file")


def _only_text(good: Path, raw: Path) -> None:
    (raw / "notes.txt").write_text("hello")


def _silent(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.mp4", raw)


def _mono(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.mp4", raw)
    make_sound(raw / "walk.wav", noise(4.3, channels=1))


def _short_sound(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.mp4", raw)
    make_sound(raw / "walk.wav", noise(2.2))


def _short(good: Path, raw: Path) -> None:
    make_video(raw / "walk.mp4", [numbered(0, 32, 64)] * 15, fps=10)
    make_sound(raw / "walk.wav", noise(4.3))


def _text_video(good: Path, raw: Path) -> None:
    (raw / "walk.mp4").write_text("this is no video")


def _text_video_with_sound(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.wav", raw)
    (raw / "walk.mp4").write_text("this is no video")


def _empty_video(good: Path, raw: Path) -> None:
    (raw / "walk.mp4").touch()


def _text_sound(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.mp4", raw)
    (raw / "walk.wav").write_text("this is no sound")


def _torn_sound(good: Path, raw: Path) -> None:
    shutil.copy(good / "walk.mp4", raw)
    make_sound(raw / "walk.flac", noise(4.3))
    (raw / "walk.flac").write_bytes((raw / "walk.flac").read_bytes()[:300_000])


NOTHING = "nothing in {raw} could be built: "
NO_MEDIA = "Invalid data found when processing input"
ALONE = ", and no sound file lies beside it"

BAD_SOURCES = [
    (_nowhere, "the source {raw} does not exist"),
    (_empty, "the source {raw} is empty"),
    (_file, "the source {raw} is no folder"),
    (_only_text, "{raw} holds no video (.mp4, .mov, .mkv, .webm)"),
    (_silent, f"{NOTHING}walk.mp4 holds no audio{ALONE}"),
    (_mono, f"{NOTHING}walk.wav is mono, which holds nothing binaural, and there is no two-channel sound beside it; --allow-mono"),
    (_short_sound, f"{NOTHING}walk: the sound (walk.wav, 2.20 s) is shorter than the video (4.30 s) by more than a clip"),
    (_short, f"{NOTHING}walk is shorter than one clip of 2 s"),
    (_text_video, f"{NOTHING}walk.mp4 cannot be read as audio: {NO_MEDIA}{ALONE}"),
    (_text_video_with_sound, f"{NOTHING}walk.mp4 cannot be read as video: {NO_MEDIA}"),
    (_empty_video, f"{NOTHING}walk.mp4 cannot be read as audio: {NO_MEDIA}{ALONE}"),
    (_text_sound, f"{NOTHING}walk.wav cannot be read as sound: Format not recognised"),
    (_torn_sound, f"{NOTHING}walk.flac breaks off at"),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD_SOURCES, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_sources_get_one_sentence_and_leave_nothing(command, good: Path, tmp_path: Path, spoil, sentence: str) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    spoil(good, raw)
    answer = command("shards", "build", raw, out)
    assert answer.code == 1
    assert answer.out == ""
    assert answer.err.startswith(f"sonosphere: {sentence.format(raw=raw)}")
    assert answer.err.count("\n") == 1
    assert answer.err.endswith("\n")
    assert not out.exists()


BAD_OPTIONS = [
    (["--size", "big"], "size 'big' should be HEIGHTxWIDTH, such as 256x512"),
    (["--size", ""], "size '' should be HEIGHTxWIDTH, such as 256x512"),
    (["--size", "256"], "size '256' should be HEIGHTxWIDTH, such as 256x512"),
    (["--size", "0x512"], "size 0x512 is outside 8 … 16384 pixels a side"),
    (["--split", "train=0.9"], "split 'train=0.9' adds up to 0.9, not 1"),
    (["--split", "half"], "split 'half' should look like train=0.8,val=0.2"),
    (["--split", "a=2,b=-1"], "split 'a=2,b=-1' needs names, and shares between 0 and 1"),
    (["--fps", "0"], "fps 0 gives no whole number of frames in a clip of 2 s"),
    (["--fps", "0.3"], "fps 0.3 gives no whole number of frames in a clip of 2 s"),
    (["--clip-seconds", "-1"], "clip seconds -1.0 must be positive and a whole number of samples at 96000 Hz"),
    (["--rate", "0"], "rate 0 is outside 8000 … 768000 Hz"),
    (["--quality", "0"], "quality 0 is outside 1 … 100"),
    (["--shard-bytes", "0"], "shard bytes 0 must be at least 1"),
    (["--workers", "0"], "workers=0 must be at least 1"),
    (["--split", "a=0.5,b=0.4,a=0.5"], "split 'a=0.5,b=0.4,a=0.5' names 'a' twice"),
    (["--silence", "nan"], "silence nan dB must be positive"),
    (["--silence", "inf"], "silence inf dB must be positive"),
    (["--gop", "4"], "--gop does nothing with --frames jpeg; it is for h264, hevc, vp9, av1"),
    (["--frames", "copy", "--quality", "80"], "--quality does nothing with --frames copy; it is for jpeg, h264, hevc, vp9, av1"),
    (["--frames", "copy", "--size", "16x32"], "--size does nothing with --frames copy; it is for jpeg, h264, hevc, vp9, av1"),
    (["--frames", "copy", "--fps", "2"], "--fps does nothing with --frames copy"),
    (["--workers", "2", "--ray", "auto"], "--workers does nothing beside --ray"),
    (["--layout", "images", "--flow"], "--flow does nothing for the layout images; it is for folder, omniaudio, yt360, synthetic"),
    (["--layout", "omniaudio", "--split", "train=1"], "--split does nothing for the layout omniaudio; it is for folder, yt360"),
    (["--layout", "yt360", "--allow-mono"], "--allow-mono does nothing for the layout yt360; it is for folder"),
    (["--layout", "tapes"], "layout='tapes' is unknown; the layouts are auto, folder"),
    (["--layout", "synthetic"], "{raw} holds synthetic.json but no scene folder"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_OPTIONS, ids=[" ".join(options) for options, _ in BAD_OPTIONS])
def test_bad_options_get_one_sentence_and_leave_nothing(
    command, good: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    answer = command("shards", "build", good, tmp_path / "out", *options)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"sonosphere: {sentence.format(raw=good)}")
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_other_things_is_left_as_it_is(command, good: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    answer = command("shards", "build", good, tmp_path)
    assert answer == (1, "", f"sonosphere: the output {tmp_path} is neither empty nor an unfinished build; choose another folder\n")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    answer = command("shards", "build", good, tmp_path / "notes.txt")
    assert answer == (1, "", f"sonosphere: the output {tmp_path / 'notes.txt'} is a file\n")


def test_a_good_folder_becomes_shards_once(command, good: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = command("shards", "build", good, out, "--size", "16x32", "--json", tmp_path / "report.json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "2 clips (2 train) of 1 recordings in 1 shards, 1.5 MiB; 0 skipped; 0.30 s at the ends dropped\n"
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["clips"], report["splits"]) == (2, {"train": 2})
    again = command("shards", "build", good, out, "--size", "16x32")
    assert (again.code, again.err) == (0, "")
    assert again.out == answer.out.strip() + "; it was there already, nothing was done\n"
    other = command("shards", "build", good, out, "--size", "32x64")
    assert (other.code, other.out) == (1, "")
    assert other.err.startswith(
        f"sonosphere: the output {out} already holds a finished shard set, of another source or other options"
    )


def test_a_bad_recording_among_good_ones_is_named_and_the_command_succeeds(command, good: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(good, raw)
    (raw / "text.mp4").write_text("this is no video")
    shutil.copy(good / "walk.wav", raw / "text.wav")
    answer = command("shards", "build", raw, tmp_path / "out", "--size", "16x32")
    assert answer.code == 0
    assert answer.err == "skipped text: text.mp4 cannot be read as video: Invalid data found when processing input\n"
    assert "of 1 recordings" in answer.out
    assert "1 skipped" in answer.out


def test_a_shorter_tail_is_dropped_and_counted(command, good: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(good / "walk.mp4", raw)
    make_sound(raw / "walk.wav", noise(3.9))
    answer = command("shards", "build", raw, tmp_path / "out", "--size", "16x32", "--json", tmp_path / "report")
    assert answer.out.startswith("1 clips (1 train)")
    assert answer.out.endswith("2.30 s at the ends dropped\n")
    assert json.loads((tmp_path / "report").read_text())["tail_seconds"] == {"walk": 2.3}
    again = command("shards", "build", raw, tmp_path / "out", "--size", "16x32", "--json", "-")
    assert json.loads(again.out)["already"] is True


def test_mono_is_built_on_request(command, good: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    _mono(good, raw)
    answer = command(
        "shards", "build", raw, tmp_path / "out", "--size", "16x32", "--allow-mono", "--json", tmp_path / "report.json"
    )
    assert answer.code == 0
    assert json.loads((tmp_path / "report.json").read_text())["mono"] == ["walk"]


def test_scenes_are_synthesised_and_built(command, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    answer = command("shards", "synth", raw, "--recordings", 1, "--seconds", 2, "--seed", 3, "--size", "32x64")
    assert answer == (0, f"1 recordings of 2 s in {raw}; next: sonosphere shards build {raw} SHARDS\n", "")
    answer = command("shards", "build", raw, tmp_path / "out", "--size", "32x64")
    assert answer.out.startswith("1 clips (1 train) of 1 recordings in 1 shards")
    assert manifest.load(tmp_path / "out").media.pairs == PAIRS
    (clip,) = clips_in(tmp_path / "out").values()
    assert list(clip.pcm) == list(PAIRS)
    assert "labels.png" in clip.members
    assert len(clip.frames) == 8


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--recordings", "0"], "recordings=0 is not allowed"),
        (["--seconds", "0"], "seconds=0.0 is not allowed"),
        (["--size", "33x64"], r"size=(33, 64) is not allowed"),
        (["--size", "wide"], "size 'wide' should be HEIGHTxWIDTH"),
        (["--workers", "0"], "workers=0 is not allowed"),
    ],
)
def test_bad_scenes_get_one_sentence_and_leave_nothing(command, tmp_path: Path, options: list[str], sentence: str) -> None:
    answer = command("shards", "synth", tmp_path / "raw", *options)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"sonosphere: {sentence}")
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "raw").exists()


def test_options_of_what_is_drawn_on_copied_clips_are_taken(command, good: Path, tmp_path: Path) -> None:
    """The flow has a size and is between two frames, also where the frames themselves are copied."""
    answer = command("shards", "build", good, tmp_path / "out", "--frames", "copy", "--flow", "--size", "32x64", "--fps", 2)
    assert (answer.code, answer.err) == (0, "")


def test_a_set_of_images_takes_what_concerns_images(command, tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "raw" / label).mkdir(parents=True)
        Image.new("RGB", (60, 40)).save(tmp_path / "raw" / label / "a.png")
    options = ["--size", "16x16", "--quality", 80, "--split", "train=1"]
    answer = command("shards", "build", tmp_path / "raw", tmp_path / "out", *options)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("2 pictures (2 train) in 1 shards")
    for option in (
        "--mask",
        "--frames=h264",
        "--frames=jpeg",
        "--sound=flac",
        "--silence=17",
        "--allow-mono",
        "--fps=2",
        "--rate=8000",
    ):
        answer = command("shards", "build", tmp_path / "raw", tmp_path / "other", option)
        assert answer.code == 1
        assert answer.err.startswith(f"sonosphere: {option.partition('=')[0]} does nothing for the layout images; it is for folder")


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("raw/walk.wav", " lies inside {tmp}/raw: choose another folder"),
        ("raw/new.json", " lies inside {tmp}/raw: choose another folder"),
        ("link/new.json", " lies inside {tmp}/raw: choose another folder"),
        ("out/report.json", " lies inside {tmp}/out: choose another folder"),
        ("nowhere/report.json", ": there is no folder {tmp}/nowhere"),
        ("notes.txt", " is there already and does not end in .json: nothing else is overwritten"),
        ("nothing", " is there already and does not end in .json: nothing else is overwritten"),
        ("folder.json", " is there already and does not end in .json: nothing else is overwritten"),
    ],
)
def test_a_report_never_lies_where_it_does_harm(command, good: Path, tmp_path: Path, target: str, sentence: str) -> None:
    """And that is known before the work begins."""
    shutil.copytree(good, tmp_path / "raw")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")
    (tmp_path / "folder.json").mkdir()
    before = everything(tmp_path)
    answer = command("shards", "build", tmp_path / "raw", tmp_path / "out", "--json", tmp_path / target)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"sonosphere: --json {tmp_path / target}{sentence.format(tmp=tmp_path)}\n"
    assert everything(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["verify", "index", "info", "stats"])
def test_no_report_is_written_into_a_set(command, shards: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    before = everything(copy)
    answer = command("shards", name, copy, "--json", copy / "build.json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == f"sonosphere: --json {copy / 'build.json'} lies inside {copy}: choose another folder\n"
    assert everything(copy) == before


def test_an_older_report_is_replaced_and_nothing_lies_beside_it(command, good: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    options = ["--size", "16x32", "--json", tmp_path / "report.json"]
    assert command("shards", "build", good, tmp_path / "out", *options).code == 0
    assert json.loads((tmp_path / "report.json").read_text())["clips"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "report.json"]


@pytest.mark.parametrize("where", ["report.json", "-"])
def test_names_that_are_not_utf8_do_not_spoil_a_report(command, good: Path, tmp_path: Path, where: str) -> None:
    raw = shutil.copytree(good, tmp_path / "raw")
    (raw / os.fsdecode(b"b\xff.mp4")).write_text("this is no video")
    target = where if where == "-" else tmp_path / where
    answer = command("shards", "build", raw, tmp_path / "out", "--size", "16x32", "--json", target)
    assert answer.code == 0
    assert answer.err.startswith("skipped b\\udcff: ")
    text = answer.out if where == "-" else (tmp_path / where).read_bytes().decode()
    assert os.fsdecode(b"b\xff") in " ".join(json.loads(text)["skipped"])
    stray = tmp_path / "out" / os.fsdecode(b"\xfe.txt")
    stray.write_text("")
    answer = command("shards", "verify", tmp_path / "out", "--json", target)
    assert answer.code == 1
    text = answer.out if where == "-" else (tmp_path / where).read_bytes().decode()
    assert [problem["file"] for problem in json.loads(text)["problems"]] == [stray.name]


def test_a_name_that_is_not_utf8_can_be_printed() -> None:
    """Standard output is strict, and a good build would end in an error after all."""
    code = "import sys, sonosphere; sys.argv = ['x', '--help']\ntry: sonosphere.main()\nexcept SystemExit: print('\\udcff')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.stdout.endswith(b"\\udcff\n")


def test_an_output_that_is_a_link_to_nothing(command, good: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    answer = command("shards", "build", good, tmp_path / "link")
    assert answer == (1, "", f"sonosphere: the output {tmp_path / 'link'} is a link to nothing; choose another folder\n")
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["synth", "shapes", "verify", "index", "info", "inspect", "stats"])
def test_what_works_on_local_folders_refuses_urls(command, name: str) -> None:
    answer = command("shards", name, "s3://bucket/set")
    assert answer == (1, "", f"sonosphere: {name} works on local folders, not on s3://bucket/set: copy or mount it\n")


def test_a_source_is_no_url_and_a_file_url_is_a_path(command, good: Path, shards: Path, tmp_path: Path) -> None:
    answer = command("shards", "build", "s3://bucket/raw", tmp_path / "out")
    assert answer == (1, "", "sonosphere: build works on local folders, not on s3://bucket/raw: copy or mount it\n")
    answer = command("shards", "info", f"file://{shards}", "--json", "-")
    assert (answer.code, json.loads(answer.out)["clips"]) == (0, 24)


def test_an_unfinished_build_is_not_indexed(command, shards: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards, tmp_path / "copy")
    (copy / manifest.FILE).unlink()
    (copy / ".build").mkdir()
    before = everything(copy)
    answer = command("shards", "index", copy)
    sentence = f"sonosphere: {copy} holds an unfinished build (.build): run the same build to its end first\n"
    assert answer == (1, "", sentence)
    shutil.copy(shards / manifest.FILE, copy)
    assert command("shards", "stats", copy, "--write") == (1, "", sentence)
    assert command("shards", "stats", copy).code == 0
    (copy / manifest.FILE).unlink()
    assert everything(copy) == before


def test_an_array_of_the_user_beside_a_tar_is_not_written_over(command, shards: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    tars.mkdir()
    source = next(shards.glob("*.tar"))
    shutil.copy(source, tars / "set.tar")
    np.savez(tars / "set.npz", embeddings=np.ones(3))
    before = everything(tars)
    answer = command("shards", "index", tars)
    assert answer.code == 1
    assert answer.err.startswith(f"sonosphere: {tars / 'set.npz'} is no index of ours, and one would be written over it")
    assert everything(tars) == before
    (tars / "set.npz").unlink()
    assert command("shards", "index", tars).code == 0
    data = (tars / "set.npz").read_bytes()
    (tars / "set.npz").write_bytes(bytes(5000))  # whatever it holds, the manifest says that it is ours
    assert command("shards", "index", tars).code == 0
    assert (tars / "set.npz").read_bytes() == data
    (tars / "set.npz").write_bytes(data[:-500])  # damaged, and its head says that it is ours
    assert command("shards", "index", tars, "--replace").code == 0
    assert (tars / "set.npz").read_bytes() == data


def test_a_set_whose_source_was_touched_since_says_so(command, good: Path, tmp_path: Path) -> None:
    raw, out = shutil.copytree(good, tmp_path / "raw"), tmp_path / "out"
    first = command("shards", "build", raw, out, "--size", "16x32")
    os.utime(raw / "walk.wav", (1, 1))
    before = everything(out)
    again = command("shards", "build", raw, out, "--size", "16x32")
    sentence = "; it was there already; files of the source were touched since, and nothing was done\n"
    assert again == (0, first.out.strip() + sentence, "")
    assert everything(out) == before


def test_debug_shows_where_an_error_came_from(command, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        command("shards", "build", tmp_path / "nowhere", tmp_path / "out", "--debug")


def test_a_real_process_ends_with_one_sentence_and_status_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sonosphere", "shards", "build", tmp_path / "nowhere", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sonosphere: the source {tmp_path / 'nowhere'} does not exist\n"


def test_help_needs_nothing_heavy() -> None:
    heavy = {"torch", "torchaudio", "nvidia", "av", "numba", "cupy", "matplotlib"}
    code = f"import sys, sonosphere; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
