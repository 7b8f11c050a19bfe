"""The whole road on this machine: scenes → recordings → shards → batches → a model → an evaluation → a report."""

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import figures
from dataio.format.clip import PAIRS
from dataio.format.sphere import yaw_step
from train.environment import machine

RECIPES = {"all": "spatial", "front": "spatial-front"}
SCENES, HELD_OUT, SECONDS = 110, 30, 16.0
LOADER_SECONDS = 3.0  # for which the loader runs without a model


@dataclass(frozen=True)
class Demo:
    """What a demo is asked to do. out: folder of everything it writes. control: also train on video alone."""

    out: Path = Path("runs/demo")
    seed: int = 0
    pairs: str = "all"
    recordings: int = SCENES
    held_out: int = HELD_OUT
    seconds: float = SECONDS
    workers: int = 2
    control: bool = False
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pairs not in RECIPES:
            raise ValueError(f"pairs={self.pairs!r} must be {' or '.join(RECIPES)}")
        if not 2 <= self.held_out <= self.recordings - 2:
            raise ValueError(f"held_out={self.held_out} must leave at least 2 of {self.recordings} recordings on either side")


@dataclass
class Clock:
    """Seconds of each leg of the road, and somebody to tell."""

    say: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def leg(self, name: str, what: str) -> Iterator[None]:
        self.say(what)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def run(demo: Demo, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the demo and write `report.html`, `report.json` and `batch.png` into its folder.

    Scenes and shards of an earlier demo of the same seed and size are used again; training always starts anew.

    Returns:
        the content of report.json.

    Raises:
        ValueError: an option cannot be. OSError: the disk.
    """
    clock = Clock(say)
    data = demo.out / f"data-{demo.recordings}x{demo.seconds:g}s-{demo.held_out}-seed{demo.seed}"
    shards = _shards(demo, data, clock)
    recipe = _recipe(demo, shards, demo.out / f"train-{demo.pairs}", [])
    from train.evaluate import evaluate_spatial

    trained = _train(recipe, "train", clock)
    with clock.leg("evaluate", "evaluating every held-out clip at every yaw, with its own and with other inputs"):
        evaluation = evaluate_spatial(recipe.run)
    alone = None
    if demo.control:
        mute = _recipe(demo, shards, demo.out / f"train-{demo.pairs}-video-only", ["objective.mute=sound"])
        _train(mute, "train without sound", clock)
        alone = evaluate_spatial(mute.run).accuracy
    with clock.leg("loader alone", "running the loader without a model"):
        rate, pictures = _loader(recipe)
    build = json.loads((shards / "build.json").read_text())
    report = {
        "accuracy": evaluation.accuracy,
        "accuracy_without_sound": evaluation.accuracy_without_sound,
        "accuracy_without_video": evaluation.accuracy_without_video,
        "accuracy_video_only": alone,
        "clips_per_second": trained.clips_per_second,
        "loader_clips_per_second": rate,
        "stages": trained.loader_report["stages"],
        "verdict": trained.loader_report["verdict"],
        "fallbacks": trained.loader_report["fallbacks"],
        "queue_occupancy": trained.loader_report["queue_occupancy"],
        "seed": demo.seed,
        "pairs": list(recipe.data.pairs),
        "yaw_classes": evaluation.yaw_classes,
        "evaluated": evaluation.clips * evaluation.yaw_classes,
        "confusion": evaluation.confusion,
        "recordings": build["recordings"],
        "clips": build["clips"],
        "splits": build["splits"],
        "fingerprint": build["fingerprint"],
        "steps": trained.total,
        "seconds": clock.seconds,
        "machine": machine(),
    }
    _write(demo.out, report, recipe.run, pictures)
    return report


def _shards(demo: Demo, data: Path, clock: Clock) -> Path:
    """Scenes, then shards; the scenes are removed again, being many times larger than what is learned from them."""
    from dataio.ingest.build import BuildOptions, build
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.executors import local
    from dataio.ingest.scenes import write_recordings

    shards = data / "shards"
    if _usable(shards):
        clock.say(f"using the shards in {shards} again")
        return shards
    shutil.rmtree(shards, ignore_errors=True)  # of an earlier demo, made by another version or unfinished
    scenes = data / "recordings"
    with clock.leg("synthesise", f"synthesising {demo.recordings} scenes of {demo.seconds:g} s"):
        write_recordings(
            scenes, recordings=demo.recordings, seconds=demo.seconds, seed=demo.seed, size=(128, 256), workers=demo.workers
        )
    share = demo.held_out / demo.recordings
    options = BuildOptions(EncodeOptions(size=(64, 128), fps=2.0), split=f"train={1 - share!r},val={share!r}")
    with clock.leg("build", "building shards"):
        build(scenes, shards, options, local(demo.workers))
    shutil.rmtree(scenes)
    return shards


def _usable(shards: Path) -> bool:
    from dataio.format import manifest

    try:
        manifest.load(shards)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _recipe(demo: Demo, shards: Path, run_folder: Path, settings: list[str]) -> Any:
    from train.recipe_file import load_recipe

    given = [f"data.path={shards}", f"run={run_folder}", f"seed={demo.seed}", f"data.threads={demo.workers}"]
    return load_recipe(RECIPES[demo.pairs], [*given, *settings, *demo.overrides])


def _train(recipe: Any, name: str, clock: Clock) -> Any:
    from train.run import train

    if recipe.run.exists():
        shutil.rmtree(recipe.run)  # of an earlier demo, in this demo's own folder
    with clock.leg(name, f"training: {recipe.run.name}"):
        result = train(recipe)
    if result.exit_code:
        raise KeyboardInterrupt
    return result


def _loader(recipe: Any) -> tuple[float, dict[str, Any]]:
    """Clips per second of the loader with nobody to wait for, and one clip to look at."""
    from dataio import ClipLoader
    from train.fields import clip_spec
    from train.objectives import OBJECTIVES

    objective, data = OBJECTIVES[recipe.objective.name], recipe.data
    common = {"batch_size": data.batch_size, "split": "train", "seed": recipe.seed, "threads": data.threads}
    with ClipLoader(data.path, clip_spec(recipe, objective.FIELDS), **common) as loader:
        clips, start = 0, None
        while start is None or time.perf_counter() - start < LOADER_SECONDS:
            for batch in loader:
                start = start or time.perf_counter()  # the first batch warms up
                clips += len(batch["clip"])
                if time.perf_counter() - start >= LOADER_SECONDS:
                    break
        rate = (clips - data.batch_size) / (time.perf_counter() - start)
    with ClipLoader(data.path, clip_spec(recipe, ("frames", "sound"), augment=False), **common) as loader:
        batch = next(iter(loader))
        rate_hz = loader.spec.sound_rate
    classes = recipe.objective.yaw_classes
    still = batch["frames"][0, :, 0]
    return rate, {
        "still": still,
        "turned": still.roll(-yaw_step(still.shape[-1], classes), -1),
        "sound": batch["sound"][0],
        "degrees": 360 / classes,
        "seconds": data.sound_seconds,
        "rate": rate_hz,
        "ears": [f"{pair} {ear}" for pair in PAIRS if pair in data.pairs for ear in ("left", "right")],
    }


def _write(out: Path, report: dict[str, Any], run_folder: Path, pictures: dict[str, Any]) -> None:
    import jinja2

    from dataio.format.atomic import write_file
    from train.log import VALIDATION, read_log

    steps, validations = read_log(run_folder), read_log(run_folder, VALIDATION)
    validation = [(line["step"], line["accuracy"]) for line in validations]
    images = {
        "batch": figures.batch_picture(**pictures),
        "loss": figures.loss_curve(
            [s["step"] for s in steps], [s["loss"] for s in steps], [s["accuracy"] for s in steps], validation
        ),
        "confusion": figures.confusion_matrix(
            report["confusion"], [f"{k * 360 / report['yaw_classes']:.0f}°" for k in range(report["yaw_classes"])]
        ),
        "stages": figures.stage_bars(report["stages"]),
    }
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
    uris = {name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in images.items()}
    html = environment.get_template("demo.html").render(r=report, images=uris)
    write_file(out / "batch.png", images["batch"])
    write_file(out / "report.html", html.encode())
    write_file(out / "report.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
