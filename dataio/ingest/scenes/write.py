"""A set of synthetic scenes on disk: what is written, by whom, and when it counts as complete."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from dataio.ingest.generated import Mark, check_workers, spread
from dataio.ingest.scenes.options import Options
from dataio.ingest.scenes.recording import scene_name, write_scene

MARK = Mark("synthetic.json", "sonosphere-synthetic", 1, "scenes")


def write_recordings(
    out: Path,
    *,
    recordings: int,
    seconds: float,
    seed: int,
    size: tuple[int, int] = (128, 256),
    fps: int = 8,
    rate: int = 96_000,
    workers: int = 1,
    on_done: Callable[[str], None] | None = None,
) -> list[str]:
    """Write synthetic scenes as raw recordings; go on where an interrupted run with the same arguments stopped.

    Each `OUT/scene-0000/` holds `video.mp4` (H.264, equirectangular), `front.wav right.wav back.wav left.wav` (16 bits, left
    ear first), `classes.mkv` (FFV1, the class id of every pixel) and `truth.json`. Sample n is at n / rate, frame k at k / fps
    seconds. A scene depends on `seed` and its number only, not on how many there are or who writes it.

    Args:
        out: a folder that is new, empty, or an earlier run's.
        recordings: number of scenes.
        seconds: length of each.
        seed: of the set.
        size: (height, width) of the picture, both even.
        fps: frames a second.
        rate: samples a second.
        workers: processes that write scenes. They are spawned: a script that asks for more than one needs the usual
            `if __name__ == "__main__":`.
        on_done: called here with the name of each scene once it is complete, those of an earlier run first.

    Returns:
        Names of all scenes, in order.

    Raises:
        ValueError: an argument is not allowed, or `out` holds something else.
    """
    options = Options(recordings, seconds, seed, size, fps, rate)
    check_workers(workers)
    out = Path(out)
    MARK.claim(out, asdict(options))
    names = [scene_name(index) for index in range(recordings)]
    missing = [index for index, name in enumerate(names) if not (out / name).is_dir()]
    if missing:
        MARK.reopen(out)
    for name in sorted(set(names) - {names[index] for index in missing}):
        _tell(on_done, name)
    for name in spread(write_scene, [(out, index, options) for index in missing], workers):
        _tell(on_done, name)
    MARK.complete(out)
    return names


def _tell(on_done: Callable[[str], None] | None, name: str) -> None:
    if on_done is not None:
        on_done(name)
