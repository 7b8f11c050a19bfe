"""Finding recordings: what belongs together, what is refused and why, and in which order."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from dataio.format.clip import PAIRS
from dataio.ingest import sources
from dataio.ingest.sources import Ear, Recording, Refused, SourceError
from dataio.ingest.sources.claims import Claims
from tests.media import make_sound, make_video, noise, numbered


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """video("walk.mp4", **how): a short video in the source folder."""

    def make(name: str, **how: object) -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        return make_video(tmp_path / name, [numbered(k, 32, 64) for k in range(3)], fps=10, **how)

    return make


@pytest.fixture
def sound(tmp_path: Path) -> Callable[..., Path]:
    """sound("walk.wav", channels=2): a short sound in the source folder."""
    return lambda name, channels=2: make_sound(tmp_path / name, noise(0.3, 8000, channels), 8000)


def _find(root: Path, **how: bool) -> dict[str, Recording | Refused]:
    found = sources.find(root, "auto", **how)
    assert len({f.name for f in found}) == len(found)
    return {f.name: f for f in found}


def test_video_and_sound_are_paired_by_name(tmp_path: Path, video, sound) -> None:
    picture, wav = video("walk.mp4"), sound("walk.wav")
    video("river.MKV".lower())
    flac = sound("river.flac")
    found = _find(tmp_path)
    assert found["walk"] == Recording("walk", picture, {"front": (Ear(wav, 0), Ear(wav, 1))})
    assert found["river"].pairs == {"front": (Ear(flac, 0), Ear(flac, 1))}


def test_four_pairs_beside_a_video(tmp_path: Path, video, sound) -> None:
    video("walk.mp4")
    files = {pair: sound(f"walk.{pair}.wav") for pair in reversed(PAIRS)}
    pairs = _find(tmp_path)["walk"].pairs
    assert list(pairs) == list(PAIRS)
    assert {pair: ears[0].path for pair, ears in pairs.items()} == files


def test_a_dot_in_a_name_is_part_of_it(tmp_path: Path, video, sound) -> None:
    video("walk.v2.mp4")
    wav = sound("walk.v2.wav")
    assert _find(tmp_path)["walk.v2"].pairs["front"][0].path == wav


def test_sub_folders_are_searched_and_part_of_the_name(tmp_path: Path, video, sound) -> None:
    for name in ("b/walk", "a/walk", "a/c/walk"):
        video(f"{name}.mp4")
        sound(f"{name}.wav")
    found = _find(tmp_path)
    assert list(found) == ["a/c/walk", "a/walk", "b/walk"]
    assert found["a/walk"].pairs["front"][0].path == tmp_path / "a/walk.wav"


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path, video, sound) -> None:
    video("walk.mp4")
    video("._walk.mp4")  # what some systems leave beside a copy
    sound("walk.wav")
    (tmp_path / "notes.txt").write_text("nice weather")
    video(".Trash-1000/files/old.mp4")
    sound(".Trash-1000/files/old.wav")
    video("a/.cache/b/old.mp4")
    assert list(_find(tmp_path)) == ["walk"]


def test_a_sound_of_no_video_is_named_with_the_nearest_name(tmp_path: Path, video, sound) -> None:
    for name in ("r1", "r2", "sub/walk"):
        video(f"{name}.mp4")
        sound(f"{name}.wav")
    for name in ("r1.fornt.wav", "zz.wav", "sub/r2.flac", "wlk.wav"):
        sound(name)
    found = _find(tmp_path)
    assert [name for name, f in found.items() if isinstance(f, Recording)] == ["r1", "r2", "sub/walk"]
    assert {name: f.reason for name, f in found.items() if isinstance(f, Refused)} == {
        "r1.fornt.wav": "r1.fornt.wav belongs to no video; the nearest name that does is r1.front.wav",
        "sub/r2.flac": "sub/r2.flac belongs to no video; no video beside it has such a name",
        "wlk.wav": "wlk.wav belongs to no video; no video beside it has such a name",
        "zz.wav": "zz.wav belongs to no video; no video beside it has such a name",
    }


def test_the_nearest_name_is_looked_for_among_few(tmp_path: Path) -> None:
    videos = [tmp_path / f"walk-{i:05d}.mp4" for i in range(20_000)]
    strays = [tmp_path / f"walk-{i:05d}_front.wav" for i in range(300)]
    refused = list(Claims(videos, strays).unclaimed(tmp_path))
    assert refused[7].reason == "walk-00007_front.wav belongs to no video; the nearest name that does is walk-00007.front.wav"
    assert len(refused) == len(strays)


@pytest.mark.parametrize("name", ["Walk.wav", "walk.Front.wav", "WALK.back.wav"])
def test_a_sound_that_differs_in_capitals_is_a_sentence_and_not_left_out(tmp_path: Path, video, sound, name: str) -> None:
    video("walk.mp4", sound=noise(0.3, 48_000))
    sound(name)
    reason = f"walk: {name} beside walk.mp4 differs in capitals or Unicode's spelling only: rename one"
    assert _find(tmp_path) == {"walk": Refused("walk", reason)}


def test_names_that_differ_in_capitals_are_names_of_their_own(tmp_path: Path, video, sound) -> None:
    for name in ("walk", "Walk"):
        video(f"{name}.mp4")
        sound(f"{name}.wav")
    found = _find(tmp_path)
    assert [found[name].pairs["front"][0].path.name for name in ("walk", "Walk")] == ["walk.wav", "Walk.wav"]


def test_unicode_spelt_in_two_ways_is_a_sentence(tmp_path: Path, video, sound) -> None:
    video(f"{unicodedata.normalize('NFC', 'Zürich')}.mp4", sound=noise(0.3, 48_000))
    sound(f"{unicodedata.normalize('NFD', 'Zürich')}.wav")
    (refused,) = _find(tmp_path).values()
    assert isinstance(refused, Refused) and "Unicode's spelling only" in refused.reason


def test_a_pair_s_name_may_be_part_of_a_video_s(tmp_path: Path, video, sound) -> None:
    video("walk.front.mp4")
    wav = sound("walk.front.wav")
    assert _find(tmp_path)["walk.front"].pairs["front"][0].path == wav
    video("walk.mp4")
    assert _find(tmp_path)["walk"].pairs["front"][0].path == wav


def test_a_sound_of_no_video_never_takes_a_recording_s_name(tmp_path: Path, video, sound) -> None:
    video("a.wav.mp4", sound=noise(0.3, 48_000))
    sound("a.wav")
    found = _find(tmp_path)
    assert isinstance(found["a.wav"], Recording) and isinstance(found["a.wav (sound)"], Refused)


def test_the_sound_inside_the_video_is_used_when_there_is_none_beside_it(tmp_path: Path, video, sound) -> None:
    own = video("own.mp4", sound=noise(0.3, 48_000))
    video("both.mp4", sound=noise(0.3, 48_000))
    wav = sound("both.wav")
    found = _find(tmp_path)
    assert found["own"].pairs == {"front": (Ear(own, 0), Ear(own, 1))}
    assert found["both"].pairs["front"][0].path == wav


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_mono_is_refused_unless_asked_for(tmp_path: Path, video, sound, place: str) -> None:
    if place == "beside":
        video("walk.mp4")
        path = sound("walk.wav", 1)
    else:
        path = video("walk.mp4", sound=noise(0.3, 48_000, 1))
    refused = _find(tmp_path)["walk"]
    assert isinstance(refused, Refused)
    assert refused.reason.startswith(f"{path.name} is mono")
    assert "--allow-mono" in refused.reason
    allowed = _find(tmp_path, allow_mono=True)["walk"]
    assert allowed == Recording("walk", tmp_path / "walk.mp4", {"front": (Ear(path, 0), Ear(path, 0))}, mono=True)


def test_what_is_wrong_with_a_recording_is_said_in_a_sentence_without_its_path(tmp_path: Path, video, sound) -> None:
    for name in ("silent", "many", "text", "twice", "broken"):
        video(f"{name}.mp4")
    sound("many.wav", 3)
    sound("twice.wav")
    sound("twice.front.wav")
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "broken.mp4").write_text("no video")
    reasons = {name: f.reason for name, f in _find(tmp_path).items()}
    assert reasons == {
        "silent": "silent.mp4 holds no audio, and no sound file lies beside it",
        "many": "many.wav has 3 channels; a binaural pair has 2",
        "text": "text.wav cannot be read as sound: Format not recognised",
        "twice": "twice: two sounds for the front pair: twice.front.wav, twice.wav",
        "broken": "broken.mp4 cannot be read as audio: Invalid data found when processing input, and no sound file lies beside it",
    }


def test_a_title_that_is_no_utf_8_is_no_fault(tmp_path: Path, video, sound) -> None:
    path = video("walk.mkv", sound=noise(0.3, 48_000))
    data = path.read_bytes()
    assert data.count(b"Lavf") >= 1
    path.write_bytes(data.replace(b"Lavf", b"L\xe4vf"))  # the name of the program that wrote it, in Latin-1
    assert isinstance(_find(tmp_path)["walk"], Recording)


def test_a_source_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "sounds").mkdir()
    make_sound(tmp_path / "sounds" / "a.wav", noise(0.1))
    for name, sentence in {
        "nowhere": "does not exist",
        "empty": "is empty",
        "sounds": "holds no video",
        "sounds/a.wav": "is no folder",
    }.items():
        with pytest.raises(SourceError, match=sentence) as error:
            sources.find(tmp_path / name, "auto")
        assert str(tmp_path / name) in str(error.value)
    with pytest.raises(SourceError, match="layout='tapes' is unknown; the layouts are auto, folder"):
        sources.find(tmp_path / "sounds", "tapes")


def test_a_synthetic_set_is_recognised_and_what_is_missing_is_named(tmp_path: Path, video, sound) -> None:
    (tmp_path / "synthetic.json").write_text("{}")
    assert sources.detect(tmp_path) == "synthetic"
    with pytest.raises(SourceError, match="no scene folder"):
        sources.find(tmp_path, "auto")
    for scene in ("scene-0000", "scene-0001"):
        video(f"{scene}/video.mp4")
        video(f"{scene}/classes.mkv")
        for pair in PAIRS:
            sound(f"{scene}/{pair}.wav")
    (tmp_path / "scene-0001" / "back.wav").unlink()
    found = _find(tmp_path)
    assert found["scene-0000"].classes == tmp_path / "scene-0000" / "classes.mkv"
    assert list(found["scene-0000"].pairs) == list(PAIRS)
    assert found["scene-0001"] == Refused("scene-0001", "scene-0001 lacks back.wav")
