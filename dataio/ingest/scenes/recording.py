"""One scene as a folder of files."""

import shutil
from contextlib import ExitStack, closing
from pathlib import Path

from dataio.format.clip import PAIRS, pair_extension
from dataio.ingest.scenes.files import CLASSES, PICTURE, MovieWriter, open_wav
from dataio.ingest.scenes.options import Options
from dataio.ingest.scenes.picture import Camera
from dataio.ingest.scenes.soundtrack import soundtrack
from dataio.ingest.scenes.truth import truth_text
from dataio.ingest.scenes.world import Scene, draw_scene


def scene_name(index: int) -> str:
    """Name of the folder of scene `index`: `scene-0000`, …"""
    return f"scene-{index:04d}"


def write_scene(out: Path, index: int, options: Options) -> str:
    """Write scene `index` to its folder under `out` and return its name. The folder appears when all its files are complete."""
    name = scene_name(index)
    partial = out / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
    partial.mkdir()
    try:
        scene = draw_scene(options.seed, index)
        _write_pictures(partial, scene, options)
        _write_sound(partial, scene, options)
        (partial / "truth.json").write_text(truth_text(scene, options), encoding="utf-8")
        partial.rename(out / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return name


def _write_pictures(folder: Path, scene: Scene, options: Options) -> None:
    camera = Camera(scene, options.size)
    with (
        MovieWriter(folder / "video.mp4", options.size, options.fps, PICTURE) as video,
        MovieWriter(folder / "classes.mkv", options.size, options.fps, CLASSES) as maps,
    ):
        for k in range(options.frames):
            frame, classes = camera.shoot(k / options.fps)
            video.write(frame)
            maps.write(classes)


def _write_sound(folder: Path, scene: Scene, options: Options) -> None:
    with ExitStack() as stack:
        files = [
            stack.enter_context(closing(open_wav(folder / pair_extension(pair), options.rate, options.samples))) for pair in PAIRS
        ]
        for block in soundtrack(scene, options.samples, options.rate):
            for file, pair in zip(files, block, strict=True):
                file.writeframesraw(pair)
