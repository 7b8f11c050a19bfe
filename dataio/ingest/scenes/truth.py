"""The truth about a scene: every thing over time, as plain numbers."""

import json

from dataio.ingest.scenes.motion import locate
from dataio.ingest.scenes.options import Options
from dataio.ingest.scenes.world import CLASSES, Scene, Thing

HERTZ = 10
"""Positions a second."""

VERSION = 1


def truth_text(scene: Scene, options: Options) -> str:
    """`truth.json` of a scene: times in seconds, azimuth and elevation in degrees, distance in metres, k / HERTZ up to the end.

    `class` is the name of what a thing looks like, `class_id` what its pixels are in `classes.mkv`: 0 for the silent.
    """
    count = int(round(options.seconds * HERTZ, 6)) + 1
    facts = {
        "format": "sonosphere-scene",
        "version": VERSION,
        "seconds": float(options.seconds),
        "fps": options.fps,
        "rate": options.rate,
        "size": list(options.size),
        "classes": list(CLASSES),
        "hertz": HERTZ,
        "times": [k / HERTZ for k in range(count)],
        "objects": [_facts(thing, count) for thing in scene.things],
    }
    return json.dumps(facts, separators=(",", ":")) + "\n"


def _facts(thing: Thing, count: int) -> dict[str, object]:
    row = thing.path.row()
    places = [locate(row, k / HERTZ) for k in range(count)]
    azimuth, elevation, distance = (list(column) for column in zip(*places, strict=True))
    return {
        "class": thing.kind,
        "class_id": thing.class_id,
        "sounding": thing.sounding,
        "moving": thing.moving,
        "azimuth": [round(value, 4) for value in azimuth],
        "elevation": [round(value, 4) for value in elevation],
        "distance": [round(value, 4) for value in distance],
    }
