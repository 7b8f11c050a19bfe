"""The clips' json, as far as it can be believed: tars of others hold anything under that name."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from dataio.format import tar

_LONGEST = 2**24  # bytes; a longer one is no clip's facts


def facts(walk: tar.Walk, path: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """Clips with a json, and what it says: nothing where it does not parse."""
    clips = np.flatnonzero(walk.clips[:, tar.TEXT_LENGTH] >= 0).tolist()
    found = []
    for clip in clips:
        text = walk.text(clip)
        if text is None and (length := int(walk.clips[clip, tar.TEXT_LENGTH])) <= _LONGEST:
            with open(path, "rb") as file:
                text = os.pread(file.fileno(), length, -int(walk.clips[clip, tar.TEXT_AT]))
        try:
            fact = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            fact = {}
        found.append(fact if isinstance(fact, dict) else {})
    return clips, found


def number(value: object) -> float | None:
    """A finite number of a json, whole or not as it stands there; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
