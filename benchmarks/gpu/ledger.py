"""The file of results: what was measured stays written, whatever becomes of the rest.

`{"device", "rehearsal", "machine", "parts": {part: {"status", "commit", "seconds", "error", "found": {…}}}}`; status is
`running`, `done`, `failed` (it said why), `died` (it could not) or `out of time`.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataio.audit.json_file import write_json

Result = dict[str, Any]


def load(path: Path) -> Result:
    """The results of this file, or none if it is not there.

    Raises:
        ValueError: it is no JSON of results.
    """
    if not path.exists():
        return {"parts": {}}
    try:
        found = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("parts"), dict):
        raise ValueError(f"{path.name} holds no results of a check: it has no `parts`")
    return found


class Ledger:
    """Results on disk; every change is written at once, and whole. One process writes at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def head(self, **facts: Any) -> None:
        """What holds for the whole file: device, machine, whether it is a rehearsal."""
        write_json({**load(self.path), **plain(facts)}, str(self.path))

    def begin(self, part: str, **facts: Any) -> None:
        """Forget what an earlier run of this part has found."""
        self.set(part, status="running", found={}, error=None, **facts)

    def set(self, part: str, **facts: Any) -> None:
        found = load(self.path)
        found["parts"][part] = found["parts"].get(part, {}) | plain(facts)
        write_json(found, str(self.path))

    def note(self, part: str, name: str, value: Any) -> None:
        """One figure, or a table of them, of a part that has begun."""
        found = load(self.path)
        found["parts"][part]["found"][name] = plain(value)
        write_json(found, str(self.path))


def merged(results: Sequence[Result]) -> Result:
    """Results of several calls as one; a part of a later one takes the place of an earlier one's, unless it came to less.

    Raises:
        ValueError: nothing to merge, or they are of different devices, or a rehearsal is among them and not alone.
    """
    kinds = {(result.get("device"), result.get("rehearsal")) for result in results}
    if len(kinds) != 1:
        names = sorted(f"{device}{' (rehearsal)' if rehearsal else ''}" for device, rehearsal in kinds)
        raise ValueError(f"results can be merged only of one device; these are of {', '.join(names) or 'none'}")
    whole: Result = {**results[-1], "parts": {}}
    for result in results:
        for name, part in result["parts"].items():
            if part["status"] == "done" or whole["parts"].get(name, {}).get("status") != "done":
                whole["parts"][name] = part
    return whole


def file_name(device: str, rehearsal: bool) -> str:
    """Of the results on this device: `NVIDIA H100 80GB HBM3` → `nvidia-h100-80gb-hbm3.json`."""
    words = re.findall("[a-z0-9]+", device.lower()) or ["unknown"]
    return f"{'rehearsal-' if rehearsal else ''}{'-'.join(words)}.json"


def plain(value: Any) -> Any:
    """The same for JSON: tuples as lists, floats to five digits, what is not finite as null, anything unknown as its text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return plain(value.item()) if hasattr(value, "item") else str(value)
