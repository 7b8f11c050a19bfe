"""OmniAudio's public layout: ears from eight mono tracks, the authors' splits, and scenes that lack two of them."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dataio import ClipLoader, ClipSpec
from dataio.format import manifest
from dataio.format.clip import PAIRS
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.sources import Recording, Refused, detect, find
from dataio.ingest.sources.omniaudio import TRACKS, split
from tests.clips import clips_in


def scene(root: Path, number: int, tracks: range | tuple[int, ...] = range(1, 9)) -> None:
    """4 s of picture, and of 24-bit tracks at 48 kHz; track k holds the constant k / 16."""
    folder = root / f"scene{number:04d}"
    sounds = folder / f"LAB-T{number:03d}.WAV"
    sounds.mkdir(parents=True)
    with av.open(str(folder / f"VIDEO_{number:04d}_cropped.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for i in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 64, 3), 5 * i, np.uint8), "rgb24")))
        container.mux(stream.encode())
    for k in tracks:
        soundfile.write(sounds / f"LAB-T{number:03d}_Tr{k}.WAV", np.full(192_000, k / 16), 48_000, subtype="PCM_24")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("omniaudio")
    scene(root, 3, (1, 2, 5, 6, 7, 8))  # as scenes 1 to 27 are
    for number in (100, 120, 150):
        scene(root, number)
    return root


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "shards"
    build(source, out, BuildOptions(EncodeOptions(size=(32, 64), fps=2.0, rate=48_000)), local(1))
    return out


def test_the_authors_splits():
    assert [split(n) for n in (1, 114, 115, 139, 140, 165)] == ["train", "train", "val", "val", "test", "test"]


def test_found_by_itself_with_the_pairs_that_are_there(source):
    assert detect(source) == "omniaudio"
    found = {r.name: r for r in find(source, "auto")}
    assert all(isinstance(r, Recording) for r in found.values())
    assert set(found["scene0003"].pairs) == {"front", "back"} and set(found["scene0100"].pairs) == set(PAIRS)
    assert [found[f"scene0{n}"].split for n in (100, 120, 150)] == ["train", "val", "test"]


def test_each_ear_comes_from_its_own_track(shards):
    clips = [clip for key, clip in clips_in(shards).items() if key.startswith("scene0100")]
    assert len(clips) == 2
    for clip in clips:
        for pair, ears in TRACKS.items():
            middle = clip.pcm[pair][48_000]
            assert np.abs(middle / 32768 - np.array(ears) / 16).max() < 1e-3


def test_a_shard_has_one_split_and_the_same_pairs_in_all_clips(shards):
    found = manifest.load(shards)
    assert found.splits == ("test", "train", "val") and len(found) == 4
    assert len(found.select("train")) == 2 and len(found.select("train", PAIRS)) == 1 and len(found.select("train", ["front"])) == 2


def test_the_loader_leaves_out_what_lacks_a_pair_and_says_so(shards, capsys):
    spec = {"frames": 0, "sound_rate": 48_000, "sound_seconds": 2.0}
    with ClipLoader(shards, ClipSpec(pairs=("front", "back"), **spec), batch_size=1, split="train") as loader:
        assert loader.clips == 4 and loader.fallbacks == []
    with ClipLoader(shards, ClipSpec(pairs=PAIRS, **spec), batch_size=1, split="train") as loader:
        assert loader.clips == 2 and "1 of 2 shards lack one of the pairs" in loader.fallbacks[0]
        assert all(batch["sound"].shape == (1, 8, 257, 601) for batch in loader)
    assert "clips are left out" in capsys.readouterr().err


def test_what_no_shard_has_is_one_error_and_no_note(shards, tmp_path, capsys):
    spec = ClipSpec(frames=0, pairs=("right",), sound_rate=44_100)
    with pytest.raises(ValueError, match="sound_rate=44100"):
        ClipLoader(shards, spec, batch_size=1)
    assert capsys.readouterr().err == ""


def test_broken_scenes_are_named(source, tmp_path):
    scene(tmp_path, 40)
    (tmp_path / "scene0041").mkdir()
    incomplete = {27: (1, 2, 4, 5, 6, 7, 8), 28: (1, 2, 5, 6, 7, 8), 29: (1, 2, 3, 4, 5, 6, 7), 42: (1, 2)}
    for number, tracks in incomplete.items():
        scene(tmp_path, number, tracks)
    found = {r.name: r for r in find(tmp_path, "omniaudio")}
    assert isinstance(found["scene0040"], Recording)
    assert isinstance(found["scene0041"], Refused) and "no video" in found["scene0041"].reason
    for number, missing in {27: "3", 28: "3, 4", 29: "8", 42: "3, 4, 5, 6, 7, 8"}.items():
        name = f"scene{number:04d}"
        assert found[name] == Refused(name, f"{name} lacks track {missing}; scenes 1 to 27 may lack 3 and 4 only")


def test_what_lies_in_a_bin_is_no_part_of_a_scene(tmp_path):
    scene(tmp_path, 30)
    folder = tmp_path / "scene0030"
    (folder / ".Trash-1000" / "files").mkdir(parents=True)
    for path in (folder / "LAB-T030.WAV" / "LAB-T030_Tr1.WAV", folder / "VIDEO_0030_cropped.mp4"):
        (folder / ".Trash-1000" / "files" / path.name).write_bytes(path.read_bytes())
    (recording,) = find(tmp_path, "auto")
    assert isinstance(recording, Recording) and set(recording.pairs) == set(PAIRS)
