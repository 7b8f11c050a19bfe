"""One recording is enough to train on, and the command line says what is missing: from a real file, and from a generated twin."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sonosphere import app

REAL = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "real"
SETTINGS = ("data.batch_size=4", "data.augment=[mirror]", "optim.epochs=1", "optim.warmup_steps=1")


def twin(folder: Path) -> Path:
    """10 s of moving stripes with two ears of noise, of which the right one is quieter: as `walk.mp4` and `walk.flac`."""
    folder.mkdir()
    with av.open(str(folder / "walk.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for i in range(300):
            stripes = np.roll(np.tile(np.repeat([40, 200], 16), 4).astype(np.uint8), i)
            picture = av.VideoFrame.from_ndarray(np.broadcast_to(stripes[None, :, None], (64, 128, 3)).copy(), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    noise = np.random.default_rng(0).normal(0, [0.1, 0.05], (960_000, 2))
    soundfile.write(folder / "walk.flac", noise, 96_000, subtype="PCM_16")
    return folder


def build_and_train(source: Path, folder: Path) -> tuple[str, str]:
    """What both commands print."""
    runner = CliRunner()
    built = runner.invoke(app, ["shards", "build", str(source), str(folder / "shards"), "--size", "64x128"])
    assert built.exit_code == 0, built.output
    command = ["train", "spatial-front", f"data.path={folder / 'shards'}", f"run={folder / 'run'}", *SETTINGS]
    trained = runner.invoke(app, command)
    assert trained.exit_code == 0, trained.output
    assert (folder / "run" / "checkpoint.pt").is_file()
    return built.output, trained.output


def test_a_generated_recording(tmp_path):
    built, trained = build_and_train(twin(tmp_path / "source"), tmp_path)
    assert "5 clips (5 train)" in built and "has no validation split" in trained


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recording does not lie beside this checkout")
def test_the_real_recording(tmp_path):
    built, trained = build_and_train(REAL, tmp_path)
    assert "20 clips (20 train)" in built and "has no validation split" in trained


def test_turning_needs_the_other_pairs(tmp_path):
    """What the recipe asks for and the set does not have is said before anything is trained."""
    folder = tmp_path
    CliRunner().invoke(app, ["shards", "build", str(twin(folder / "source")), str(folder / "shards"), "--size", "64x128"])
    result = CliRunner().invoke(app, ["train", "spatial-front", f"data.path={folder / 'shards'}", f"run={folder / 'run'}"])
    assert result.exit_code == 1 and "this set has no right, back, left" in str(result.exception)
    assert not (folder / "run").exists()
