"""What is in a scene, drawn at random: the objects, their paths, their looks and their voices.

Nothing here may give the camera's heading away. Azimuths are uniform and independent, both directions of motion are equally
likely, and every other number is drawn without regard to azimuth: turned or mirrored, a scene is as likely as before.
"""

import math
from dataclasses import dataclass

from numpy.random import PCG64, Generator, SeedSequence

from dataio.ingest.scenes.motion import Path

CLASSES = ("background", "car", "tram", "motorcycle")
"""Names of the class ids 0, 1, 2, 3."""

SOURCES = 3
"""The most objects that sound in one scene."""

LOUDEST = 1.4
"""The largest amplitude of one of them, in units of its voice."""

NEAREST = 3.5
FARTHEST = 12.0
"""Limits of a sounding object's distance in metres; the level and the longest delay follow from them."""

LENGTH_HEIGHT = {
    "car": (4.2, 1.6),
    "tram": (9.0, 3.2),
    "motorcycle": (2.4, 1.7),
    "pedestrian": (0.7, 1.8),
    "bird": (1.2, 0.5),
}
"""Length and height in metres of a thing of average size."""

_TAU = 2.0 * math.pi


@dataclass(frozen=True)
class Thing:
    """An object of the scene.

    `kind` is what it looks like, `class_id` what it counts as: silent things are 0, whatever they look like. `facing` is +1 when
    its front points clockwise, −1 otherwise. `brightness` scales its colours, `tint` shifts them. `voice_seed` decides
    the details of its voice, `loudness` its amplitude.
    """

    kind: str
    class_id: int
    path: Path
    length: float
    height: float
    facing: int
    brightness: float
    tint: tuple[float, float, float]
    voice_seed: int
    loudness: float

    @property
    def sounding(self) -> bool:
        """Whether it makes a sound, and so counts as its class."""
        return self.class_id > 0

    @property
    def moving(self) -> bool:
        """Whether it ever moves."""
        return self.path.speed != 0.0


@dataclass(frozen=True)
class Scene:
    """The things of one recording, and the seeds of its background and of the noise in its microphones."""

    things: tuple[Thing, ...]
    background_seed: int
    noise_seed: int


def draw_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the set with this seed: two or three sounding objects of different classes, and silent distractors."""
    rng = Generator(PCG64(SeedSequence(seed, spawn_key=(index,))))
    sounding = [CLASSES[i] for i in 1 + rng.permutation(3)[: rng.integers(2, SOURCES + 1)]]
    parked = [CLASSES[i] for i in rng.integers(1, 4, rng.integers(1, 3))]
    silent = [("pedestrian", "bird")[i] for i in rng.integers(0, 2, rng.integers(1, 3))]
    things = [_thing(rng, kind, _drive(rng), CLASSES.index(kind)) for kind in sounding]
    things += [_thing(rng, kind, _park(rng), 0) for kind in parked]
    things += [_thing(rng, kind, _stroll(rng, kind), 0) for kind in silent]
    return Scene(tuple(things), int(rng.integers(2**32)), int(rng.integers(2**32)))


def _thing(rng: Generator, kind: str, path: Path, class_id: int) -> Thing:
    length, height = LENGTH_HEIGHT[kind]
    size = rng.uniform(0.85, 1.2)
    # what moves shows its front first; what is parked may face either way
    facing = (1 if path.speed > 0.0 else -1) if path.speed else _side(rng)
    red, green, blue = rng.uniform(-18.0, 18.0, 3)
    return Thing(
        kind=kind,
        class_id=class_id,
        path=path,
        length=length * size,
        height=height * size,
        facing=facing,
        brightness=rng.uniform(0.75, 1.2),
        tint=(red, green, blue),
        voice_seed=int(rng.integers(2**32)),
        loudness=rng.uniform(LOUDEST / 2.0, LOUDEST),
    )


def _drive(rng: Generator) -> Path:
    """Round the rig at 16 to 44 degrees a second, never standing still, nearer and farther as on passing by."""
    distance = rng.uniform(5.0, 9.0)
    return Path(
        azimuth=rng.uniform(-180.0, 180.0),
        speed=rng.uniform(22.0, 38.0) * _side(rng),
        distance=distance,
        height=rng.uniform(-1.2, -0.2),
        swing=rng.uniform(2.0, 5.0),
        swing_period=rng.uniform(6.0, 10.0),  # adds or takes at most 5.2 degrees a second
        swing_phase=rng.uniform(0.0, _TAU),
        reach=distance * rng.uniform(0.15, 0.3),
        reach_period=rng.uniform(8.0, 16.0),
        reach_phase=rng.uniform(0.0, _TAU),
    )


def _park(rng: Generator) -> Path:
    return Path(azimuth=rng.uniform(-180.0, 180.0), speed=0.0, distance=rng.uniform(6.0, 11.0), height=rng.uniform(-1.2, -0.2))


def _stroll(rng: Generator, kind: str) -> Path:
    return Path(
        azimuth=rng.uniform(-180.0, 180.0),
        speed=rng.uniform(8.0, 30.0) * _side(rng),
        distance=rng.uniform(5.0, 9.0),
        height=rng.uniform(1.0, 3.5) if kind == "bird" else rng.uniform(-0.9, -0.5),
    )


def _side(rng: Generator) -> int:
    """Clockwise (+1) or not (−1), as likely."""
    return 1 - 2 * int(rng.integers(2))
