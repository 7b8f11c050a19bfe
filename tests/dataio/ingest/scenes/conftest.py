"""Things put where a test wants them, and scenes turned and mirrored."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dataio.ingest.scenes.motion import Path
from dataio.ingest.scenes.world import CLASSES, LENGTH_HEIGHT, Scene, Thing


@pytest.fixture
def thing() -> Callable[..., Thing]:
    """thing(kind, path, …): a sounding thing of average size."""

    def make(kind: str, path: Path, **changes: object) -> Thing:
        length, height = LENGTH_HEIGHT[kind]
        average = Thing(kind, CLASSES.index(kind), path, length, height, 1, 1.0, (0.0, 0.0, 0.0), 5, 1.0)
        return replace(average, **changes)

    return make


@pytest.fixture
def turned() -> Callable[[Scene, float], Scene]:
    """turned(scene, degrees): the scene with every thing turned clockwise."""

    def turn(scene: Scene, degrees: float) -> Scene:
        return replace(
            scene, things=tuple(replace(t, path=replace(t.path, azimuth=t.path.azimuth + degrees)) for t in scene.things)
        )

    return turn


@pytest.fixture
def mirrored() -> Callable[[Scene], Scene]:
    """mirrored(scene): the scene as a mirror to its left shows it."""

    def mirror(scene: Scene) -> Scene:
        return replace(scene, things=tuple(replace(t, facing=-t.facing, path=_mirrored(t.path)) for t in scene.things))

    return mirror


def _mirrored(path: Path) -> Path:
    return replace(path, azimuth=-path.azimuth, speed=-path.speed, swing=-path.swing)
