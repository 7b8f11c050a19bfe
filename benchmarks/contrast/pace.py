"""How long the training of a run took, over all its starts, and only where all of it was seen."""

import json
import time
from pathlib import Path
from typing import Any

from train.recipe import Recipe
from train.run import train


def trained(recipe: Recipe) -> dict[str, Any]:
    """Train, or go on, and tell how fast. Every start is kept in `pace.json` of the run folder.

    Returns:
        JSON: `minutes` of all starts, with what a start costs before its first step and with validations; `steps`;
        `clips_per_second`, and `waited`, the share of the time in which the loop waited for data, both in the loops alone. All but
        `steps` are None where steps are missing: the run was trained elsewhere, or a start was killed.

    Raises:
        KeyboardInterrupt: it was stopped; the same call goes on.
    """
    file = Path(recipe.run) / "pace.json"
    begun = time.monotonic()
    result = train(recipe)
    starts = json.loads(file.read_text()) if file.exists() else []
    if result.seconds:
        clips = round(result.seconds * result.clips_per_second)
        minutes = (time.monotonic() - begun) / 60
        starts.append({"minutes": minutes, "seconds": result.seconds, "clips": clips, "waited": result.seconds * result.waited})
        file.write_text(json.dumps(starts) + "\n")
    if result.exit_code:
        raise KeyboardInterrupt
    return _told(starts, result.total, recipe.data.batch_size)


def _told(starts: list[dict[str, float]], steps: int, batch: int) -> dict[str, Any]:
    minutes, seconds, clips, waited = (sum(start[name] for start in starts) for name in ("minutes", "seconds", "clips", "waited"))
    if clips != steps * batch:
        return {"minutes": None, "steps": steps, "clips_per_second": None, "waited": None}
    seconds = seconds or 1.0  # of a run without steps
    return {"minutes": minutes, "steps": steps, "clips_per_second": clips / seconds, "waited": waited / seconds}
