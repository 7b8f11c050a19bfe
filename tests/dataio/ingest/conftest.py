"""A source folder with a few short recordings, made once."""

from pathlib import Path

import pytest

from tests.media import make_sound, make_video, noise, numbered


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five recordings of two or three clips, in several forms; tests read it and never write."""
    folder = tmp_path_factory.mktemp("source")
    (folder / "far").mkdir()
    for number, (name, suffix) in enumerate(
        {"one": "wav", "two": "flac", "far/three": "wav", "four é": "wav", "five": None}.items()
    ):
        seconds = 4.3 + number % 2 * 2
        pictures = (numbered((40 * number + k) % 256) for k in range(round(seconds * 10)))
        make_video(folder / f"{name}.mp4", pictures, fps=10, sound=None if suffix else noise(seconds, 48_000, seed=number))
        if suffix:
            subtype = "PCM_24" if name == "two" else "PCM_16"
            make_sound(folder / f"{name}.{suffix}", noise(seconds, 48_000, seed=number), 48_000, subtype)
    return folder
